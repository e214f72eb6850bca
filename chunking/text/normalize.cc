#include "chunking/text/normalize.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "chunking/text/utf8.h"
#include "simdjson.h"

namespace cairn::chunking {
namespace {

// ICU counts in int32_t, so longer texts are normalised in pieces.
constexpr size_t kPieceBytes = size_t{1} << 28;

// Every code point below U+0300 is its own NFC and combines with nothing before it; the lead byte
// of U+0300 is 0xCC.
bool IsPlainlyNfc(std::string_view text) {
  uint8_t largest = 0;
  for (const char c : text) largest = std::max(largest, static_cast<uint8_t>(c));
  return largest < 0xCC;
}

absl::Status ErrorAt(std::string_view text, size_t offset, const char* what) {
  size_t line = 1;
  for (size_t i = 0; i < offset; ++i) {
    if (text[i] == '\n' || (text[i] == '\r' && text[i + 1] != '\n')) ++line;
  }
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ", byte ", offset, ": ", what));
}

// Length of the well-formed prefix of `text`.
size_t ValidPrefix(std::string_view text) {
  const char* const end = text.data() + text.size();
  const char* p = text.data();
  while (p < end) {
    const DecodedCodePoint c = DecodeUtf8(p, end);
    if (c.size == 1 && static_cast<uint8_t>(*p) >= 0x80) break;
    p += c.size;
  }
  return static_cast<size_t>(p - text.data());
}

// Copies `text` with "\r\n" and lone "\r" as "\n".
std::string WithUnixLineEnds(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t cr = text.find('\r');
    out.append(text.substr(0, cr));
    if (cr == std::string_view::npos) break;
    out.push_back('\n');
    text.remove_prefix(cr + 1);
    if (!text.empty() && text.front() == '\n') text.remove_prefix(1);
  }
  return out;
}

// Where the next piece of valid `text` ends: at most kPieceBytes, before a code point that does not
// interact with what precedes it.
size_t PieceEnd(const icu::Normalizer2& normalizer, std::string_view text) {
  if (text.size() <= kPieceBytes) return text.size();
  for (size_t cut = kPieceBytes; cut > 0; --cut) {
    if (IsUtf8Trail(text[cut])) continue;
    const char32_t c = DecodeUtf8(text.data() + cut, text.data() + text.size()).value;
    if (normalizer.hasBoundaryBefore(static_cast<UChar32>(c))) return cut;
  }
  return kPieceBytes;  // 256 MiB of combining marks: any cut is as good.
}

absl::Status AppendNormalized(const icu::Normalizer2& normalizer, std::string_view text,
                              std::string* out) {
  icu::StringByteSink<std::string> sink(out);
  while (!text.empty()) {
    const size_t size = PieceEnd(normalizer, text);
    UErrorCode error = U_ZERO_ERROR;
    normalizer.normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(size)), sink,
                             nullptr, error);
    if (U_FAILURE(error)) return absl::InternalError(u_errorName(error));
    text.remove_prefix(size);
  }
  return absl::OkStatus();
}

bool IsNfc(const icu::Normalizer2& nfc, std::string_view text) {
  if (IsPlainlyNfc(text)) return true;
  if (text.size() > kPieceBytes) return false;
  UErrorCode error = U_ZERO_ERROR;
  const bool is_nfc =
      nfc.isNormalizedUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), error);
  return U_SUCCESS(error) && is_nfc;
}

// `utf8` with each ill-formed byte as U+FFFD.
std::string Repaired(std::string_view utf8) {
  std::string out;
  const char* const end = utf8.data() + utf8.size();
  for (const char* p = utf8.data(); p < end;) {
    const DecodedCodePoint c = DecodeUtf8(p, end);
    AppendUtf8(c.value, &out);
    p += c.size;
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> NormalizeText(std::string_view utf8) {
  const std::string_view whole = utf8;
  if (const size_t nul = whole.find('\0'); nul != std::string_view::npos) {
    // Of two faults the first is reported.
    const size_t valid = ValidPrefix(whole.substr(0, nul));
    if (valid == nul) return ErrorAt(whole, nul, "NUL character");
    return ErrorAt(whole, valid, "invalid UTF-8");
  }
  if (!simdjson::validate_utf8(whole.data(), whole.size())) {
    return ErrorAt(whole, ValidPrefix(whole), "invalid UTF-8");
  }
  while (utf8.substr(0, 3) == "\xEF\xBB\xBF") utf8.remove_prefix(3);
  std::string text =
      utf8.find('\r') == std::string_view::npos ? std::string(utf8) : WithUnixLineEnds(utf8);
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(error);
  if (U_FAILURE(error)) return absl::InternalError(u_errorName(error));
  if (IsNfc(*nfc, text)) return text;
  std::string normalized;
  normalized.reserve(text.size());
  if (absl::Status status = AppendNormalized(*nfc, text, &normalized); !status.ok()) return status;
  return normalized;
}

std::string FoldForMatching(std::string_view utf8) {
  std::string folded;
  folded.reserve(utf8.size());
  size_t ascii = 0;
  while (ascii < utf8.size() && static_cast<uint8_t>(utf8[ascii]) < 0x80) {
    const char c = utf8[ascii++];
    folded.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c);
  }
  if (ascii == utf8.size()) return folded;
  // What follows may combine with the last ASCII character.
  if (ascii > 0) folded.resize(--ascii);
  utf8.remove_prefix(ascii);
  std::string repaired;
  if (!simdjson::validate_utf8(utf8.data(), utf8.size())) {
    repaired = Repaired(utf8);
    utf8 = repaired;
  }
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* fold = icu::Normalizer2::getNFKCCasefoldInstance(error);
  // ICU's data is linked in, so neither call can fail but for memory; the text is then as it was.
  if (U_FAILURE(error) || !AppendNormalized(*fold, utf8, &folded).ok()) {
    folded.resize(ascii);
    folded.append(utf8);
  }
  return folded;
}

std::string NormalizeCompatibility(std::string_view utf8) {
  const std::string whole =
      simdjson::validate_utf8(utf8.data(), utf8.size()) ? std::string(utf8) : Repaired(utf8);
  std::string normalized;
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfkc = icu::Normalizer2::getNFKCInstance(error);
  // As in FoldForMatching.
  if (U_FAILURE(error) || !AppendNormalized(*nfkc, whole, &normalized).ok()) return whole;
  return normalized;
}

}  // namespace cairn::chunking
