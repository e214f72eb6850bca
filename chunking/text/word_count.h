// Words as limits on the length of a text count them.
#ifndef CAIRN_CHUNKING_TEXT_WORD_COUNT_H_
#define CAIRN_CHUNKING_TEXT_WORD_COUNT_H_

#include <cstddef>
#include <string_view>

namespace cairn::chunking {

// Stretches without white space in the NFKC form of `utf8`, white space being what Python's
// str.split() takes for it: Unicode's, and U+001C to U+001F. Ill-formed bytes count as U+FFFD.
size_t CountWords(std::string_view utf8);

// The longest beginning of `utf8` that ends with a word and has at most `words` of them; empty
// where the first stretch has more by itself.
std::string_view FirstWords(std::string_view utf8, size_t words);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_WORD_COUNT_H_
