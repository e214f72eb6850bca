#include "chunking/readers/html_entities.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "chunking/readers/text_checks.h"

namespace cairn::chunking {
namespace {

struct NamedReference {
  std::string_view name;
  std::string_view utf8;
  bool bare;  // The closing semicolon may be missing.
};

constexpr NamedReference kReferences[] = {
#include "chunking/readers/html_entity_table.inc"
};
constexpr size_t kLongestName = 31;

// Numbers 0x80 to 0x9F mean windows-1252, whatever the page's encoding.
constexpr uint16_t kWindows1252[32] = {
    0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

// Digits beyond this many are not looked at: no code point needs them, leading zeros aside.
constexpr size_t kMaxDigits = 64;

int DigitValue(char c, bool hex) {
  if (IsAsciiDigit(c)) return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  if (hex && lower >= 'a' && lower <= 'f') return lower - 'a' + 10;
  return -1;
}

size_t DecodeNumber(std::string_view text, std::string* out) {
  const bool hex = text.size() > 2 && (text[2] | 0x20) == 'x';
  const size_t first = hex ? 3 : 2;
  size_t at = first;
  uint32_t value = 0;
  const size_t limit = std::min(text.size(), first + kMaxDigits);
  for (; at < limit; ++at) {
    const int digit = DigitValue(text[at], hex);
    if (digit < 0) break;
    value = std::min<uint32_t>(value * (hex ? 16 : 10) + static_cast<uint32_t>(digit), 0x110000);
  }
  if (at == first) return 0;
  if (at < text.size() && text[at] == ';') ++at;
  if (value == 0) value = 0xFFFD;
  if (value >= 0x80 && value < 0xA0) value = kWindows1252[value - 0x80];
  AppendUtf8(value, out);
  return at;
}

}  // namespace

size_t DecodeEntity(std::string_view text, std::string* out) {
  if (text.size() < 3) return 0;
  if (text[1] == '#') return DecodeNumber(text, out);
  size_t end = 1;
  const size_t limit = std::min(text.size(), kLongestName + 2);
  while (end < limit && (IsAsciiLetter(text[end]) || IsAsciiDigit(text[end]))) ++end;
  const std::string_view name = text.substr(1, end - 1);
  const auto* found =
      std::lower_bound(std::begin(kReferences), std::end(kReferences), name,
                       [](const NamedReference& a, std::string_view b) { return a.name < b; });
  if (found == std::end(kReferences) || found->name != name) return 0;
  const bool closed = end < text.size() && text[end] == ';';
  if (!closed && !found->bare) return 0;
  out->append(found->utf8);
  return end + (closed ? 1 : 0);
}

std::string DecodeEntities(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  while (!text.empty()) {
    const size_t plain = std::min(text.find('&'), text.size());
    decoded.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    size_t used = DecodeEntity(text, &decoded);
    if (used == 0) {
      decoded.push_back('&');
      used = 1;
    }
    text.remove_prefix(used);
  }
  return decoded;
}

}  // namespace cairn::chunking
