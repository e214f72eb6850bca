// Unicode normalisation at the door: what is stored, and what is compared.
#ifndef CAIRN_CHUNKING_TEXT_NORMALIZE_H_
#define CAIRN_CHUNKING_TEXT_NORMALIZE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace cairn::chunking {

// The form in which text is stored: valid UTF-8, no byte-order mark at the start, "\r\n" and lone
// "\r" become "\n", NFC. InvalidArgument naming line and byte offset for invalid UTF-8 or a NUL.
absl::StatusOr<std::string> NormalizeText(std::string_view utf8);

// The form in which text is compared: NFKC with case folding (Unicode NFKC_Casefold). Input must be
// valid UTF-8 (as NormalizeText returns it); ill-formed sequences become U+FFFD.
std::string FoldForMatching(std::string_view utf8);

// Unicode NFKC, case kept: what formats that count words or characters ask for. Input as above.
std::string NormalizeCompatibility(std::string_view utf8);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_NORMALIZE_H_
