// The rewriting of text before it is cut into tokens, step by step.
#ifndef CAIRN_CHUNKING_TEXT_TEXT_NORMALIZER_H_
#define CAIRN_CHUNKING_TEXT_TEXT_NORMALIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunking/text/bert_normalizer.h"
#include "chunking/text/precompiled_charsmap.h"

namespace cairn::chunking {

// One step of a normaliser sequence.
struct NormalizerStep {
  enum class Kind : uint8_t {
    kBert,               // BertNormalizer with `bert`.
    kReplaceBytes,       // Each ASCII character with an entry in `bytes` becomes that entry.
    kReplace,            // Each `pattern`, not empty, becomes `content`.
    kReplaceSpaces,      // Each run of white space becomes `content`.
    kReplaceManyBlanks,  // Each run of two or more U+0020 becomes `content`.
    kStrip,              // White space is removed at the start and/or end.
    kPrepend,            // `content` is put before a text that is not empty.
    kNfc,                // Unicode's canonical composition.
    kCharsmap,           // `charsmap`'s longest rules, from left to right.
    kTrimBlanks,         // U+0020 is removed at start and end, and made one between.
  };
  Kind kind = Kind::kBert;
  BertNormalizer::Options bert;
  std::vector<std::optional<std::string>> bytes;  // 128 entries.
  std::string pattern;
  std::string content;
  bool strip_left = true;
  bool strip_right = true;
  std::shared_ptr<const PrecompiledCharsmap> charsmap;
};

// Appends text[begin, end) of `from` with its alignment.
void AppendRange(const AlignedText& from, size_t begin, size_t end, AlignedText* out);
AlignedText Slice(const AlignedText& from, size_t begin, size_t end);
// Appends `from` with each `pattern`, not empty, as `content`.
void AppendReplaced(const AlignedText& from, std::string_view pattern, std::string_view content,
                    AlignedText* out);

// Appends text[begin, end), aligned to itself, without its ill-formed bytes.
void AppendWellFormed(std::string_view text, size_t begin, size_t end, AlignedText* out);

// Thread-safe.
class TextNormalizer {
 public:
  explicit TextNormalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}

  // Whether all steps leave `text`, well-formed, as it is. May say no where they do.
  bool Keeps(std::string_view text) const;

  void Apply(AlignedText* text) const;
  std::string Apply(std::string_view text) const;

 private:
  std::vector<NormalizerStep> steps_;
  BertCharacters characters_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_TEXT_NORMALIZER_H_
