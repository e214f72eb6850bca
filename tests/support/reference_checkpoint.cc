#include "tests/support/reference_checkpoint.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/engine/model/model_builder.h"
#include "tests/support/shared_data.h"

namespace cairn::testing {
namespace {

using engine::testing::BytesOf;
using engine::testing::SafetensorsBuilder;
// Keeps members in the file's order, and so the tensors in the model's.
using Json = nlohmann::ordered_json;

uint64_t Fnv1a64(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  return hash;
}

// In [-1, 1), a multiple of 2^-23.
double Uniform(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  z ^= z >> 31;
  return static_cast<double>(z >> 40) * 0x1p-23 - 1;
}

// Token i of a vocabulary of `size`: three control tokens, a space, then printable characters.
std::string TokenizerOf(size_t size) {
  Json vocabulary = Json::object();
  Json added = Json::array();
  const std::string controls[] = {"<unk>", "<s>", "</s>"};
  for (size_t i = 0; i < size; ++i) {
    if (i < 3) {
      vocabulary[controls[i]] = i;
      added.push_back({{"id", i},
                       {"content", controls[i]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", true}});
    } else {
      vocabulary[i == 3 ? "\u0120" : std::string(1, static_cast<char>('!' + i - 4))] = i;
    }
  }
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  return Json({{"version", "1.0"},
               {"truncation", nullptr},
               {"padding", nullptr},
               {"added_tokens", added},
               {"normalizer", nullptr},
               {"pre_tokenizer", byte_level},
               {"post_processor", nullptr},
               {"decoder", byte_level},
               {"model",
                {{"type", "BPE"},
                 {"dropout", nullptr},
                 {"unk_token", nullptr},
                 {"continuing_subword_prefix", nullptr},
                 {"end_of_word_suffix", nullptr},
                 {"fuse_unk", false},
                 {"byte_fallback", false},
                 {"vocab", vocabulary},
                 {"merges", Json::array()}}}})
      .dump();
}

ReferenceCase ReadCase(const Json& json) {
  ReferenceCase out;
  out.name = json.at("name");
  out.config_json = json.at("config").dump();
  out.legacy_config_json = json.at("legacy_config").dump();
  for (const auto& [name, shape] : json.at("tensors").items()) {
    out.tensors.emplace_back(name, shape.get<std::vector<uint64_t>>());
  }
  for (const Json& sample : json.at("weight_samples")) {
    out.weight_samples.push_back({sample.at("tensor"), sample.at("index"), sample.at("value")});
  }
  json.at("ids").get_to(out.ids);
  json.at("positions").get_to(out.positions);
  json.at("logits").get_to(out.logits);
  json.at("top1").get_to(out.top1);
  return out;
}

}  // namespace

std::vector<ReferenceCase> ReadReferenceCases() {
  const Json file = Json::parse(
      ReadFileOrDie(CAIRN_SOURCE_DIR "/tests/engine/model/testdata/reference_logits.json"));
  std::vector<ReferenceCase> cases;
  for (const Json& json : file.at("cases")) cases.push_back(ReadCase(json));
  return cases;
}

std::vector<float> ReferenceWeights(std::string_view name, const std::vector<uint64_t>& shape) {
  const uint64_t seed = Fnv1a64(name);
  const bool matrix = shape.size() == 2;
  const bool bias = name.ends_with(".bias");
  // Of the products and sums below, each is exact in double, so values are rounded to float once.
  double scale = 0.1f;
  if (matrix) {
    const bool embeddings = name.find("embed_tokens") != std::string_view::npos;
    scale = embeddings ? 1 : static_cast<float>(2 / std::sqrt(static_cast<double>(shape[1])));
  }
  const double offset = matrix || bias ? 0 : 1;
  std::vector<float> values(shape[0] * (matrix ? shape[1] : 1));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(offset + scale * Uniform(seed, i));
  }
  return values;
}

std::string WriteReferenceCheckpoint(const ReferenceCase& reference, std::string_view config_json,
                                     const TempDir& dir) {
  SafetensorsBuilder weights;
  for (const auto& [name, shape] : reference.tensors) {
    weights.Add(name, "F32", shape, BytesOf(ReferenceWeights(name, shape)));
  }
  dir.Write(reference.name + "/config.json", config_json);
  dir.Write(reference.name + "/model.safetensors", weights.Build());
  dir.Write(reference.name + "/tokenizer.json", TokenizerOf(reference.logits.front().size()));
  return dir.file(reference.name);
}

}  // namespace cairn::testing
