#include "index/segment/posting_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include "absl/types/span.h"

namespace cairn::index {
namespace {

constexpr size_t kBlockSize = LexicalTail::kBlockSize;

// `count` postings within [0, span), counts up to `most`.
std::vector<Posting> RandomPostings(size_t count, uint64_t span, uint32_t most,
                                    std::mt19937* random) {
  std::set<Slot> slots;
  std::uniform_int_distribution<uint64_t> slot(0, span - 1);
  while (slots.size() < count) slots.insert(static_cast<Slot>(slot(*random)));
  std::vector<Posting> postings;
  for (Slot s : slots) postings.push_back({s, static_cast<uint32_t>(1 + (*random)() % most)});
  return postings;
}

void ExpectSame(const PostingRun& run, const std::vector<Posting>& postings) {
  ASSERT_EQ(run.size, postings.size());
  EXPECT_EQ(run.first, postings.front().slot);
  for (size_t i = 0; i < postings.size(); ++i) {
    ASSERT_EQ(run.slot(i), postings[i].slot) << i;
    ASSERT_EQ(run.counts[i], CountByte(postings[i].count)) << i;
  }
}

// Encodes, decodes, and decodes every cut of it.
void ExpectRoundTrip(const std::vector<Posting>& postings) {
  std::vector<uint8_t> bytes;
  const bool block = postings.size() == kBlockSize;
  if (block) {
    AppendBlock(postings, &bytes);
  } else {
    AppendRest(postings, &bytes);
  }
  ASSERT_EQ(bytes.size() % kPlaceBytes, 0u);
  const size_t size = bytes.size();
  PostingScratch scratch;
  const auto decode = [&](size_t length, size_t* used) {
    // Memory of exactly what may be read.
    const std::unique_ptr<uint8_t[]> copy(new uint8_t[length + (block ? 0 : kPostingSlack)]());
    std::copy_n(bytes.begin(), length, copy.get());
    const absl::Span<const uint8_t> span(copy.get(), length);
    return block ? DecodeBlock(span, postings.front().slot, postings.back().slot, &scratch, used)
                 : DecodeRest(span, static_cast<uint32_t>(postings.size()), &scratch, used);
  };
  size_t used = 0;
  ExpectSame(decode(size, &used), postings);
  EXPECT_EQ(used, size);
  for (size_t cut = 0; cut < size; cut += 1 + cut / 8) {
    EXPECT_EQ(decode(cut, &used).size, 0u);
    EXPECT_EQ(used, 0u);
  }
}

TEST(PostingCodec, ReturnsRestsOfEverySize) {
  std::mt19937 random(1);
  for (size_t count = 1; count < kBlockSize; ++count) {
    for (uint64_t span :
         {uint64_t{count}, uint64_t{1000}, uint64_t{1} << 20, uint64_t{UINT32_MAX}}) {
      ExpectRoundTrip(RandomPostings(count, span, 1 + random() % 400, &random));
    }
  }
}

TEST(PostingCodec, ReturnsBlocksOfEverySpread) {
  std::mt19937 random(2);
  for (uint64_t span = kBlockSize; span < UINT32_MAX; span = span * 5 / 4) {
    for (uint32_t most : {1u, 2u, 9u, 254u, 1u << 21}) {
      ExpectRoundTrip(RandomPostings(kBlockSize, span, most, &random));
    }
  }
}

TEST(PostingCodec, ReturnsSlotsAsFarApartAsSlotsCanBe) {
  ExpectRoundTrip({{0, 1}, {UINT32_MAX - 2, 1u << 20}});
  ExpectRoundTrip({{UINT32_MAX - 2, 255}});
  std::vector<Posting> block;
  for (Slot i = 0; i < kBlockSize; ++i) block.push_back({i, 1 + i * 3});
  block.back() = {UINT32_MAX - 2, UINT32_MAX};
  ExpectRoundTrip(block);
  // On both sides of what 16 bits hold.
  for (Slot last : {65'535u, 65'536u}) {
    block.back() = {last, 1};
    ExpectRoundTrip(block);
  }
}

TEST(PostingCodec, ABlockOfOnesInARowHasNoBytesButItsWidths) {
  std::vector<Posting> block;
  for (Slot i = 0; i < kBlockSize; ++i) block.push_back({1000 + i, 1});
  std::vector<uint8_t> bytes;
  AppendBlock(block, &bytes);
  EXPECT_EQ(bytes, (std::vector<uint8_t>{0, 0, 0, 0}));
}

TEST(PostingCodec, RefusesWidthsBeyondTheTypes) {
  PostingScratch scratch;
  size_t used = 1;
  std::vector<uint8_t> bytes(2000, 0);
  const absl::Span<const uint8_t> span(bytes.data(), bytes.size() - kPostingSlack);
  for (const auto& [gaps, counts, narrow, wide, rest] :
       {std::tuple(16, 8, true, true, true), std::tuple(17, 8, false, true, true),
        std::tuple(32, 8, false, true, true), std::tuple(33, 8, false, false, false),
        std::tuple(0, 9, false, false, false), std::tuple(255, 255, false, false, false)}) {
    bytes[0] = static_cast<uint8_t>(gaps);
    bytes[1] = static_cast<uint8_t>(counts);
    EXPECT_EQ(DecodeBlock(span, 5, 5 + UINT16_MAX, &scratch, &used).size > 0, narrow);
    EXPECT_EQ(used > 0, narrow);
    EXPECT_EQ(DecodeBlock(span, 5, 6 + UINT16_MAX, &scratch, &used).size > 0, wide);
    bytes[4] = bytes[0];
    bytes[5] = bytes[1];
    EXPECT_EQ(DecodeRest(span, 100, &scratch, &used).size > 0, rest);
    bytes[4] = bytes[5] = 0;
  }
}

TEST(PostingCodec, SurvivesAnyBytes) {
  std::mt19937 random(3);
  PostingScratch scratch;
  for (int round = 0; round < 20'000; ++round) {
    const size_t size = random() % 700;
    const std::unique_ptr<uint8_t[]> bytes(new uint8_t[size + kPostingSlack]());
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(random());
    // Widths that can be, so that it gets beyond them.
    for (size_t at : {size_t{0}, size_t{4}}) {
      if (at < size) bytes[at] %= 34;
      if (at + 1 < size) bytes[at + 1] %= 10;
    }
    const absl::Span<const uint8_t> span(bytes.get(), size);
    const Slot first = static_cast<Slot>(random());
    const Slot last = round % 2 == 0 ? first + random() % 70'000 : static_cast<Slot>(random());
    size_t used = 0;
    DecodeBlock(span, first, last, &scratch, &used);
    EXPECT_LE(used, size);
    DecodeRest(span, 1 + random() % (kBlockSize - 1), &scratch, &used);
    EXPECT_LE(used, size);
  }
}

}  // namespace
}  // namespace cairn::index
