#include "engine/model/gguf_types.h"

#include <array>
#include <iterator>

namespace cairn::engine {
namespace {

using kernels::BlockFormat;

struct TypeEntry {
  BlockFormat format;
  uint32_t ggml_type;
  uint32_t file_type;
};
// For K formats the file type is that of llama.cpp's small mixture ("Q4_K_S").
constexpr std::array<TypeEntry, kernels::kBlockFormats> kTypes = {{
    {BlockFormat::kF32, 0, 0},
    {BlockFormat::kF16, 1, 1},
    {BlockFormat::kBF16, 30, 32},
    {BlockFormat::kQ8_0, 8, 7},
    {BlockFormat::kQ4_0, 2, 2},
    {BlockFormat::kQ4_1, 3, 3},
    {BlockFormat::kQ5_0, 6, 8},
    {BlockFormat::kQ5_1, 7, 9},
    {BlockFormat::kQ4_K, 12, 14},
    {BlockFormat::kQ5_K, 13, 16},
    {BlockFormat::kQ6_K, 14, 18},
}};

// By number; those that were withdrawn are empty.
constexpr const char* kNames[] = {
    "F32",    "F16",   "Q4_0",  "Q4_1",   "",      "",      "Q5_0",    "Q5_1",   "Q8_0",    "Q8_1",
    "Q2_K",   "Q3_K",  "Q4_K",  "Q5_K",   "Q6_K",  "Q8_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S",
    "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",    "I16",   "I32",     "I64",    "F64",     "IQ1_M",
    "BF16",   "",      "",      "",       "TQ1_0", "TQ2_0", "",        "",       "",        "MXFP4",
};

}  // namespace

std::optional<BlockFormat> FormatOfGgmlType(uint32_t type) {
  for (const TypeEntry& entry : kTypes) {
    if (entry.ggml_type == type) return entry.format;
  }
  return std::nullopt;
}

uint32_t GgmlTypeOf(BlockFormat format) { return kTypes[static_cast<size_t>(format)].ggml_type; }

std::string GgmlTypeName(uint32_t type) {
  const bool known = type < std::size(kNames) && kNames[type][0] != '\0';
  return known ? kNames[type] : "unknown";
}

uint32_t GgufFileType(BlockFormat format) { return kTypes[static_cast<size_t>(format)].file_type; }

}  // namespace cairn::engine
