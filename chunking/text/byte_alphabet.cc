#include "chunking/text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "chunking/text/utf8.h"

namespace cairn::chunking {
namespace {

// Printable bytes of Latin-1 stand for themselves; the other 68, in their order, are U+0100 on.
constexpr bool StandsForItself(unsigned c) {
  return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF);
}

constexpr std::array<uint8_t, 68> OtherBytes() {
  std::array<uint8_t, 68> bytes{};
  size_t count = 0;
  for (unsigned c = 0; c < 256; ++c) {
    if (!StandsForItself(c)) bytes[count++] = static_cast<uint8_t>(c);
  }
  return bytes;
}
constexpr std::array<uint8_t, 68> kOtherBytes = OtherBytes();

}  // namespace

std::optional<std::string> BytesFromAlphabet(std::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  const char* const end = token.data() + token.size();
  for (const char* p = token.data(); p < end;) {
    const DecodedCodePoint c = DecodeUtf8(p, end);
    if (c.value < 0x100 && StandsForItself(c.value)) {
      bytes.push_back(static_cast<char>(c.value));
    } else if (c.value >= 0x100 && c.value < 0x100 + kOtherBytes.size()) {
      bytes.push_back(static_cast<char>(kOtherBytes[c.value - 0x100]));
    } else {
      return std::nullopt;
    }
    p += c.size;
  }
  return bytes;
}

}  // namespace cairn::chunking
