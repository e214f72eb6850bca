#include "chunking/text/word_count.h"

#include <unicode/uchar.h>

#include <string>
#include <vector>

#include "chunking/text/normalize.h"
#include "chunking/text/utf8.h"

namespace cairn::chunking {
namespace {

bool SeparatesWords(char32_t c) {
  return (c >= 0x1C && c <= 0x1F) || u_isUWhiteSpace(static_cast<UChar32>(c)) != 0;
}

// Where the stretches without white space end.
std::vector<size_t> WordEnds(std::string_view utf8) {
  std::vector<size_t> ends;
  bool in_word = false;
  const char* const end = utf8.data() + utf8.size();
  for (const char* p = utf8.data(); p < end;) {
    const DecodedCodePoint c = DecodeUtf8(p, end);
    const bool space = SeparatesWords(c.value);
    if (in_word && space) ends.push_back(static_cast<size_t>(p - utf8.data()));
    in_word = !space;
    p += c.size;
  }
  if (in_word) ends.push_back(utf8.size());
  return ends;
}

}  // namespace

size_t CountWords(std::string_view utf8) { return WordEnds(NormalizeCompatibility(utf8)).size(); }

std::string_view FirstWords(std::string_view utf8, size_t words) {
  const std::vector<size_t> ends = WordEnds(utf8);
  // NFKC makes several words of some characters: the number is known only once it is counted.
  size_t low = 0, high = ends.size();  // Stretches that fit, that may fit.
  while (low < high) {
    const size_t middle = (low + high + 1) / 2;
    if (CountWords(utf8.substr(0, ends[middle - 1])) <= words) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return utf8.substr(0, low == 0 ? 0 : ends[low - 1]);
}

}  // namespace cairn::chunking
