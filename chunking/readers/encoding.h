// Character encodings to UTF-8.
#ifndef CAIRN_CHUNKING_READERS_ENCODING_H_
#define CAIRN_CHUNKING_READERS_ENCODING_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn::chunking {

// The encoding a byte-order mark announces.
enum class Bom { kNone, kUtf8, kUtf16Le, kUtf16Be, kUtf32Le, kUtf32Be };
Bom FindBom(std::string_view bytes);
std::string_view BomName(Bom bom);  // "UTF-16LE", ...; empty for kNone.

// Takes the byte-order mark off `bytes`. UTF-16 and UTF-32 are converted to UTF-8 in `storage`,
// which `bytes` then shows. Whatever has no mark, or UTF-8's, is not checked. InvalidArgument when
// the conversion fails.
absl::Status DecodeBom(std::string_view* bytes, std::string* storage);

// HTML without a byte-order mark: converts from the encoding that an XML declaration or a <meta>
// near the start names; without one, from windows-1252 unless the bytes are valid UTF-8 (the HTML
// standard's default). Bytes that the named encoding lacks become U+FFFD; a page that says it is
// UTF-8 is left as it is, faults included. `storage`: as above.
absl::Status DecodeHtml(std::string_view* bytes, std::string* storage);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_ENCODING_H_
