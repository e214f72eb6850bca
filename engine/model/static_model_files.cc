#include "engine/model/static_model_files.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "engine/model/safetensors_writer.h"

namespace cairn::engine {
namespace {

template <class T>
std::string_view BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// The string that begins at `json[at]`, with its quotes.
std::string_view StringAt(std::string_view json, size_t at) {
  size_t end = at + 1;
  while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
  return json.substr(at, end + 1 - at);
}

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

std::string StaticConfigJson(const DistilledModel& model, const StaticModelFacts& facts) {
  const nlohmann::ordered_json config = {
      {"model_type", "model2vec"},
      {"architectures", {"StaticModel"}},
      {"tokenizer_name", facts.tokenizer_name},
      {"apply_pca", model.dims},
      {"apply_zipf", nullptr},
      {"sif_coefficient", facts.sif},
      {"hidden_dim", model.dims},
      {"seq_length", 1'000'000},
      {"normalize", true},
      {"cairn", {{"fusion", "convex"}, {"normalization", "theoretical"}, {"alpha", facts.alpha}}}};
  return config.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string StaticSafetensors(const DistilledModel& model) {
  const uint64_t vocabulary = model.weights.size();
  return EncodeSafetensors(
      {{"embeddings", {TensorType::kI8, {vocabulary, model.dims}, BytesOf(model.rows)}},
       {"weights", {TensorType::kF32, {vocabulary}, BytesOf(model.weights)}}});
}

std::string UncutTokenizerJson(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  size_t depth = 0;
  bool skipping = false;  // Within a value that null stands for.
  std::string_view last;  // The string before this character, at depth 1.
  for (size_t at = 0; at < json.size();) {
    const char c = json[at];
    if (c == '"') {
      const std::string_view text = StringAt(json, at);
      if (depth == 1) last = text;
      if (!skipping) out.append(text);
      at += text.size();
      continue;
    }
    ++at;
    if (IsSpace(c)) continue;
    if (c == '}' || c == ']') --depth;
    if (skipping && ((depth == 1 && c == ',') || depth == 0)) skipping = false;
    if (!skipping) out.push_back(c);
    if (c == '{' || c == '[') ++depth;
    if (c == ':' && depth == 1 && (last == "\"truncation\"" || last == "\"padding\"")) {
      out.append("null");
      skipping = true;
    }
  }
  out.push_back('\n');
  return out;
}

}  // namespace cairn::engine
