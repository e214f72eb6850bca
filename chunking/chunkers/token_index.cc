#include "chunking/chunkers/token_index.h"

#include <algorithm>

namespace cairn::chunking {
namespace {

constexpr size_t kSlice = size_t{256} << 10;       // Small enough for the tokens to stay in cache.
constexpr size_t kMostReserved = size_t{1} << 26;  // Tokens; beyond that, memory grows as needed.
constexpr size_t kLongestSlice = size_t{1} << 30;  // Of a text without any white space.

// Length of the first slice of `text`: up to and with white space that separates words for every
// tokenizer; only a gigabyte without any is cut elsewhere, before a character.
size_t SliceLength(std::string_view text) {
  if (text.size() <= kSlice) return text.size();
  constexpr std::string_view kSpace = " \t\n";
  size_t cut = text.find_last_of(kSpace, kSlice - 1);
  if (cut == std::string_view::npos) {
    cut = text.substr(0, kLongestSlice).find_first_of(kSpace, kSlice);
  }
  if (cut != std::string_view::npos) return cut + 1;
  if (text.size() <= kLongestSlice) return text.size();
  cut = kLongestSlice;
  while (cut > kSlice && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return cut;
}

}  // namespace

TokenIndex::TokenIndex(std::string_view text, const Tokenizer& tokenizer) {
  std::vector<Token> slice;
  for (size_t base = 0; base < text.size();) {
    const size_t length = SliceLength(text.substr(base));
    slice.clear();
    tokenizer.Encode(text.substr(base, length), &slice);
    if (base == 0 && length < text.size()) {  // The rest is likely of the same density.
      const double density = static_cast<double>(slice.size()) / static_cast<double>(length);
      const double expected = density * 1.1 * static_cast<double>(text.size());
      begins_.reserve(std::min(kMostReserved, static_cast<size_t>(expected)));
    }
    for (const Token& token : slice) {
      const bool empty = token.begin == token.end && token.begin > 0;
      begins_.push_back(base + token.begin - (empty ? 1 : 0));
    }
    base += length;
  }
}

size_t TokenIndex::Before(size_t position) {
  Answer& recent = recent_[position % recent_.size()];
  if (recent.position == position) return recent.token;
  size_t low = last_;   // Every token before `low` begins before `position`.
  size_t high = last_;  // Every token from `high` on does not.
  size_t step = 1;
  if (low < begins_.size() && begins_[low] < position) {
    while (high < begins_.size() && begins_[high] < position) {
      low = high + 1;
      high += std::min(step, begins_.size() - high);
      step *= 2;
    }
  } else {
    while (low > 0 && begins_[low - 1] >= position) {
      high = low - 1;
      low -= std::min(step, low);
      step *= 2;
    }
  }
  const auto first = begins_.begin();
  last_ =
      static_cast<size_t>(std::lower_bound(first + static_cast<std::ptrdiff_t>(low),
                                           first + static_cast<std::ptrdiff_t>(high), position) -
                          first);
  recent = {position, last_};
  return last_;
}

}  // namespace cairn::chunking
