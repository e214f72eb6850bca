#include "engine/model/open_model.h"

#include <filesystem>

#include "engine/model/cross_encoder.h"
#include "engine/model/decoder_embedder.h"
#include "engine/model/encoder_config.h"
#include "engine/model/encoder_embedder.h"
#include "engine/model/hf_config.h"
#include "engine/model/hf_files.h"
#include "engine/model/model_file.h"
#include "engine/model/static_embedder.h"

namespace cairn::engine {
namespace {}  // namespace

absl::StatusOr<std::unique_ptr<Embedder>> OpenEmbedder(const std::string& path) {
  if (std::error_code error; std::filesystem::is_regular_file(path, error)) {
    return OpenDecoderEmbedder(path, {});
  }
  const auto config = ReadOptionalFile(path + "/config.json", kMaxConfigBytes);
  if (!config.ok()) return config.status();
  if (config->has_value() && IsEncoderConfig(**config)) return OpenEncoderEmbedder(path, {});
  if (config->has_value() && IsLanguageModelConfig(**config)) return OpenDecoderEmbedder(path, {});
  return StaticEmbedder::Load(path);
}

absl::StatusOr<std::unique_ptr<Reranker>> OpenReranker(const std::string& path) {
  CrossEncoderOptions options;
  // Order is all that is asked of the scores, and int8 is about twice as fast.
  options.encoder.compute = kernels::ComputeType::kI8;
  return OpenCrossEncoder(path, options);
}

}  // namespace cairn::engine
