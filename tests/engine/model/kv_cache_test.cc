#include "engine/model/kv_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace cairn::engine {
namespace {

using ::testing::HasSubstr;

constexpr KvLayout kLayout = {kernels::KvType::kF32, 2, 3, 4};

std::unique_ptr<KvPool> PoolOf(size_t pages) {
  absl::StatusOr<std::unique_ptr<KvPool>> pool =
      KvPool::Create(kLayout, pages * kLayout.page_bytes());
  EXPECT_TRUE(pool.ok()) << pool.status();
  return *std::move(pool);
}

// Appends as a model does: a mark for each token, in the last tile so that a page's whole extent
// counts.
absl::Status Append(KvSequence* sequence, const std::vector<uint32_t>& marks) {
  absl::Status status = sequence->Reserve(marks.size());
  if (!status.ok()) return status;
  for (const uint32_t mark : marks) {
    const size_t at = sequence->length();
    const KvPageRef& page = sequence->pages()[at / kKvPageTokens];
    std::memcpy(page->tile(1, 2) + at % kKvPageTokens * 4, &mark, 4);
    sequence->Extend(1);
  }
  return absl::OkStatus();
}

std::vector<uint32_t> Marks(const KvSequence& sequence) {
  std::vector<uint32_t> marks(sequence.length());
  for (size_t i = 0; i < marks.size(); ++i) {
    const KvPage& page = *sequence.pages()[i / kKvPageTokens];
    std::memcpy(&marks[i], page.tile(1, 2) + i % kKvPageTokens * 4, 4);
  }
  return marks;
}

std::vector<uint32_t> Numbers(size_t count, uint32_t first = 0) {
  std::vector<uint32_t> numbers(count);
  for (size_t i = 0; i < count; ++i) numbers[i] = first + static_cast<uint32_t>(i);
  return numbers;
}

TEST(KvLayout, PagesHoldEveryLayersAndHeadsTile) {
  for (const auto type : {kernels::KvType::kF32, kernels::KvType::kI8}) {
    KvLayout layout = kLayout;
    layout.type = type;
    EXPECT_EQ(layout.tile_bytes(), kernels::KvTileBytes(type, 4));
    EXPECT_EQ(layout.page_bytes(), 6u * layout.tile_bytes());
  }
}

TEST(KvPool, RefusesShapesAndBudgetsThatGiveNoPage) {
  EXPECT_EQ(KvPool::Create(kLayout, kLayout.page_bytes())->get()->max_pages(), 1u);
  const absl::Status small = KvPool::Create(kLayout, kLayout.page_bytes() - 1).status();
  EXPECT_TRUE(absl::IsInvalidArgument(small));
  EXPECT_THAT(std::string(small.message()),
              HasSubstr("a page of 64 tokens takes " + std::to_string(kLayout.page_bytes())));
  for (size_t KvLayout::*field : {&KvLayout::layers, &KvLayout::kv_heads, &KvLayout::head_dim}) {
    for (const size_t value : {size_t{0}, size_t{1} << 60}) {
      KvLayout layout = kLayout;
      layout.*field = value;
      EXPECT_TRUE(absl::IsInvalidArgument(KvPool::Create(layout, UINT64_MAX).status())) << value;
    }
  }
}

TEST(KvPool, CountsPagesAndUsesThemAgain) {
  const auto pool = PoolOf(2);
  KvPageRef a = *pool->Allocate();
  KvPageRef b = *pool->Allocate();
  EXPECT_EQ(pool->pages_in_use(), 2u);
  EXPECT_TRUE(absl::IsResourceExhausted(pool->Allocate().status()));
  const std::byte* const storage = a->tile(0, 0);
  a.reset();
  EXPECT_EQ(pool->pages_in_use(), 1u);
  a = *pool->Allocate();
  EXPECT_EQ(a->tile(0, 0), storage);
}

TEST(KvPool, TilesOfAPageLieApart) {
  const auto pool = PoolOf(1);
  const KvPageRef page = *pool->Allocate();
  for (size_t layer = 0; layer < 2; ++layer) {
    for (size_t head = 0; head < 3; ++head) {
      EXPECT_EQ(page->tile(layer, head) - page->tile(0, 0),
                static_cast<ptrdiff_t>((layer * 3 + head) * kLayout.tile_bytes()));
    }
  }
}

TEST(KvSequence, GrowsPageByPage) {
  const auto pool = PoolOf(3);
  KvSequence sequence(pool.get());
  EXPECT_TRUE(sequence.Reserve(0).ok());
  EXPECT_EQ(pool->pages_in_use(), 0u);
  ASSERT_TRUE(Append(&sequence, Numbers(64)).ok());
  EXPECT_EQ(pool->pages_in_use(), 1u);
  ASSERT_TRUE(Append(&sequence, Numbers(65, 64)).ok());
  EXPECT_EQ(pool->pages_in_use(), 3u);
  EXPECT_EQ(Marks(sequence), Numbers(129));
}

TEST(KvSequence, ReservingMoreThanThereIsChangesNothing) {
  const auto pool = PoolOf(2);
  KvSequence sequence(pool.get());
  ASSERT_TRUE(Append(&sequence, Numbers(10)).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(sequence.Reserve(119)));
  EXPECT_TRUE(absl::IsResourceExhausted(sequence.Reserve(SIZE_MAX)));
  EXPECT_EQ(pool->pages_in_use(), 1u);
  EXPECT_EQ(Marks(sequence), Numbers(10));
  EXPECT_TRUE(sequence.Reserve(118).ok());
}

TEST(KvSequence, WhoWritesToASharedPageCopiesIt) {
  const auto pool = PoolOf(4);
  KvSequence a(pool.get());
  ASSERT_TRUE(Append(&a, Numbers(70)).ok());
  KvSequence b = a.Fork(66);
  EXPECT_EQ(pool->pages_in_use(), 2u);
  ASSERT_TRUE(Append(&b, {1000, 1001}).ok());
  EXPECT_EQ(pool->pages_in_use(), 3u);
  EXPECT_EQ(a.pages()[0], b.pages()[0]);
  ASSERT_TRUE(Append(&a, {2000}).ok());  // Holds its page alone again: no copy.
  EXPECT_EQ(pool->pages_in_use(), 3u);
  std::vector<uint32_t> of_a = Numbers(70);
  of_a.push_back(2000);
  std::vector<uint32_t> of_b = Numbers(66);
  of_b.insert(of_b.end(), {1000, 1001});
  EXPECT_EQ(Marks(a), of_a);
  EXPECT_EQ(Marks(b), of_b);
}

TEST(KvSequence, CopiesASharedPageThatReservedOnesFollow) {
  const auto pool = PoolOf(8);
  KvSequence a(pool.get());
  ASSERT_TRUE(Append(&a, Numbers(10)).ok());
  ASSERT_TRUE(a.Reserve(200).ok());
  const KvSequence b = a.Fork(10);
  ASSERT_TRUE(Append(&a, {77}).ok());
  EXPECT_NE(a.pages()[0], b.pages()[0]);
  EXPECT_EQ(Marks(b), Numbers(10));
  EXPECT_EQ(pool->pages_in_use(), 5u);
}

TEST(KvSequence, BeginsWithSharedPages) {
  const auto pool = PoolOf(4);
  KvSequence a(pool.get());
  ASSERT_TRUE(Append(&a, Numbers(128)).ok());
  KvSequence b = KvSequence::FromPages(pool.get(), {a.pages()[0], a.pages()[1]});
  EXPECT_EQ(Marks(b), Numbers(128));
  ASSERT_TRUE(Append(&b, {5}).ok());
  EXPECT_EQ(pool->pages_in_use(), 3u);
}

TEST(KvSequence, TruncatingGivesPagesBackAndNeverWritesToWhatOthersRead) {
  const auto pool = PoolOf(4);
  KvSequence a(pool.get());
  ASSERT_TRUE(Append(&a, Numbers(129)).ok());
  KvSequence b = a.Fork(128);
  b.Truncate(100);
  EXPECT_EQ(pool->pages_in_use(), 3u);
  ASSERT_TRUE(Append(&b, {9}).ok());
  EXPECT_EQ(Marks(a), Numbers(129));
  a.Truncate(0);
  EXPECT_EQ(pool->pages_in_use(), 2u);
  EXPECT_EQ(Marks(b).back(), 9u);
}

// Random forks, cuts and growth against plain vectors.
TEST(KvSequence, SequencesThatShareBehaveAsIfEachHadItsOwn) {
  const auto pool = PoolOf(40);
  std::mt19937 rng(7);
  std::vector<KvSequence> sequences;
  std::vector<std::vector<uint32_t>> expected;
  sequences.emplace_back(pool.get());
  expected.emplace_back();
  uint32_t mark = 0;
  size_t refused = 0;
  for (int round = 0; round < 4000; ++round) {
    const size_t i = rng() % sequences.size();
    switch (rng() % 4) {
      case 0:
      case 1: {
        const std::vector<uint32_t> more = Numbers(rng() % 90, mark);
        mark += 100;
        const absl::Status status = Append(&sequences[i], more);
        if (status.ok()) {
          expected[i].insert(expected[i].end(), more.begin(), more.end());
        } else {
          ASSERT_TRUE(absl::IsResourceExhausted(status));
          ++refused;
        }
        break;
      }
      case 2: {
        const size_t length = rng() % (expected[i].size() + 1);
        if (sequences.size() < 8) {
          sequences.push_back(sequences[i].Fork(length));
          expected.emplace_back(expected[i].begin(),
                                expected[i].begin() + static_cast<ptrdiff_t>(length));
        } else {
          sequences[i].Truncate(length);
          expected[i].resize(length);
        }
        break;
      }
      case 3:
        if (sequences.size() > 1 && rng() % 2 == 0) {
          std::swap(sequences[i], sequences.back());
          std::swap(expected[i], expected.back());
          sequences.pop_back();
          expected.pop_back();
        }
        break;
    }
    const size_t j = rng() % sequences.size();
    ASSERT_EQ(Marks(sequences[j]), expected[j]) << "round " << round;
  }
  EXPECT_GT(refused, 0u);
  sequences.clear();
  EXPECT_EQ(pool->pages_in_use(), 0u);
}

}  // namespace
}  // namespace cairn::engine
