#include "engine/model/decoder_weights.h"

#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace cairn::engine {
namespace {

using kernels::BlockFormat;
using kernels::PackedMatrix;

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, kernels::ThreadTeam* team)
      : checkpoint_(checkpoint), team_(team) {}

  // The first error of any call.
  const absl::Status& status() const { return status_; }

  std::vector<float> Vector(const std::string& name) {
    absl::StatusOr<TensorView> view = checkpoint_.Find(name);
    if (!view.ok()) {
      status_.Update(view.status());
      return {};
    }
    uint64_t size = 1;
    for (uint64_t extent : view->shape) size *= extent;
    std::vector<float> values(size);
    kernels::Dequantize(view->format, view->bytes.data(), size, values.data());
    return values;
  }
  std::vector<float> OptionalVector(const std::string& name) {
    return checkpoint_.Find(name).ok() ? Vector(name) : std::vector<float>();
  }

  PackedMatrix Matrix(const std::string& name) {
    absl::StatusOr<TensorView> view = checkpoint_.Find(name);
    if (!view.ok() || view->shape.size() != 2) {
      status_.Update(view.ok() ? absl::InvalidArgumentError(absl::StrCat(name, " is no matrix"))
                               : view.status());
      return {};
    }
    const size_t rows = view->shape[0], columns = view->shape[1];
    const size_t row_bytes = kernels::FormatBytes(view->format, columns);
    PackedMatrix matrix(view->format, rows, columns);
    const char* bytes = view->bytes.data();
    team_->Run([&](size_t member) {
      const kernels::Share share =
          kernels::ShareOf(rows, kernels::kTileRows, member, team_->size());
      // Run by run, so that the mapping's resident part stays small.
      constexpr size_t kRun = 64 * kernels::kTileRows;
      for (size_t row = share.begin; row < share.end; row += kRun) {
        const size_t count = std::min(kRun, share.end - row);
        matrix.PackRows(row, count, bytes + row * row_bytes);
        checkpoint_.Drop(
            {view->format, {}, view->bytes.substr(row * row_bytes, count * row_bytes)});
      }
    });
    checkpoint_.Drop(*view);
    return matrix;
  }

  LayerWeights Layer(size_t index) {
    const std::string prefix = absl::StrCat("blk.", index, ".");
    const auto matrix = [&](const char* name) { return Matrix(prefix + name + ".weight"); };
    LayerWeights layer;
    layer.attention_norm = Vector(prefix + "attn_norm.weight");
    layer.query = matrix("attn_q");
    layer.key = matrix("attn_k");
    layer.value = matrix("attn_v");
    layer.qkv_bias = QkvBias(prefix, layer);
    layer.query_norm = OptionalVector(prefix + "attn_q_norm.weight");
    layer.key_norm = OptionalVector(prefix + "attn_k_norm.weight");
    layer.output = matrix("attn_output");
    layer.feed_forward_norm = Vector(prefix + "ffn_norm.weight");
    layer.gate = matrix("ffn_gate");
    layer.up = matrix("ffn_up");
    layer.down = matrix("ffn_down");
    return layer;
  }

 private:
  // The three biases behind each other, zeros for one that is absent; empty where all are.
  std::vector<float> QkvBias(const std::string& prefix, const LayerWeights& layer) {
    std::vector<float> all;
    bool any = false;
    const auto append = [&](const char* name, size_t size) {
      std::vector<float> bias = OptionalVector(prefix + name);
      any = any || !bias.empty();
      bias.resize(size);
      all.insert(all.end(), bias.begin(), bias.end());
    };
    append("attn_q.bias", layer.query.rows());
    append("attn_k.bias", layer.key.rows());
    append("attn_v.bias", layer.value.rows());
    return any ? all : std::vector<float>();
  }

  const Checkpoint& checkpoint_;
  kernels::ThreadTeam* const team_;
  absl::Status status_;
};

}  // namespace

size_t LayerWeights::bytes() const {
  size_t total = 0;
  for (const PackedMatrix* m : {&query, &key, &value, &output, &gate, &up, &down}) {
    total += m->bytes();
  }
  return total;
}

size_t DecoderWeights::bytes() const {
  size_t total = output.bytes();
  for (const LayerWeights& layer : layers) total += layer.bytes();
  return total;
}

absl::StatusOr<DecoderWeights> LoadDecoderWeights(const Checkpoint& checkpoint,
                                                  kernels::ThreadTeam* team) {
  const ModelConfig& config = checkpoint.config();
  Loader loader(checkpoint, team);
  DecoderWeights weights;
  for (size_t l = 0; l < config.layers && loader.status().ok(); ++l) {
    weights.layers.push_back(loader.Layer(l));
  }
  weights.output_norm = loader.Vector("output_norm.weight");
  weights.output = loader.Matrix(config.tied_embeddings ? "token_embd.weight" : "output.weight");
  if (!loader.status().ok()) return loader.status();
  return weights;
}

}  // namespace cairn::engine
