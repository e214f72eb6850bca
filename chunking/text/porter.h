// The Porter stemmer.
#ifndef CAIRN_CHUNKING_TEXT_PORTER_H_
#define CAIRN_CHUNKING_TEXT_PORTER_H_

#include <cstddef>

namespace cairn::chunking {

// Stems the lower-case word[0, size) in place and returns the stem's length, never more than
// `size`. M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the two
// changes of his own programs that Lucene also has: step 2 replaces "bli" by "ble" (for "abli" by
// "able") and "logi" by "log"; words of one or two characters are left as they are. Anything but a
// to z counts as a consonant. `Char` is char for ASCII words, char32_t for others.
template <typename Char>
size_t PorterStem(Char* word, size_t size);

extern template size_t PorterStem<char>(char* word, size_t size);
extern template size_t PorterStem<char32_t>(char32_t* word, size_t size);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_PORTER_H_
