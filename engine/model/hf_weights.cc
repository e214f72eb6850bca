#include "engine/model/hf_weights.h"

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/model/json_document.h"
#include "engine/model/json_reader.h"
#include "engine/model/model_file.h"
#include "engine/model/model_layout.h"
#include "engine/model/safetensors.h"

namespace cairn::engine {
namespace {

constexpr uint64_t kMaxIndexBytes = 64 << 20;
constexpr size_t kMaxShards = 1000;

constexpr std::pair<std::string_view, std::string_view> kWholeModel[] = {
    {"token_embd.weight", "embed_tokens.weight"},
    {"output_norm.weight", "norm.weight"},
    {"output.weight", "lm_head.weight"},
};
constexpr std::pair<std::string_view, std::string_view> kLayer[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_q.bias", "self_attn.q_proj.bias"},
    {"attn_k.bias", "self_attn.k_proj.bias"},
    {"attn_v.bias", "self_attn.v_proj.bias"},
    {"attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"attn_k_norm.weight", "self_attn.k_norm.weight"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
};

template <class Table>
std::string_view LookUp(const Table& table, std::string_view name) {
  for (const auto& [gguf, hf] : table) {
    if (gguf == name) return hf;
  }
  return name;
}

std::optional<kernels::BlockFormat> FormatOf(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return kernels::BlockFormat::kF32;
    case TensorType::kF16:
      return kernels::BlockFormat::kF16;
    case TensorType::kBF16:
      return kernels::BlockFormat::kBF16;
    default:
      return std::nullopt;
  }
}

// Tensors that files carry without a part in the result.
bool MayIgnore(std::string_view name, const ModelConfig& config) {
  constexpr std::string_view kFrequencies = "rotary_emb.inv_freq";
  if (name.size() > kFrequencies.size() &&
      name.substr(name.size() - kFrequencies.size()) == kFrequencies) {
    return true;
  }
  return config.tied_embeddings && name == "lm_head.weight";
}

// The model's files, each name once, from the index.
absl::StatusOr<std::set<std::string>> ShardNames(std::string_view index) {
  const auto tree = ParseJsonObject(index);
  if (!tree.ok()) return tree.status();
  const auto map = tree->find("weight_map");
  if (map == tree->end() || !map->is_object()) {
    return absl::InvalidArgumentError("weight_map is not a JSON object");
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    // A plain name: nothing that leads out of the directory.
    if (name.empty() || name[0] == '.' || name.find('/') != name.npos ||
        name.find('\0') != name.npos) {
      return absl::InvalidArgumentError(absl::StrCat("\"", Printable(tensor), "\" lies in \"",
                                                     Printable(name),
                                                     "\", which is not a file's plain name"));
    }
    names.insert(name);
    if (names.size() > kMaxShards) return absl::InvalidArgumentError("more than 1000 files");
  }
  if (names.empty()) return absl::InvalidArgumentError("weight_map is empty");
  return names;
}

}  // namespace

std::string HfTensorName(std::string_view name) {
  constexpr std::string_view kBlock = "blk.";
  if (name.substr(0, kBlock.size()) != kBlock) return std::string(LookUp(kWholeModel, name));
  const size_t dot = name.find('.', kBlock.size());
  if (dot == name.npos) return std::string(name);
  return absl::StrCat("layers.", std::string(name.substr(kBlock.size(), dot - kBlock.size())), ".",
                      std::string(LookUp(kLayer, name.substr(dot + 1))));
}

absl::StatusOr<HfWeights> HfWeights::Open(const std::string& directory, const ModelConfig& config) {
  HfTensorNames names;
  names.prefixes = {"model."};
  for (const TensorSpec& spec : TensorsOf(config))
    names.wanted[HfTensorName(spec.name)] = spec.name;
  names.may_ignore = [&config](std::string_view name) { return MayIgnore(name, config); };
  return Open(directory, names);
}

absl::StatusOr<HfWeights> HfWeights::Open(const std::string& directory,
                                          const HfTensorNames& names) {
  HfWeights weights;
  absl::Status status = weights.Add(directory + "/model.safetensors", names);
  if (absl::IsNotFound(status)) {
    const std::string index_path = directory + "/model.safetensors.index.json";
    const auto index = ReadModelFile(index_path, kMaxIndexBytes);
    if (absl::IsNotFound(index.status())) {
      return absl::NotFoundError(
          absl::StrCat(directory, ": neither model.safetensors nor model.safetensors.index.json"));
    }
    if (!index.ok()) return index.status();
    const auto shards = ShardNames(index->view());
    if (!shards.ok()) return AtPath(index_path, shards.status());
    for (const std::string& shard : *shards) {
      status = weights.Add(absl::StrCat(directory, "/", shard), names);
      if (!status.ok()) break;
    }
  }
  if (!status.ok()) return status;
  return weights;
}

absl::Status HfWeights::Add(const std::string& path, const HfTensorNames& names) {
  auto file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  const auto parsed = SafeTensors::Parse(file->bytes());
  if (!parsed.ok()) return AtPath(path, parsed.status());
  files_.push_back(*std::move(file));
  for (const auto& [full_name, tensor] : parsed->tensors()) {
    std::string_view name = full_name;
    for (const std::string& prefix : names.prefixes) {
      if (name.substr(0, prefix.size()) != prefix) continue;
      name.remove_prefix(prefix.size());
      break;
    }
    const auto fault = [&path, &tensor_name = full_name](absl::string_view what) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": tensor \"", Printable(tensor_name), "\" ", what));
    };
    const auto found = names.wanted.find(name);
    if (found == names.wanted.end()) {
      if (names.may_ignore(name)) continue;
      return fault("is not part of the model");
    }
    const auto format = FormatOf(tensor.type);
    if (!format.has_value()) return fault("is of none of the types F32, F16 and BF16");
    const TensorView view = {*format, tensor.shape, tensor.bytes};
    if (!tensors_.emplace(found->second, view).second) return fault("occurs twice");
  }
  return absl::OkStatus();
}

void HfWeights::Drop(std::string_view bytes) const {
  for (const MappedFile& file : files_) {
    const std::string_view all = file.bytes();
    if (bytes.data() >= all.data() && bytes.data() + bytes.size() <= all.data() + all.size()) {
      return file.Drop(bytes);
    }
  }
}

}  // namespace cairn::engine
