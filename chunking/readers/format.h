// Tells formats apart.
#ifndef CAIRN_CHUNKING_READERS_FORMAT_H_
#define CAIRN_CHUNKING_READERS_FORMAT_H_

#include <string_view>

#include "chunking/readers/reader.h"

namespace cairn::chunking {

// Bytes from the start of an input that are enough to tell its format.
inline constexpr size_t kFormatHead = 4096;

// By the extension of `source`; by the input's first bytes when it has none that is known. Never
// kAuto: what cannot be told is plain text.
Format DetectFormat(std::string_view source, std::string_view head);

// What kind of binary file `head` starts, in words ("a PDF file"); empty: none that is known, which
// includes every text.
std::string_view BinaryKind(std::string_view head);

std::string_view MediaType(Format format);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_FORMAT_H_
