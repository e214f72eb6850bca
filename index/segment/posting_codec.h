// The parts that the posting sections of a segment are made of
// (docs/formats/segment-postings.md).
#ifndef CAIRN_INDEX_SEGMENT_POSTING_CODEC_H_
#define CAIRN_INDEX_SEGMENT_POSTING_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/bm25.h"
#include "index/posting_source.h"

namespace cairn::index {

inline constexpr uint32_t kPostingsVersion = 1;
// Ids between two that the short array of the dictionary has.
inline constexpr size_t kTermGroup = 64;
// Places in the posting section are counted in these many bytes.
inline constexpr size_t kPlaceBytes = 4;
// Zeros at the end of the posting section.
inline constexpr size_t kPostingSlack = 16;

struct TermsHeader {
  uint32_t version = kPostingsVersion;
  uint32_t terms = 0;
  uint64_t postings = 0;
};
static_assert(sizeof(TermsHeader) == 16);

struct TermEntry {
  static constexpr uint32_t kSingle = uint32_t{1} << 31;
  uint32_t size = 0;  // kSingle + the count's byte: one posting, whose slot is `at`.
  uint32_t at = 0;
};
static_assert(sizeof(TermEntry) == 8);

struct LargeCountEntry {
  TermId term = 0;
  Slot slot = 0;
  uint32_t count = 0;
};
static_assert(sizeof(LargeCountEntry) == 12);

static_assert(sizeof(ImpactFront<4>) == 12 && sizeof(ImpactFront<8>) == 24);

uint8_t CountByte(uint32_t count);

// Bytes before the rest and the blocks of a list with `blocks` blocks.
constexpr uint64_t DirectoryBytes(uint64_t blocks) {
  return blocks == 0 ? 0 : sizeof(ImpactFront<8>) + blocks * sizeof(PostingBlock);
}

// Append a full block, or a list's rest of 1 to 127 postings, in multiples of kPlaceBytes.
void AppendBlock(absl::Span<const Posting> postings, std::vector<uint8_t>* out);
void AppendRest(absl::Span<const Posting> postings, std::vector<uint8_t>* out);

// What AppendBlock and AppendRest wrote, at the beginning of `bytes`. An empty run, and in *used 0,
// when it goes beyond them or is malformed otherwise; whether the slots ascend is not looked at.
// DecodeRest needs kPostingSlack readable bytes behind `bytes`. `used` may be null.
PostingRun DecodeBlock(absl::Span<const uint8_t> bytes, Slot first, Slot last,
                       PostingScratch* scratch, size_t* used);
PostingRun DecodeRest(absl::Span<const uint8_t> bytes, uint32_t size, PostingScratch* scratch,
                      size_t* used);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_POSTING_CODEC_H_
