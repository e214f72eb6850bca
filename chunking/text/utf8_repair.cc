#include "chunking/text/utf8_repair.h"

#include <algorithm>
#include <cstdint>

#include "chunking/text/utf8.h"

namespace cairn::chunking {
namespace {

// Bytes of the character that `lead` begins; 1 where it begins none.
size_t LengthByLead(uint8_t lead) {
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  return lead >= 0xF0 && lead <= 0xF4 ? 4 : 1;
}

// Whether `second` may follow `lead`, which begins a character of two bytes or more (Unicode 15,
// table 3-7: neither overlong forms nor surrogates nor anything above U+10FFFF).
bool MayFollow(uint8_t lead, uint8_t second) {
  uint8_t low = 0x80, high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  return second >= low && second <= high;
}

// Length of the longest prefix of `bytes`, not empty, that is part of a character; 1 where the
// first byte is part of none. `*length` is that of the character it would be.
size_t MaximalSubpart(std::string_view bytes, size_t* length) {
  const uint8_t lead = static_cast<uint8_t>(bytes[0]);
  *length = LengthByLead(lead);
  size_t size = 1;
  const size_t most = std::min(*length, bytes.size());
  if (most < 2 || !MayFollow(lead, static_cast<uint8_t>(bytes[1]))) return size;
  size = 2;
  while (size < most && IsUtf8Trail(bytes[size])) ++size;
  return size;
}

}  // namespace

void AppendRepairedUtf8(std::string_view bytes, std::string* out) {
  const char* const end = bytes.data() + bytes.size();
  while (!bytes.empty()) {
    const DecodedCodePoint c = DecodeUtf8(bytes.data(), end);
    size_t size = c.size;
    if (size == 1 && static_cast<uint8_t>(bytes[0]) >= 0x80) {
      size_t length;
      size = MaximalSubpart(bytes, &length);
      AppendUtf8(kReplacementCharacter, out);
    } else {
      out->append(bytes.substr(0, size));
    }
    bytes.remove_prefix(size);
  }
}

size_t UnfinishedUtf8(std::string_view bytes) {
  for (size_t size = 1; size <= std::min<size_t>(3, bytes.size()); ++size) {
    const std::string_view tail = bytes.substr(bytes.size() - size);
    if (IsUtf8Trail(tail[0])) continue;
    size_t length;
    return MaximalSubpart(tail, &length) == size && size < length ? size : 0;
  }
  return 0;
}

}  // namespace cairn::chunking
