// How vectors are stored for scoring.
#ifndef CAIRN_INDEX_VECTOR_ENCODING_H_
#define CAIRN_INDEX_VECTOR_ENCODING_H_

#include <cstdint>
#include <string_view>

namespace cairn::index {

enum class VectorEncoding : uint8_t { kFloat32 = 0, kBfloat16 = 1, kInt8 = 2 };

std::string_view VectorEncodingName(VectorEncoding encoding);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_VECTOR_ENCODING_H_
