// A language model on disk, whatever its file format: settings, tensors, tokenizer, chat template.
#ifndef CAIRN_ENGINE_MODEL_CHECKPOINT_H_
#define CAIRN_ENGINE_MODEL_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "chunking/text/tokenizer.h"
#include "kernels/block_format.h"

namespace cairn::engine {

// Llama stands for Llama 2/3, Mistral and SmolLM too; Qwen2 has biases on q, k and v; Qwen3 has
// RMS norms on each head's queries and keys.
enum class Architecture : uint8_t { kLlama, kQwen2, kQwen3 };

// Which dimensions of a head RoPE turns together: (2i, 2i + 1), as in Llama's original weights and
// GGUF files of the llama architecture, or (i, i + dims / 2), as in Hugging Face's and Qwen's.
enum class RopePairing : uint8_t { kInterleaved, kHalves };

// How RoPE's frequencies are stretched for contexts longer than the model was trained on.
struct RopeScaling {
  enum class Kind : uint8_t {
    kNone,
    kLinear,      // Positions divided by `factor`.
    kDynamicNtk,  // Base raised with the length beyond `original_context` ("NTK-aware").
    kYarn,        // arXiv 2309.00071; with attention scaling.
    kLlama3,      // Smooth interpolation between low and high frequencies.
  };
  Kind kind = Kind::kNone;
  float factor = 1;
  uint32_t original_context = 0;
  float attention_factor = 0;  // YaRN; 0: 0.1 ln(factor) + 1.
  float beta_fast = 32;        // YaRN
  float beta_slow = 1;         // YaRN
  float low_freq_factor = 1;   // Llama 3
  float high_freq_factor = 4;  // Llama 3
};

// All counts are checked: positive, and of a size that their products cannot overflow.
struct ModelConfig {
  Architecture architecture = Architecture::kLlama;
  std::string name;  // As the file calls it; may be empty.
  uint32_t layers = 0;
  uint32_t hidden_size = 0;
  uint32_t intermediate_size = 0;
  uint32_t heads = 0;     // Query heads.
  uint32_t kv_heads = 0;  // Divides `heads`.
  uint32_t head_dim = 0;  // Even; need not be hidden_size / heads.
  uint32_t vocabulary_size = 0;
  uint32_t context_length = 0;  // Positions that the model was made for.
  float norm_epsilon = 1e-5f;
  float rope_theta = 10000;
  uint32_t rope_dims = 0;  // Leading dimensions of a head that RoPE turns; even, at most head_dim.
  RopePairing rope_pairing = RopePairing::kHalves;
  RopeScaling rope_scaling;
  // Divisors of RoPE's frequencies [rope_dims / 2], where the file brings them ("rope_freqs");
  // empty: all 1.
  std::vector<float> rope_divisors;
  uint32_t sliding_window = 0;  // Keys a query sees, itself included; 0: all.
  // Layers that see everything all the same: those before `sliding_first_layer`, and every layer l
  // with l % sliding_pattern == sliding_pattern - 1 (0: none).
  uint32_t sliding_first_layer = 0;
  uint32_t sliding_pattern = 0;
  // Keys that a query of `layer` sees, as sliding_window counts them.
  uint32_t WindowOf(uint32_t layer) const {
    const bool full = layer < sliding_first_layer ||
                      (sliding_pattern > 0 && layer % sliding_pattern == sliding_pattern - 1);
    return full ? 0 : sliding_window;
  }
  bool tied_embeddings = false;  // No output.weight: the embedding matrix is the output layer.
  // Tokens that end an answer by the model's own generation settings, besides those that the
  // tokenizer knows of; all below vocabulary_size.
  std::vector<uint32_t> end_tokens;
};

// A tensor's bytes inside a mapped file, checked to lie within it and to fit shape and format.
struct TensorView {
  kernels::BlockFormat format = kernels::BlockFormat::kF32;
  std::vector<uint64_t> shape;  // Row-major: [rows][columns] of a matrix; blocks run along columns.
  std::string_view bytes;       // May be unaligned.
};

// Tensors go by GGUF's names, whatever the file: token_embd.weight [vocabulary][hidden],
// blk.N.{attn_norm,attn_q,attn_k,attn_v,attn_q_norm,attn_k_norm,attn_output,ffn_norm,ffn_gate,
// ffn_up,ffn_down}.weight, blk.N.attn_{q,k,v}.bias, output_norm.weight, output.weight.
// Immutable and thread-safe, except where said.
class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  // A GGUF file (v2, v3), or a Hugging Face directory (config.json, *.safetensors with or without
  // an index, tokenizer.json or tokenizer.model). Maps the weights, reads nothing of them.
  // NotFound; InvalidArgument saying what is wrong with which part of the file.
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Open(const std::string& path);

  virtual const ModelConfig& config() const = 0;

  // NotFound naming the tensor where the model has none of that name.
  virtual absl::StatusOr<TensorView> Find(std::string_view name) const = 0;
  virtual std::vector<std::string> TensorNames() const = 0;

  // The tokenizer that belongs to the weights.
  virtual absl::StatusOr<std::unique_ptr<chunking::Tokenizer>> LoadTokenizer() const = 0;

  // The Jinja source that the model's maker gave, or empty.
  virtual const std::string& chat_template() const = 0;

  // Hex digest that names these weights and this tokenizer, from everything but the weights' bytes
  // themselves and from samples of those; computed without reading the whole file.
  virtual const std::string& fingerprint() const = 0;

  // Lets the system drop the pages of `tensor` that were read; a later read gets them again.
  virtual void Drop(const TensorView& tensor) const = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_CHECKPOINT_H_
