#include "chunking/text/precompiled_charsmap.h"

#include <algorithm>

#include "absl/status/status.h"

namespace cairn::chunking {
namespace {

uint32_t LittleEndian(const char* p) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(p[i]);
  return value;
}

// The fields of a unit.
bool HasLeaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t Label(uint32_t unit) { return unit & 0x800000FF; }
uint32_t Offset(uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); }

}  // namespace

absl::StatusOr<PrecompiledCharsmap> PrecompiledCharsmap::Read(std::string_view bytes) {
  if (bytes.size() < 4) return absl::InvalidArgumentError("precompiled_charsmap is cut short");
  const uint32_t trie_bytes = LittleEndian(bytes.data());
  bytes.remove_prefix(4);
  if (trie_bytes > bytes.size() || trie_bytes % 4 != 0 || trie_bytes == 0) {
    return absl::InvalidArgumentError("precompiled_charsmap: the trie's size is wrong");
  }
  std::vector<uint32_t> units;
  units.reserve(trie_bytes / 4);
  for (uint32_t i = 0; i < trie_bytes; i += 4) units.push_back(LittleEndian(bytes.data() + i));
  std::string replacements(bytes.substr(trie_bytes));
  if (replacements.empty() || replacements.back() != '\0') {
    return absl::InvalidArgumentError("precompiled_charsmap: the replacements are cut short");
  }
  size_t longest = 0;
  for (size_t at = 0; at < replacements.size();) {
    const size_t size = replacements.find('\0', at) - at;
    longest = std::max(longest, size);
    at += size + 1;
  }
  if (longest > kMaxRuleBytes) {
    return absl::InvalidArgumentError("precompiled_charsmap: a replacement is too long");
  }
  return PrecompiledCharsmap(std::move(units), std::move(replacements), longest);
}

size_t PrecompiledCharsmap::LongestRule(std::string_view text,
                                        std::string_view* replacement) const {
  size_t longest = 0;
  size_t node = Offset(units_[0]);
  for (size_t i = 0; i < std::min(text.size(), kMaxRuleBytes); ++i) {
    const uint8_t byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || Label(units_[node]) != byte) break;
    const bool leaf = HasLeaf(units_[node]);
    node ^= Offset(units_[node]);
    if (!leaf) continue;
    if (node >= units_.size()) break;
    const uint32_t at = Value(units_[node]);
    if (at >= replacements_.size()) continue;
    *replacement = replacements_.c_str() + at;  // Up to its NUL.
    longest = i + 1;
  }
  return longest;
}

}  // namespace cairn::chunking
