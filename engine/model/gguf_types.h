// The numbers by which ggml, and so GGUF files, name the formats of tensors.
#ifndef CAIRN_ENGINE_MODEL_GGUF_TYPES_H_
#define CAIRN_ENGINE_MODEL_GGUF_TYPES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/block_format.h"

namespace cairn::engine {

// Nothing for formats that cairn has none for.
std::optional<kernels::BlockFormat> FormatOfGgmlType(uint32_t type);
uint32_t GgmlTypeOf(kernels::BlockFormat format);

// "Q2_K", or "unknown": for messages.
std::string GgmlTypeName(uint32_t type);

// general.file_type of a file whose matrices are mostly of `format`.
uint32_t GgufFileType(kernels::BlockFormat format);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_GGUF_TYPES_H_
