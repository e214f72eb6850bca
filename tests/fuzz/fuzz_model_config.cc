// config.json of language models and encoders, and the files beside it: the settings of a model,
// its chat template, its vocabulary.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/model/encoder_config.h"
#include "engine/model/hf_config.h"
#include "engine/model/hf_files.h"
#include "engine/model/hf_vocabulary.h"
#include "engine/model/model_layout.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cairn::engine;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = ParseHfConfig(text);
  if (config.ok()) {
    if (!CheckConfig(*config).ok()) std::abort();
    if (TensorsOf(*config).empty()) std::abort();
    for (uint32_t layer = 0; layer < config->layers; ++layer) {
      if (config->WindowOf(layer) > config->sliding_window) std::abort();
    }
  }
  if (const auto encoder = ParseEncoderConfig(text); encoder.ok()) {
    if (!IsEncoderConfig(text) || TensorsOf(*encoder).empty()) std::abort();
    if (encoder->max_tokens() < 3 || encoder->head_dim() == 0) std::abort();
  }
  (void)ParseChatTemplate(text);
  if (const auto ends = ParseEndTokens(text, 100); ends.ok()) {
    for (uint32_t id : *ends) {
      if (id >= 100) std::abort();
    }
  }
  const auto vocabulary = DescribeTokenizerJson(text, text, 300);
  if (vocabulary.ok() && vocabulary->tokens.size() != 300) std::abort();
  return 0;
}
