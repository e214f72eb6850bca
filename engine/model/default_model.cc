#include "engine/model/default_model.h"

#include <string_view>

// Defined in default_model.S.
extern "C" {
extern const char cairn_default_config_begin[];
extern const char cairn_default_config_end[];
extern const char cairn_default_safetensors_begin[];
extern const char cairn_default_safetensors_end[];
extern const char cairn_default_tokenizer_begin[];
extern const char cairn_default_tokenizer_end[];
}

namespace cairn::engine {
namespace {

std::string_view Between(const char* begin, const char* end) {
  return {begin, static_cast<size_t>(end - begin)};
}

}  // namespace

StaticModelFiles DefaultModelFiles() {
  return {Between(cairn_default_config_begin, cairn_default_config_end),
          Between(cairn_default_safetensors_begin, cairn_default_safetensors_end),
          Between(cairn_default_tokenizer_begin, cairn_default_tokenizer_end)};
}

}  // namespace cairn::engine
