#include "engine/model/token_kinds.h"

#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "chunking/text/utf8.h"
#include "chunking/text/word_scanner.h"

namespace cairn::engine {
namespace {

using chunking::WordScanner;

// "[unused7]", as BERT's vocabularies spell places that nothing was put into, or "<unused7>".
bool IsUnused(std::string_view piece) {
  if (piece.size() < 3 || (piece.front() != '[' && piece.front() != '<')) return false;
  piece = piece.substr(1, piece.size() - 2);
  if (!piece.starts_with("unused")) return false;
  for (const char c : piece.substr(6)) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

bool IsQuiet(std::string_view piece, const WordScanner& scanner) {
  constexpr uint16_t kScripts =
      WordScanner::kHan | WordScanner::kHiragana | WordScanner::kSoutheastAsian;
  size_t characters = 0;
  bool digits = true;
  bool letters = false;
  const char* end = piece.data() + piece.size();
  for (const char* p = piece.data(); p < end; ++characters) {
    const chunking::DecodedCodePoint c = chunking::DecodeUtf8(p, end);
    const uint16_t flags = scanner.FlagsOf(c.value);
    const int base = flags & WordScanner::kBaseMask;
    digits &= base == WordScanner::kNumeric;
    letters |= base == WordScanner::kLetter || base == WordScanner::kHebrew ||
               base == WordScanner::kKatakana || (flags & kScripts) != 0;
    p += c.size;
  }
  return digits || (characters == 1 && !letters);
}

TokenKind KindOf(const chunking::Tokenizer& tokenizer, uint32_t id, const WordScanner& scanner) {
  if (id == tokenizer.unknown_id()) return TokenKind::kNone;
  std::string bytes;
  tokenizer.AppendBytes(id, chunking::ControlText::kAsTokens, &bytes);
  std::string_view piece = bytes;
  // Where a word begins, its token begins with a space.
  if (piece.size() > 1 && piece.starts_with(' ')) piece.remove_prefix(1);
  if (piece.empty() || IsUnused(piece)) return TokenKind::kNone;
  return IsQuiet(piece, scanner) ? TokenKind::kQuiet : TokenKind::kWord;
}

}  // namespace

std::vector<TokenKind> KindsOfTokens(const chunking::Tokenizer& tokenizer) {
  const WordScanner scanner;
  std::vector<TokenKind> kinds(tokenizer.vocabulary_size());
  for (size_t id = 0; id < kinds.size(); ++id) {
    kinds[id] = KindOf(tokenizer, static_cast<uint32_t>(id), scanner);
  }
  return kinds;
}

}  // namespace cairn::engine
