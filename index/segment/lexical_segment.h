// The postings of a segment, where they lie in its file (docs/formats/segment-postings.md).
#ifndef CAIRN_INDEX_SEGMENT_LEXICAL_SEGMENT_H_
#define CAIRN_INDEX_SEGMENT_LEXICAL_SEGMENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/posting_source.h"
#include "index/segment/posting_codec.h"
#include "index/segment/section_file.h"

namespace cairn::index {

// Immutable, so safe to share. Lists are decoded block by block, into the scratch of whoever reads.
//
// Open looks at the sections' sizes only. Find and Load stay within the file whatever it holds,
// but what they give, and so a search, can be trusted only if the file is one that was written
// (its hash is right) or passed Check.
class LexicalSegment final : public PostingSource {
 public:
  // DataLoss when the sections do not fit each other or `slots`; Unimplemented for another version.
  static absl::StatusOr<std::unique_ptr<LexicalSegment>> Open(
      std::shared_ptr<const SectionFile> file, uint64_t slots);

  absl::Span<const uint32_t> lengths() const { return lengths_; }  // [slots]

  // Reads everything: every term, posting and count where it must be, in order and in bounds, and
  // below the bounds kept for it. DataLoss naming the fault.
  absl::Status Check() const;

  List Find(TermId term, PostingScratch* scratch) const override;
  PostingRun Load(const PostingBlock& block, PostingScratch* scratch) const override;
  const void* Packed(const PostingBlock& block) const override;
  uint32_t LargeCount(TermId term, Slot slot) const override;
  void AppendTerms(std::vector<TermId>* out) const override;
  uint64_t Frequency(TermId term) const override;

 private:
  class Checker;

  LexicalSegment() = default;
  absl::Status ReadTerms();
  std::optional<TermEntry> Locate(TermId term) const;
  absl::Span<const uint8_t> PostingsFrom(uint64_t place) const;

  std::shared_ptr<const SectionFile> file_;
  absl::Span<const uint32_t> lengths_;  // [slots]
  uint64_t total_postings_ = 0;
  absl::Span<const TermId> first_terms_;  // Every kTermGroup-th of terms_.
  absl::Span<const TermId> terms_;        // Ascending.
  absl::Span<const TermEntry> entries_;   // Of each.
  absl::Span<const uint8_t> postings_;    // Without the slack.
  absl::Span<const LargeCountEntry> large_counts_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_LEXICAL_SEGMENT_H_
