// Sentencepiece's compiled normalisation rules.
#ifndef CAIRN_CHUNKING_TEXT_PRECOMPILED_CHARSMAP_H_
#define CAIRN_CHUNKING_TEXT_PRECOMPILED_CHARSMAP_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace cairn::chunking {

// A double-array trie (Aoe 1989, in the layout of darts-clone) from character sequences to what
// replaces them. In the file: the trie's bytes as a little-endian uint32, the trie's units of 32
// bits, and the replacements, each ended by a NUL. Thread-safe.
class PrecompiledCharsmap {
 public:
  // Of what is replaced and of what replaces it: what is longer in a trie is not found, and what is
  // longer in the replacements is refused.
  static constexpr size_t kMaxRuleBytes = 256;

  // InvalidArgument where the lengths do not fit each other. What the trie says is not checked
  // before it is used: a damaged one finds less or other things, but nothing outside itself.
  static absl::StatusOr<PrecompiledCharsmap> Read(std::string_view bytes);

  // The length of the longest rule that `text` begins with, and its replacement; 0 where none does.
  size_t LongestRule(std::string_view text, std::string_view* replacement) const;

  // In bytes.
  size_t longest_replacement() const { return longest_replacement_; }

 private:
  PrecompiledCharsmap(std::vector<uint32_t> units, std::string replacements, size_t longest)
      : units_(std::move(units)),
        replacements_(std::move(replacements)),
        longest_replacement_(longest) {}

  std::vector<uint32_t> units_;
  std::string replacements_;
  size_t longest_replacement_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_PRECOMPILED_CHARSMAP_H_
