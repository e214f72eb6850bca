#include "index/segment/posting_codec.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "kernels/bitpack.h"

namespace cairn::index {
namespace {

static_assert(kPostingBlock == kernels::kPackedBlock);

constexpr size_t kBlockHeader = 4;
constexpr size_t kRestHeader = 6;
constexpr uint32_t kMaxGapWidth = 32;
constexpr uint32_t kMaxCountWidth = 8;

bool IsNarrow(Slot first, Slot last) { return last - first <= UINT16_MAX; }

constexpr size_t Padded(size_t bytes) {
  return (bytes + kPlaceBytes - 1) / kPlaceBytes * kPlaceBytes;
}

// Appends values of up to 32 bits to a stream, the lowest bits first.
class BitWriter {
 public:
  explicit BitWriter(std::vector<uint8_t>* out) : out_(out) {}

  void Write(uint32_t value, uint32_t width) {
    pending_ |= uint64_t{value} << bits_;
    for (bits_ += width; bits_ >= 8; bits_ -= 8) {
      out_->push_back(static_cast<uint8_t>(pending_));
      pending_ >>= 8;
    }
  }
  void Finish() {
    if (bits_ > 0) out_->push_back(static_cast<uint8_t>(pending_));
  }

 private:
  std::vector<uint8_t>* const out_;
  uint64_t pending_ = 0;
  uint32_t bits_ = 0;
};

// `width` <= 32 bits at bit `at`. Reads 8 bytes.
uint32_t ReadBits(const uint8_t* bytes, size_t at, uint32_t width) {
  uint64_t word;
  std::memcpy(&word, bytes + at / 8, sizeof(word));
  return static_cast<uint32_t>(word >> (at % 8) & ((uint64_t{1} << width) - 1));
}

}  // namespace

uint8_t CountByte(uint32_t count) {
  return static_cast<uint8_t>(std::min<uint32_t>(count, kSaturatedCount));
}

void AppendBlock(absl::Span<const Posting> postings, std::vector<uint8_t>* out) {
  assert(postings.size() == kPostingBlock);
  Slot slots[kPostingBlock];
  uint8_t counts[kPostingBlock];
  for (size_t i = 0; i < kPostingBlock; ++i) {
    slots[i] = postings[i].slot;
    counts[i] = CountByte(postings[i].count);
  }
  const uint32_t gap_width = kernels::GapWidth(slots);
  const uint32_t count_width = kernels::CountWidth(counts);
  const size_t begin = out->size();
  const size_t gap_bytes = kernels::PackedBytes(gap_width);
  out->resize(begin + kBlockHeader + gap_bytes + kernels::PackedBytes(count_width));
  uint8_t* const block = out->data() + begin;
  block[0] = static_cast<uint8_t>(gap_width);
  block[1] = static_cast<uint8_t>(count_width);
  if (IsNarrow(slots[0], slots[kPostingBlock - 1])) {
    kernels::PackGaps16(slots, gap_width, block + kBlockHeader);
  } else {
    kernels::PackGaps32(slots, gap_width, block + kBlockHeader);
  }
  kernels::PackCounts(counts, count_width, block + kBlockHeader + gap_bytes);
}

void AppendRest(absl::Span<const Posting> postings, std::vector<uint8_t>* out) {
  assert(!postings.empty() && postings.size() < kPostingBlock);
  uint32_t all_gaps = 0;
  uint32_t all_counts = 0;
  for (size_t i = 0; i < postings.size(); ++i) {
    assert(i == 0 || postings[i].slot > postings[i - 1].slot);
    if (i > 0) all_gaps |= postings[i].slot - postings[i - 1].slot - 1;
    all_counts |= CountByte(postings[i].count) - 1u;
  }
  const auto gap_width = static_cast<uint32_t>(std::bit_width(all_gaps));
  const auto count_width = static_cast<uint32_t>(std::bit_width(all_counts));
  BitWriter writer(out);
  writer.Write(postings.front().slot, 32);
  writer.Write(gap_width, 8);
  writer.Write(count_width, 8);
  for (size_t i = 1; i < postings.size(); ++i) {
    writer.Write(postings[i].slot - postings[i - 1].slot - 1, gap_width);
  }
  for (const Posting& p : postings) writer.Write(CountByte(p.count) - 1u, count_width);
  writer.Finish();
  out->resize(Padded(out->size()));
}

PostingRun DecodeBlock(absl::Span<const uint8_t> bytes, Slot first, Slot last,
                       PostingScratch* scratch, size_t* used) {
  if (used != nullptr) *used = 0;
  if (bytes.size() < kBlockHeader) return {};
  const uint32_t gap_width = bytes[0];
  const uint32_t count_width = bytes[1];
  const bool narrow = IsNarrow(first, last);
  const size_t gap_bytes = kernels::PackedBytes(gap_width);
  const size_t end = kBlockHeader + gap_bytes + kernels::PackedBytes(count_width);
  if (gap_width > (narrow ? 16 : kMaxGapWidth) || count_width > kMaxCountWidth ||
      end > bytes.size()) {
    return {};
  }
  if (used != nullptr) *used = end;
  const uint8_t* const gaps = bytes.data() + kBlockHeader;
  PostingRun run;
  run.first = first;
  run.counts = scratch->block_counts;
  run.size = kPostingBlock;
  kernels::UnpackCounts(gaps + gap_bytes, count_width, scratch->block_counts);
  if (narrow) {
    kernels::UnpackDistances16(gaps, gap_width, scratch->block.distances);
    run.distances = scratch->block.distances;
  } else {
    kernels::UnpackAscending32(gaps, gap_width, first, scratch->block.slots);
    run.slots = scratch->block.slots;
  }
  return run;
}

PostingRun DecodeRest(absl::Span<const uint8_t> bytes, uint32_t size, PostingScratch* scratch,
                      size_t* used) {
  assert(size > 0 && size < kPostingBlock);
  if (used != nullptr) *used = 0;
  if (bytes.size() < kRestHeader) return {};
  Slot slot;
  std::memcpy(&slot, bytes.data(), sizeof(slot));
  const uint32_t gap_width = bytes[4];
  const uint32_t count_width = bytes[5];
  if (gap_width > kMaxGapWidth || count_width > kMaxCountWidth) return {};
  const size_t bits = size_t{size - 1} * gap_width + size_t{size} * count_width;
  const size_t end = Padded(kRestHeader + (bits + 7) / 8);
  if (end > bytes.size()) return {};
  if (used != nullptr) *used = end;
  const uint8_t* const stream = bytes.data() + kRestHeader;
  size_t at = 0;
  scratch->rest[0] = slot;
  for (uint32_t i = 1; i < size; ++i, at += gap_width) {
    slot += ReadBits(stream, at, gap_width) + 1;
    scratch->rest[i] = slot;
  }
  for (uint32_t i = 0; i < size; ++i, at += count_width) {
    scratch->rest_counts[i] = static_cast<uint8_t>(ReadBits(stream, at, count_width) + 1);
  }
  return {scratch->rest[0], nullptr, scratch->rest, scratch->rest_counts, size};
}

}  // namespace cairn::index
