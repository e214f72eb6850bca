// GPT-2's alphabet: a printable character for each byte, in which byte-level vocabularies are
// written.
#ifndef CAIRN_CHUNKING_TEXT_BYTE_ALPHABET_H_
#define CAIRN_CHUNKING_TEXT_BYTE_ALPHABET_H_

#include <optional>
#include <string>
#include <string_view>

namespace cairn::chunking {

// The bytes that `token` is written for; nothing where it has a character outside the alphabet.
std::optional<std::string> BytesFromAlphabet(std::string_view token);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_BYTE_ALPHABET_H_
