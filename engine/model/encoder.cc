#include "engine/model/encoder.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "kernels/elementwise.h"

namespace cairn::engine {
namespace {

using kernels::BlockFormat;
using kernels::ComputeType;

// Rows of a pass: enough that unpacking the weights costs little, few enough that its activations
// stay in the second cache.
constexpr size_t kPassRows = 256;

// A batch of at least so many rows: products of fewer are computed another way, and a text's states
// must not depend on how many there are.
constexpr size_t kLeastRows = kernels::kVectorRows + 1;

size_t PaddedRows(size_t rows) { return std::max(rows, kLeastRows); }

BlockFormat FormatFor(ComputeType compute) {
  switch (compute) {
    case ComputeType::kI8:
      return BlockFormat::kQ8_0;
    case ComputeType::kBF16:
      return BlockFormat::kBF16;
    case ComputeType::kF32:
      break;
  }
  return BlockFormat::kF32;
}

}  // namespace

// Memory that only grows. `rows` is a pass's tokens, padded.
struct Encoder::Pass {
  size_t rows = 0;
  kernels::AlignedVector<float> hidden;     // [rows][hidden]
  kernels::AlignedVector<float> queries;    // [rows][hidden], then what they attend to.
  kernels::AlignedVector<float> key_value;  // [rows][2][hidden]
  kernels::AlignedVector<float> up;         // [rows][intermediate]
  kernels::AlignedVector<float> row;        // [hidden]
  kernels::AlignedVector<std::byte> tiles;  // Of one head of one text.
  std::vector<const std::byte*> tile_list;
  kernels::Activations activations;
  kernels::MatmulScratch matmul;
  kernels::AttentionRows attention;
};

// --- Loading -------------------------------------------------------------------------------------

class Encoder::Loader {
 public:
  Loader(const EncoderCheckpoint& checkpoint, BlockFormat format)
      : checkpoint_(checkpoint), format_(format) {}

  std::vector<float> Values(const std::string& name) const {
    const TensorView& view = checkpoint_.tensor(name);
    uint64_t size = 1;
    for (uint64_t extent : view.shape) size *= extent;
    std::vector<float> values(size);
    kernels::Dequantize(view.format, view.bytes.data(), size, values.data());
    checkpoint_.Drop(view);
    return values;
  }

  // The parts' outputs behind one another.
  Dense MakeDense(std::initializer_list<std::string> parts) const {
    std::vector<float> weights, bias;
    size_t columns = 0;
    for (const std::string& part : parts) {
      columns = checkpoint_.tensor(part + ".weight").shape[1];
      const std::vector<float> w = Values(part + ".weight"), b = Values(part + ".bias");
      weights.insert(weights.end(), w.begin(), w.end());
      bias.insert(bias.end(), b.begin(), b.end());
    }
    // Rows that are no whole blocks keep to plain numbers.
    const bool whole = columns % kernels::ShapeOf(format_).values == 0;
    const BlockFormat format = whole ? format_ : BlockFormat::kBF16;
    const size_t rows = bias.size();
    kernels::PackedMatrix packed(format, rows, columns);
    std::vector<std::byte> blocks(kernels::FormatBytes(format, weights.size()));
    kernels::Quantize(format, weights.data(), weights.size(), blocks.data());
    packed.PackRows(0, rows, blocks.data());
    return {std::move(packed), std::move(bias)};
  }

  Norm MakeNorm(const std::string& name) const {
    return {Values(name + ".weight"), Values(name + ".bias")};
  }

  Layer MakeLayer(size_t index) const {
    const std::string prefix = absl::StrCat("encoder.layer.", index, ".");
    const std::string self = prefix + "attention.self.";
    Layer layer;
    layer.query = MakeDense({self + "query"});
    layer.key_value = MakeDense({self + "key", self + "value"});
    layer.attended = MakeDense({prefix + "attention.output.dense"});
    layer.attention_norm = MakeNorm(prefix + "attention.output.LayerNorm");
    layer.up = MakeDense({prefix + "intermediate.dense"});
    layer.down = MakeDense({prefix + "output.dense"});
    layer.output_norm = MakeNorm(prefix + "output.LayerNorm");
    return layer;
  }

 private:
  const EncoderCheckpoint& checkpoint_;
  const BlockFormat format_;
};

Encoder::Encoder(const EncoderCheckpoint* checkpoint, ComputeType compute)
    : checkpoint_(checkpoint),
      config_(checkpoint->config()),
      compute_(compute),
      kv_type_(compute == ComputeType::kF32 ? kernels::KvType::kF32 : kernels::DefaultKvType()) {}

Encoder::~Encoder() = default;

absl::StatusOr<std::unique_ptr<Encoder>> Encoder::Load(const EncoderCheckpoint* checkpoint,
                                                       const EncoderOptions& options) {
  const ComputeType wanted = options.compute.value_or(ComputeType::kBF16);
  const ComputeType compute =
      kernels::SupportedCompute(wanted, FormatFor(wanted), kernels::ActiveIsa());
  try {
    std::unique_ptr<Encoder> encoder(new Encoder(checkpoint, compute));
    const Loader loader(*checkpoint, FormatFor(compute));
    encoder->embedding_norm_ = loader.MakeNorm("embeddings.LayerNorm");
    for (size_t l = 0; l < encoder->config_.layers; ++l) {
      encoder->layers_.push_back(loader.MakeLayer(l));
    }
    if (encoder->config_.labels > 0) {
      const bool bert = encoder->config_.family == EncoderFamily::kBert;
      const std::string pooler = bert ? "pooler.dense" : "classifier.dense";
      const std::string classifier = bert ? "classifier" : "classifier.out_proj";
      encoder->pooler_weight_ = loader.Values(pooler + ".weight");
      encoder->pooler_bias_ = loader.Values(pooler + ".bias");
      encoder->classifier_weight_ = loader.Values(classifier + ".weight");
      encoder->classifier_bias_ = loader.Values(classifier + ".bias");
    }
    return encoder;
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the encoder's weights");
  }
}

// --- Running -------------------------------------------------------------------------------------

std::unique_ptr<Encoder::Pass> Encoder::TakePass() const {
  absl::MutexLock lock(&mutex_);
  if (idle_.empty()) return std::make_unique<Pass>();
  std::unique_ptr<Pass> pass = std::move(idle_.back());
  idle_.pop_back();
  return pass;
}

absl::Status Encoder::Run(absl::Span<const EncoderText> texts, EncoderRows rows, float* states,
                          const std::function<bool()>& is_cancelled) const {
  try {
    std::unique_ptr<Pass> pass = TakePass();
    const absl::Cleanup give_back = [&] {
      absl::MutexLock lock(&mutex_);
      idle_.push_back(std::move(pass));
    };
    for (size_t begin = 0, end = 0; begin < texts.size(); begin = end) {
      size_t tokens = 0;
      do {
        tokens += texts[end++].tokens.size();
      } while (end < texts.size() && tokens + texts[end].tokens.size() <= kPassRows);
      absl::Status s = RunPass(texts.subspan(begin, end - begin), rows, is_cancelled, pass.get());
      if (!s.ok()) return s;
      const size_t results = rows == EncoderRows::kAll ? tokens : end - begin;
      states = std::copy_n(pass->hidden.data(), results * config_.hidden_size, states);
    }
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the encoder's activations");
  }
}

absl::Status Encoder::RunPass(absl::Span<const EncoderText> texts, EncoderRows rows,
                              const std::function<bool()>& is_cancelled, Pass* pass) const {
  Embed(texts, pass);
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (is_cancelled && is_cancelled()) return absl::CancelledError("cancelled by the caller");
    const bool last = l + 1 == layers_.size();
    RunLayer(layers_[l], texts, last && rows == EncoderRows::kFirst, pass);
  }
  return absl::OkStatus();
}

void Encoder::AddRow(const TensorView& table, size_t row, Pass* pass, float* to) const {
  const size_t width = config_.hidden_size;
  const size_t row_bytes = kernels::FormatBytes(table.format, width);
  float* values = kernels::Grow(&pass->row, width);
  kernels::Dequantize(table.format, table.bytes.data() + row * row_bytes, width, values);
  kernels::GetElementwiseKernels().add(values, width, to);
}

void Encoder::Embed(absl::Span<const EncoderText> texts, Pass* pass) const {
  const TensorView& words = checkpoint_->tensor("embeddings.word_embeddings.weight");
  const TensorView& positions = checkpoint_->tensor("embeddings.position_embeddings.weight");
  const TensorView& types = checkpoint_->tensor("embeddings.token_type_embeddings.weight");
  const size_t width = config_.hidden_size;
  size_t tokens = 0;
  for (const EncoderText& text : texts) tokens += text.tokens.size();
  pass->rows = PaddedRows(tokens);
  float* hidden = kernels::Grow(&pass->hidden, pass->rows * width);
  std::fill_n(hidden, pass->rows * width, 0.0f);
  float* to = hidden;
  for (const EncoderText& text : texts) {
    for (size_t i = 0; i < text.tokens.size(); ++i, to += width) {
      AddRow(words, text.tokens[i], pass, to);
      AddRow(positions, config_.first_position + i, pass, to);
      AddRow(types, i >= text.second && config_.types > 1 ? 1 : 0, pass, to);
      kernels::GetElementwiseKernels().layer_norm(to, embedding_norm_.weight.data(),
                                                  embedding_norm_.bias.data(), width,
                                                  config_.norm_epsilon, to);
    }
  }
}

void Encoder::Apply(const Dense& dense, const float* in, size_t rows, size_t columns,
                    bool accumulate, Pass* pass, float* out) const {
  pass->activations.Reset(
      rows, columns,
      kernels::SupportedCompute(compute_, dense.weight.format(), kernels::ActiveIsa()));
  for (size_t r = 0; r < rows; ++r) pass->activations.EncodeRow(r, in + r * columns);
  kernels::MatMul(dense.weight, 0, dense.weight.tiles(), pass->activations, out,
                  dense.weight.rows(), accumulate, &pass->matmul);
}

void Encoder::NormRows(const Dense& dense, const Norm& norm, size_t rows, float* hidden) const {
  const kernels::ElementwiseKernels& kernels = kernels::GetElementwiseKernels();
  const size_t width = config_.hidden_size;
  for (size_t r = 0; r < rows; ++r, hidden += width) {
    kernels.add(dense.bias.data(), width, hidden);
    kernels.layer_norm(hidden, norm.weight.data(), norm.bias.data(), width, config_.norm_epsilon,
                       hidden);
  }
}

void Encoder::Activate(const Layer& layer, size_t rows, Pass* pass) const {
  const kernels::ElementwiseKernels& kernels = kernels::GetElementwiseKernels();
  const size_t width = config_.intermediate_size;
  const float* bias = layer.up.bias.data();
  float* x = pass->up.data();
  for (size_t r = 0; r < rows; ++r, x += width) {
    switch (config_.activation) {
      case EncoderActivation::kGelu:
        kernels.gelu(x, bias, width, x);
        break;
      case EncoderActivation::kGeluTanh:
        kernels.gelu_tanh(x, bias, width, x);
        break;
      case EncoderActivation::kRelu:
        for (size_t i = 0; i < width; ++i) x[i] = std::max(x[i] + bias[i], 0.0f);
        break;
    }
  }
}

void Encoder::RunLayer(const Layer& layer, absl::Span<const EncoderText> texts, bool first_only,
                       Pass* pass) const {
  const size_t width = config_.hidden_size;
  float* hidden = pass->hidden.data();
  float* key_value = kernels::Grow(&pass->key_value, pass->rows * 2 * width);
  Apply(layer.key_value, hidden, pass->rows, width, false, pass, key_value);
  for (size_t r = 0; r < pass->rows; ++r) {
    kernels::GetElementwiseKernels().add(layer.key_value.bias.data(), 2 * width,
                                         key_value + r * 2 * width);
  }
  size_t rows = pass->rows;
  if (first_only) {
    // The first rows move to the front; what lies behind them only pads the batch.
    size_t row = 0;
    for (size_t t = 0; t < texts.size(); row += texts[t].tokens.size(), ++t) {
      std::copy_n(hidden + row * width, width, hidden + t * width);
    }
    rows = PaddedRows(texts.size());
  }
  float* queries = kernels::Grow(&pass->queries, rows * width);
  Apply(layer.query, hidden, rows, width, false, pass, queries);
  for (size_t r = 0; r < rows; ++r) {
    kernels::GetElementwiseKernels().add(layer.query.bias.data(), width, queries + r * width);
  }
  Attend(texts, first_only, pass);
  Apply(layer.attended, queries, rows, width, true, pass, hidden);
  NormRows(layer.attended, layer.attention_norm, rows, hidden);
  float* up = kernels::Grow(&pass->up, rows * config_.intermediate_size);
  Apply(layer.up, hidden, rows, width, false, pass, up);
  Activate(layer, rows, pass);
  Apply(layer.down, up, rows, config_.intermediate_size, true, pass, hidden);
  NormRows(layer.down, layer.output_norm, rows, hidden);
}

// Head by head of each text: its keys and values become tiles, and its queries become what they
// attend to.
void Encoder::Attend(absl::Span<const EncoderText> texts, bool first_only, Pass* pass) const {
  const size_t width = config_.hidden_size, head_dim = config_.head_dim();
  const size_t tile_bytes = kernels::KvTileBytes(kv_type_, head_dim);
  const float* key_value = pass->key_value.data();
  float* queries = pass->queries.data();
  for (const EncoderText& text : texts) {
    const size_t tokens = text.tokens.size();
    const size_t tiles = (tokens + kernels::kKvTileTokens - 1) / kernels::kKvTileTokens;
    if (pass->tiles.size() < tiles * tile_bytes) {
      std::fill_n(kernels::Grow(&pass->tiles, tiles * tile_bytes), tiles * tile_bytes,
                  std::byte{0});
    }
    pass->tile_list.clear();
    for (size_t t = 0; t < tiles; ++t) {
      pass->tile_list.push_back(pass->tiles.data() + t * tile_bytes);
    }
    const size_t rows = first_only ? 1 : tokens;
    for (size_t h = 0; h < config_.heads; ++h) {
      for (size_t i = 0; i < tokens; ++i) {
        const float* key = key_value + i * 2 * width + h * head_dim;
        kernels::StoreKv(kv_type_, pass->tiles.data() + i / kernels::kKvTileTokens * tile_bytes,
                         head_dim, i % kernels::kKvTileTokens, key, key + width);
      }
      for (size_t begin = 0; begin < rows; begin += kernels::kAttentionRows) {
        const size_t count = std::min(kernels::kAttentionRows, rows - begin);
        pass->attention.Begin(kv_type_, head_dim, count);
        for (size_t r = 0; r < count; ++r) {
          pass->attention.SetRow(r, queries + (begin + r) * width + h * head_dim, 0,
                                 static_cast<uint32_t>(tokens));
        }
        pass->attention.Attend(pass->tile_list.data(), 0, 0, tiles);
        for (size_t r = 0; r < count; ++r) {
          pass->attention.Finish(r, queries + (begin + r) * width + h * head_dim);
        }
      }
    }
    key_value += tokens * 2 * width;
    queries += rows * width;
  }
}

void Encoder::Classify(const float* state, float* logits) const {
  const size_t width = config_.hidden_size;
  std::vector<float> pooled(width);
  for (size_t i = 0; i < width; ++i) {
    double sum = pooler_bias_[i];
    for (size_t j = 0; j < width; ++j) sum += double{pooler_weight_[i * width + j]} * state[j];
    pooled[i] = static_cast<float>(std::tanh(sum));
  }
  for (size_t l = 0; l < config_.labels; ++l) {
    double sum = classifier_bias_[l];
    for (size_t j = 0; j < width; ++j) sum += double{classifier_weight_[l * width + j]} * pooled[j];
    logits[l] = static_cast<float>(sum);
  }
}

}  // namespace cairn::engine
