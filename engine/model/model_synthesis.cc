#include "engine/model/model_synthesis.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "chunking/text/vocabulary_description.h"
#include "engine/model/gguf_metadata.h"
#include "engine/model/gguf_writer.h"
#include "engine/model/model_layout.h"
#include "engine/model/parallel_rows.h"

namespace cairn::engine {
namespace {

using chunking::TokenType;
using chunking::VocabularyDescription;
using kernels::BlockFormat;

ModelConfig Shape(Architecture architecture, const char* name, uint32_t layers, uint32_t hidden,
                  uint32_t intermediate, uint32_t heads, uint32_t kv_heads) {
  ModelConfig config;
  config.architecture = architecture;
  config.name = name;
  config.layers = layers;
  config.hidden_size = hidden;
  config.intermediate_size = intermediate;
  config.heads = heads;
  config.kv_heads = kv_heads;
  config.head_dim = config.rope_dims = hidden / heads;
  config.rope_pairing =
      architecture == Architecture::kLlama ? RopePairing::kInterleaved : RopePairing::kHalves;
  return config;
}

ModelConfig Qwen25Half() {
  ModelConfig c = Shape(Architecture::kQwen2, "qwen2.5-0.5b", 24, 896, 4864, 14, 2);
  c.vocabulary_size = 151'936;
  c.context_length = 32'768;
  c.rope_theta = 1e6f;
  c.norm_epsilon = 1e-6f;
  c.tied_embeddings = true;
  return c;
}

ModelConfig Llama32One() {
  ModelConfig c = Shape(Architecture::kLlama, "llama-3.2-1b", 16, 2048, 8192, 32, 8);
  c.vocabulary_size = 128'256;
  c.context_length = 131'072;
  c.rope_theta = 5e5f;
  c.tied_embeddings = true;
  c.rope_scaling.kind = RopeScaling::Kind::kLlama3;
  c.rope_scaling.factor = 32;
  c.rope_scaling.original_context = 8192;
  return c;
}

ModelConfig Llama3Eight() {
  ModelConfig c = Shape(Architecture::kLlama, "llama-3-8b", 32, 4096, 14'336, 32, 8);
  c.vocabulary_size = 128'256;
  c.context_length = 8192;
  c.rope_theta = 5e5f;
  return c;
}

ModelConfig SmolLm135() {
  ModelConfig c = Shape(Architecture::kLlama, "smollm-135m", 30, 576, 1536, 9, 3);
  c.vocabulary_size = 49'152;
  c.context_length = 2048;
  c.tied_embeddings = true;
  return c;
}

constexpr std::pair<const char*, ModelConfig (*)()> kShapes[] = {
    {"qwen2.5-0.5b", Qwen25Half},
    {"llama-3.2-1b", Llama32One},
    {"llama-3-8b", Llama3Eight},
    {"smollm-135m", SmolLm135},
};

// Where GPT-2's byte alphabet has `byte`: printable bytes are themselves, the others follow from
// U+0100 on.
uint32_t AlphabetCodePoint(uint32_t byte) {
  const auto printable = [](uint32_t b) {
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
  };
  if (printable(byte)) return byte;
  uint32_t before = 0;
  for (uint32_t b = 0; b < byte; ++b) before += printable(b) ? 0 : 1;
  return 256 + before;
}

// Below U+0800.
std::string Utf8(uint32_t code_point) {
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xc0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 63))};
}

VocabularyDescription MakeVocabulary(const ModelConfig& config) {
  VocabularyDescription v;
  v.kind = chunking::VocabularyKind::kByteLevelBpe;
  v.pre = config.architecture == Architecture::kLlama ? "llama-bpe" : "qwen2";
  v.tokens.reserve(config.vocabulary_size);
  for (uint32_t byte = 0; byte < 256; ++byte) v.tokens.push_back(Utf8(AlphabetCodePoint(byte)));
  const std::string space = Utf8(AlphabetCodePoint(' '));
  while (v.tokens.size() + 2 < config.vocabulary_size) {
    v.tokens.push_back(absl::StrCat(space, "w", v.tokens.size()));
  }
  v.types.assign(v.tokens.size(), TokenType::kNormal);
  v.bos_token_id = static_cast<uint32_t>(v.tokens.size());
  v.eos_token_id = *v.bos_token_id + 1;
  v.tokens.insert(v.tokens.end(), {"<|begin_of_text|>", "<|end_of_text|>"});
  v.types.insert(v.types.end(), 2, TokenType::kControl);
  v.add_bos_token = config.architecture == Architecture::kLlama;
  return v;
}

// The mixing function of Steele, Lea and Flood's SplitMix64 (OOPSLA 2014): a counter's random bits.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

// out[n]: values first..first + n - 1 of a stream, uniform in (-limit, limit); 16 bits of one
// hash for each. `first` is a multiple of 4.
void Fill(uint64_t stream, uint64_t first, size_t n, float limit, float* out) {
  const float step = limit / 32'768;
  for (size_t i = 0; i < n; i += 4) {
    const uint64_t bits = Mix(stream + (first + i) / 4);
    for (size_t j = 0; j < 4 && i + j < n; ++j) {
      const int value = static_cast<int>(bits >> 16 * j & 0xffff) - 32'768;
      out[i + j] = (static_cast<float>(value) + 0.5f) * step;
    }
  }
}

// How far a tensor's values lie from their centre. Uniform values in (-a, a) have a deviation of
// a / sqrt(3); a matrix keeps the size of what it multiplies with one of 1 / sqrt(columns).
float Spread(const TensorSpec& spec) {
  if (!spec.is_matrix()) return 0.05f;
  if (spec.name == "token_embd.weight") return 0.02f * std::sqrt(3.0f);
  return std::sqrt(3.0f / static_cast<float>(spec.shape[1]));
}

absl::Status WriteTensor(const TensorSpec& spec, BlockFormat format, uint64_t stream,
                         size_t threads, GgufWriter* writer) {
  const uint64_t columns = spec.shape.back();
  const uint64_t rows = spec.is_matrix() ? spec.shape[0] : 1;
  // Rows begin at multiples of 4 in the stream.
  const uint64_t stride = (columns + 3) / 4 * 4;
  const float limit = Spread(spec);
  const bool norm = spec.name.find("norm") != spec.name.npos;
  const uint64_t row_bytes = kernels::FormatBytes(format, columns);
  return ComputeRows(
      rows, row_bytes, threads,
      [&](uint64_t begin, uint64_t end, char* out) {
        std::vector<float> values(columns);
        for (uint64_t row = begin; row < end; ++row, out += row_bytes) {
          Fill(stream, row * stride, columns, limit, values.data());
          if (norm) {
            for (float& value : values) value += 1;
          }
          kernels::Quantize(format, values.data(), columns, out);
        }
        return absl::OkStatus();
      },
      [&](std::string_view bytes) { return writer->Append(bytes); });
}

}  // namespace

std::optional<ModelConfig> ShapeByName(std::string_view name) {
  for (const auto& [shape, make] : kShapes) {
    if (name == shape) return make();
  }
  return std::nullopt;
}

std::vector<std::string> ShapeNames() {
  std::vector<std::string> names;
  for (const auto& [shape, make] : kShapes) names.emplace_back(shape);
  return names;
}

absl::Status SynthesizeModel(const ModelConfig& config, const SynthesisOptions& options,
                             const std::string& path) {
  absl::Status status = CheckConfig(config);
  if (!status.ok()) return status;
  if (config.vocabulary_size < 258) {
    return absl::InvalidArgumentError("the vocabulary has at least 258 tokens");
  }
  auto writer = GgufWriter::Create(path);
  if (!writer.ok()) return writer.status();
  status = AddConfig(config, writer->get());
  if (!status.ok()) return status;
  AddFileType(options.format, writer->get());
  AddVocabulary(MakeVocabulary(config), writer->get());

  const std::vector<float> divisors = RopeDivisors(config);
  const std::vector<TensorSpec> tensors = TensorsOf(config);
  if (!divisors.empty()) {
    (*writer)->AddTensor("rope_freqs.weight", BlockFormat::kF32, {divisors.size()});
  }
  for (const TensorSpec& spec : tensors) {
    (*writer)->AddTensor(spec.name, FormatFor(spec, options.format), spec.shape);
  }
  if (!divisors.empty()) {
    status = (*writer)->Append(
        {reinterpret_cast<const char*>(divisors.data()), divisors.size() * sizeof(float)});
    if (!status.ok()) return status;
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t stream = Mix(Mix(options.seed) + i);
    status = WriteTensor(tensors[i], FormatFor(tensors[i], options.format), stream, options.threads,
                         writer->get());
    if (!status.ok()) return status;
  }
  return (*writer)->Finish();
}

}  // namespace cairn::engine
