// Tokens that are looked for in the text itself, before it is split into words: "[SEP]".
#ifndef CAIRN_CHUNKING_TEXT_ADDED_TOKENS_H_
#define CAIRN_CHUNKING_TEXT_ADDED_TOKENS_H_

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "chunking/text/tokenizer.h"
#include "chunking/text/vocabulary.h"

namespace cairn::chunking {

inline constexpr size_t kMaxAddedTokens = 100'000;
inline constexpr uint32_t kMaxTokenId = 0x7FFFFFFF;

// The flags are those of tokenizer.json.
struct AddedToken {
  std::string content;
  uint32_t id = 0;
  bool single_word = false;  // Only where no word character touches it.
  bool lstrip = false;       // Takes the white space before it.
  bool rstrip = false;       // Takes the white space after it.
  bool normalized = false;   // Looked for in the normalised text, else in the text as it is.
  bool special = false;      // A control token: text must not spell it, but for ControlText.
};

// Finds added tokens from left to right, the longest first, as Hugging Face's tokenizers does.
// Thread-safe once built.
class AddedTokenMatcher {
 public:
  struct Match {
    size_t begin = 0;
    size_t end = 0;
    uint32_t id = 0;
  };

  // Of tokens with the same content the first counts; those without content are left out.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }

  // The first match in text[from, size), for `from` = 0 or the end of the previous match. False
  // where there is none.
  bool Next(std::string_view text, size_t from, Match* match) const;

 private:
  // The longest token at text[at], or null.
  const AddedToken* LongestAt(std::string_view text, size_t at) const;
  size_t NextCandidate(std::string_view text, size_t from) const;

  std::vector<AddedToken> tokens_;
  Vocabulary index_;                                // Content to the position in tokens_.
  std::array<std::vector<uint32_t>, 256> lengths_;  // By first byte, descending, distinct.
  std::bitset<256> first_bytes_;
};

// The added tokens that count in the text as it is, or in the normalised text, when control tokens
// are recognised and when they are not.
class AddedTokens {
 public:
  // `normalize` gives the normalised form of a token's content.
  AddedTokens(const std::vector<AddedToken>& tokens,
              const std::function<std::string(std::string_view)>& normalize);

  const AddedTokenMatcher& raw(ControlText control) const {
    return control == ControlText::kAsTokens ? raw_ : raw_without_control_;
  }
  const AddedTokenMatcher& normalized(ControlText control) const {
    return control == ControlText::kAsTokens ? normalized_ : normalized_without_control_;
  }

 private:
  AddedTokenMatcher raw_;
  AddedTokenMatcher raw_without_control_;
  AddedTokenMatcher normalized_;
  AddedTokenMatcher normalized_without_control_;
};

// Calls between(begin, end) for the text before, between and after the matches, empty or not, and
// found(match) for the matches, from left to right.
template <typename Between, typename Found>
void SplitAtAddedTokens(const AddedTokenMatcher& matcher, std::string_view text, Between between,
                        Found found) {
  size_t done = 0;
  AddedTokenMatcher::Match match;
  while (matcher.Next(text, done, &match)) {
    between(done, match.begin);
    found(match);
    done = match.end;
  }
  between(done, text.size());
}

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_ADDED_TOKENS_H_
