#include "chunking/text/added_tokens.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "chunking/text/utf8.h"

namespace cairn::chunking {
namespace {

// \w of Unicode regular expressions: Alphabetic, Mark, Decimal_Number, Connector_Punctuation,
// Join_Control.
bool IsWordCharacter(char32_t code_point) {
  const UChar32 c = static_cast<UChar32>(code_point);
  return u_isUAlphabetic(c) || u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL) ||
         (U_GET_GC_MASK(c) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

size_t LastCodePoint(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && IsUtf8Trail(text[at])) --at;
  return at;
}

char32_t CodePointAt(std::string_view text, size_t at) {
  return DecodeUtf8(text.data() + at, text.data() + text.size()).value;
}

bool EndsWithWord(std::string_view text) {
  return !text.empty() && IsWordCharacter(CodePointAt(text, LastCodePoint(text)));
}

bool StartsWithWord(std::string_view text) {
  return !text.empty() && IsWordCharacter(CodePointAt(text, 0));
}

// The tokens with that `normalized`, as they look there; without control tokens if not `control`.
std::vector<AddedToken> Select(const std::vector<AddedToken>& tokens, bool normalized, bool control,
                               const std::function<std::string(std::string_view)>& normalize) {
  std::vector<AddedToken> selected;
  for (const AddedToken& token : tokens) {
    if (token.normalized != normalized || (token.special && !control)) continue;
    selected.push_back(token);
    if (normalized) selected.back().content = normalize(token.content);
  }
  return selected;
}

bool IsSpace(char32_t c) { return u_isUWhiteSpace(static_cast<UChar32>(c)); }

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) {
  for (AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    if (!index_.Insert(token.content, static_cast<uint32_t>(tokens_.size()))) continue;
    const uint8_t first = static_cast<uint8_t>(token.content.front());
    first_bytes_.set(first);
    lengths_[first].push_back(static_cast<uint32_t>(token.content.size()));
    tokens_.push_back(std::move(token));
  }
  for (std::vector<uint32_t>& lengths : lengths_) {
    std::sort(lengths.begin(), lengths.end(), std::greater<>());
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  }
}

const AddedToken* AddedTokenMatcher::LongestAt(std::string_view text, size_t at) const {
  const uint64_t possible = index_.PossibleLengths(text.data() + at, text.size() - at);
  for (const uint32_t length : lengths_[static_cast<uint8_t>(text[at])]) {
    if (length > text.size() - at) continue;
    if ((possible >> (std::min<uint32_t>(length, 64) - 1) & 1) == 0) continue;
    const uint32_t found = index_.Find(text.data() + at, length);
    if (found != Vocabulary::kNone) return &tokens_[found];
  }
  return nullptr;
}

size_t AddedTokenMatcher::NextCandidate(std::string_view text, size_t from) const {
  if (first_bytes_.count() == 1) {  // The usual case, "[": memchr.
    const size_t at = text.find(tokens_.front().content.front(), from);
    return at == std::string_view::npos ? text.size() : at;
  }
  while (from < text.size() && !first_bytes_[static_cast<uint8_t>(text[from])]) ++from;
  return from;
}

bool AddedTokenMatcher::Next(std::string_view text, size_t from, Match* match) const {
  if (tokens_.empty()) return false;
  for (size_t at = NextCandidate(text, from); at < text.size();) {
    const AddedToken* token = LongestAt(text, at);
    if (token == nullptr) {
      at = NextCandidate(text, at + 1);
      continue;
    }
    size_t begin = at;
    size_t end = at + token->content.size();
    if (token->single_word &&
        (EndsWithWord(text.substr(0, begin)) || StartsWithWord(text.substr(end)))) {
      at = NextCandidate(text, end);
      continue;
    }
    while (token->lstrip && begin > from) {
      const size_t previous = LastCodePoint(text.substr(0, begin));
      if (previous < from || !IsSpace(CodePointAt(text, previous))) break;
      begin = previous;
    }
    while (token->rstrip && end < text.size() && IsSpace(CodePointAt(text, end))) {
      end += DecodeUtf8(text.data() + end, text.data() + text.size()).size;
    }
    *match = {begin, end, token->id};
    return true;
  }
  return false;
}

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens,
                         const std::function<std::string(std::string_view)>& normalize)
    : raw_(Select(tokens, false, true, normalize)),
      raw_without_control_(Select(tokens, false, false, normalize)),
      normalized_(Select(tokens, true, true, normalize)),
      normalized_without_control_(Select(tokens, true, false, normalize)) {}

}  // namespace cairn::chunking
