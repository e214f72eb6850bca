// Bytes that should be UTF-8, made so.
#ifndef CAIRN_CHUNKING_TEXT_UTF8_REPAIR_H_
#define CAIRN_CHUNKING_TEXT_UTF8_REPAIR_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace cairn::chunking {

// Appends `bytes`, where each longest stretch that begins a character without completing it, and
// each byte that cannot begin one, becomes one U+FFFD (Unicode 15, section 3.9, "substitution of
// maximal subparts"; Python's errors="replace").
void AppendRepairedUtf8(std::string_view bytes, std::string* out);

// The number of bytes at the end of `bytes` that begin a character which further bytes may
// complete; 0 to 3.
size_t UnfinishedUtf8(std::string_view bytes);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_UTF8_REPAIR_H_
