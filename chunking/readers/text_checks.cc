#include "chunking/readers/text_checks.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "chunking/text/normalize.h"
#include "simdjson.h"

namespace cairn::chunking {
namespace {

constexpr size_t kMaxIdBytes = 1024;

// ICU's UTF-8 macros index with int32_t, so longer text is looked at in windows.
constexpr size_t kWindow = size_t{1} << 30;

// Bytes before the first ill-formed sequence of `bytes`, at most `kWindow`.
size_t ValidBytes(std::string_view bytes) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  const auto size = static_cast<int32_t>(std::min(bytes.size(), kWindow));
  int32_t at = 0;
  while (at < size) {
    int32_t next = at;
    UChar32 c;
    U8_NEXT(data, next, size, c);
    if (c < 0) break;
    at = next;
  }
  return static_cast<size_t>(at);
}

bool IsBlankCodePoint(UChar32 c) { return u_isUWhiteSpace(c) || c == 0xFEFF || c == 0x200B; }

}  // namespace

std::string AsciiLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = AsciiLower(c);
  return lower;
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return AsciiLower(x) == AsciiLower(y); });
}

bool IsUtf8(std::string_view bytes) { return simdjson::validate_utf8(bytes); }

std::optional<TextFault> FindTextFault(std::string_view bytes) {
  const void* nul = bytes.empty() ? nullptr : std::memchr(bytes.data(), 0, bytes.size());
  const size_t nul_at =
      nul == nullptr ? bytes.size() : static_cast<const char*>(nul) - bytes.data();
  const std::string_view before = bytes.substr(0, nul_at);
  size_t at = nul_at;
  if (!IsUtf8(before)) {
    at = 0;
    while (true) {
      const size_t valid = ValidBytes(before.substr(at));
      at += valid;
      // A window may end inside a sequence: that is at most three bytes short of its size.
      if (valid < kWindow - 3) break;
    }
  } else if (nul == nullptr) {
    return std::nullopt;
  }
  const auto line = static_cast<uint64_t>(std::count(bytes.begin(), bytes.begin() + at, '\n'));
  return TextFault{
      line + 1, absl::StrCat(at == nul_at ? "NUL byte" : "invalid UTF-8", " at byte offset ", at)};
}

bool IsBlank(std::string_view utf8) {
  size_t at = 0;
  while (at < utf8.size()) {
    if (IsAsciiSpace(utf8[at])) {
      ++at;
      continue;
    }
    int32_t next = 0;
    UChar32 c;
    U8_NEXT(reinterpret_cast<const uint8_t*>(utf8.data() + at), next,
            static_cast<int32_t>(std::min<size_t>(utf8.size() - at, 4)), c);
    if (c < 0 || !IsBlankCodePoint(c)) return false;
    at += static_cast<size_t>(next);
  }
  return true;
}

Span TrimSpan(std::string_view text, Span span) {
  while (span.begin < span.end && IsAsciiSpace(text[span.begin])) ++span.begin;
  while (span.begin < span.end && IsAsciiSpace(text[span.end - 1])) --span.end;
  return span;
}

std::string_view Trim(std::string_view text) {
  const Span span = TrimSpan(text, {0, text.size()});
  return text.substr(span.begin, span.size());
}

std::string OneLine(std::string_view utf8) {
  std::string line;
  line.reserve(utf8.size());
  for (size_t i = 0; i < utf8.size(); ++i) {
    const char c = utf8[i];
    const bool no_break_space = utf8.substr(i, 2) == "\xC2\xA0";
    const bool gap = static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || no_break_space;
    if (no_break_space) ++i;
    if (!gap) {
      line.push_back(c);
    } else if (!line.empty() && line.back() != ' ') {
      line.push_back(' ');
    }
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  absl::StatusOr<std::string> normalized = NormalizeText(line);
  return normalized.ok() ? *std::move(normalized) : std::string();
}

std::string CutTitle(std::string title) {
  if (title.size() <= kMaxTitleBytes) return title;
  size_t size = kMaxTitleBytes;
  while (size > 0 && (static_cast<unsigned char>(title[size]) & 0xC0) == 0x80) --size;
  title.resize(size);
  return title;
}

void AppendUtf8(uint32_t c, std::string* out) {
  if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = 0xFFFD;
  uint8_t bytes[U8_MAX_LENGTH];
  int32_t size = 0;
  U8_APPEND_UNSAFE(bytes, size, c);
  out->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

void AppendParagraphs(std::string_view text, Span range, BlockKind kind, int level,
                      std::vector<Block>* blocks) {
  size_t at = range.begin;
  while (true) {
    while (at < range.end && IsAsciiSpace(text[at])) ++at;
    if (at == range.end) return;
    const size_t begin = at;
    size_t end = at;
    while (at < range.end) {  // One line at a time, up to the first blank one.
      const void* newline = std::memchr(text.data() + at, '\n', range.end - at);
      const size_t line_end =
          newline == nullptr ? range.end
                             : static_cast<size_t>(static_cast<const char*>(newline) - text.data());
      const Span line = TrimSpan(text, {at, line_end});
      at = std::min(line_end + 1, range.end);
      if (line.empty()) break;
      end = line.end;
    }
    blocks->push_back({kind, level, {begin, end}});
  }
}

std::string Stem(std::string_view path) {
  path = path.substr(path.rfind('/') + 1);
  const size_t dot = path.rfind('.');
  if (dot != std::string_view::npos && dot > 0) path = path.substr(0, dot);
  return path == "-" || !IsUtf8(path) ? std::string() : OneLine(path);
}

absl::Status CheckId(std::string_view id) {
  if (id.empty()) return absl::InvalidArgumentError("the document id is empty");
  if (id.size() > kMaxIdBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the document id has ", id.size(), " bytes; at most ", kMaxIdBytes));
  }
  if (!IsUtf8(id)) return absl::InvalidArgumentError("the document id is not valid UTF-8");
  for (const char c : id) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      return absl::InvalidArgumentError("the document id holds a control character");
    }
  }
  return absl::OkStatus();
}

}  // namespace cairn::chunking
