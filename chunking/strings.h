// Small helpers for strings.
#ifndef CAIRN_CHUNKING_STRINGS_H_
#define CAIRN_CHUNKING_STRINGS_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace cairn::chunking {

inline bool IsAsciiSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Abseil's string_view may be a type of its own, which std::string_view does not convert to.
inline absl::string_view AbslView(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_STRINGS_H_
