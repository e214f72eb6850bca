// Writer of the safetensors format.
#ifndef CAIRN_ENGINE_MODEL_SAFETENSORS_WRITER_H_
#define CAIRN_ENGINE_MODEL_SAFETENSORS_WRITER_H_

#include <string>
#include <utility>
#include <vector>

#include "engine/model/safetensors.h"

namespace cairn::engine {

// The file of `tensors`, each name once, whose bytes have the size that shape and type say. Types
// with larger elements come first, so that all are aligned, and the header is padded to a multiple
// of eight bytes: as the format's own library writes them.
std::string EncodeSafetensors(std::vector<std::pair<std::string, Tensor>> tensors);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_SAFETENSORS_WRITER_H_
