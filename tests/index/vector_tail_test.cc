#include "index/vector_tail.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/slot_set.h"
#include "kernels/distance.h"
#include "tests/support/clustered_vectors.h"

namespace cairn::index {
namespace {

using cairn::testing::ClusteredVectors;
using cairn::testing::Normalize;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The float32 vectors that a tail was filled with, as its source.
class Rows {
 public:
  explicit Rows(size_t dim) : dim_(dim) {}

  void Add(absl::Span<const float> row) { rows_.emplace_back(row.begin(), row.end()); }
  void AddMissing() { rows_.emplace_back(); }
  void Vanish(Slot slot) { vanished_.insert(slot); }
  void FailWith(absl::Status status) { failure_ = std::move(status); }
  void ForgetCalls() { calls_ = fetched_ = 0; }
  size_t calls() const { return calls_; }
  size_t fetched() const { return fetched_; }

  absl::Status operator()(absl::Span<const Slot> slots, absl::Span<float> out) const {
    ++calls_;
    fetched_ += slots.size();
    EXPECT_EQ(out.size(), slots.size() * dim_);
    if (!failure_.ok()) return failure_;
    for (size_t i = 0; i < slots.size(); ++i) {
      const auto row = out.subspan(i * dim_, dim_);
      if (vanished_.contains(slots[i])) {
        std::fill(row.begin(), row.end(), kNaN);
      } else {
        EXPECT_EQ(rows_[slots[i]].size(), dim_) << "a missing slot was asked for";
        std::copy(rows_[slots[i]].begin(), rows_[slots[i]].end(), row.begin());
      }
    }
    return absl::OkStatus();
  }

  std::vector<ScoredSlot> BruteForce(absl::Span<const float> query, size_t k,
                                     const SlotSet& allowed) const {
    std::vector<ScoredSlot> all;
    for (Slot slot = 0; slot < rows_.size(); ++slot) {
      if (rows_[slot].empty() || vanished_.contains(slot) || !allowed.Test(slot)) continue;
      all.push_back(
          {slot, kernels::GetDistanceKernels().dot_f32(query.data(), rows_[slot].data(), dim_)});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const ScoredSlot& a, const ScoredSlot& b) { return a.score > b.score; });
    all.resize(std::min(k, all.size()));
    return all;
  }

 private:
  size_t dim_;
  std::vector<std::vector<float>> rows_;
  std::set<Slot> vanished_;
  absl::Status failure_;
  mutable size_t calls_ = 0;
  mutable size_t fetched_ = 0;
};

void Fill(const ClusteredVectors& vectors, VectorTail* tail, Rows* rows) {
  for (size_t i = 0; i < vectors.size(); ++i) {
    ASSERT_EQ(*tail->Append(vectors.row(i)), i);
    rows->Add(vectors.row(i));
  }
}

class VectorTailEncodings : public ::testing::TestWithParam<VectorEncoding> {};

TEST_P(VectorTailEncodings, FindsExactlyTheFloat32TopK) {
  for (size_t dim : {2, 7, 32, 100, 256}) {
    std::mt19937 rng(dim);
    for (float spread : {0.05f, 1.2f, 20.0f}) {
      const ClusteredVectors vectors(900, dim, 17, spread);
      VectorTail tail(dim, GetParam());
      Rows rows(dim);
      Fill(vectors, &tail, &rows);
      const SlotSet all(tail.slots(), true);
      for (int i = 0; i < 10; ++i) {
        const std::vector<float> query = vectors.Near(rng() % vectors.size(), rng);
        for (size_t k : {size_t{1}, size_t{10}, size_t{300}, size_t{900}, SIZE_MAX}) {
          const auto results = tail.Search(query, k, all, rows);
          ASSERT_TRUE(results.ok()) << results.status();
          ASSERT_EQ(*results, rows.BruteForce(query, k, all))
              << "dim " << dim << ", spread " << spread << ", k " << k;
        }
      }
    }
  }
}

TEST_P(VectorTailEncodings, BreaksTiesBySlot) {
  const ClusteredVectors few(5, 16, 3);
  VectorTail tail(16, GetParam());
  Rows rows(16);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(tail.Append(few.row(i % 5)).ok());
    rows.Add(few.row(i % 5));
  }
  const SlotSet all(1000, true);
  for (size_t k : {1, 3, 199, 200, 201, 999}) {
    const auto results = tail.Search(few.row(2), k, all, rows);
    ASSERT_TRUE(results.ok());
    EXPECT_EQ(*results, rows.BruteForce(few.row(2), k, all)) << k;
    EXPECT_EQ(results->front().slot, 2u);
  }
}

TEST_P(VectorTailEncodings, HonoursTheFilter) {
  const ClusteredVectors vectors(3000, 48, 5);
  VectorTail tail(48, GetParam());
  Rows rows(48);
  Fill(vectors, &tail, &rows);
  std::mt19937 rng(1);
  for (unsigned one_in : {2u, 30u, 1000u}) {
    SlotSet allowed(tail.slots());
    for (Slot slot = 0; slot < tail.slots(); ++slot) {
      if (rng() % one_in == 0) allowed.Set(slot);
    }
    for (int i = 0; i < 20; ++i) {
      const std::vector<float> query = vectors.Near(rng() % vectors.size(), rng);
      for (size_t k : {1, 10, 100}) {
        const auto results = tail.Search(query, k, allowed, rows);
        ASSERT_TRUE(results.ok());
        ASSERT_EQ(*results, rows.BruteForce(query, k, allowed)) << one_in << " " << k;
      }
    }
  }
  rows.ForgetCalls();
  EXPECT_TRUE(tail.Search(vectors.row(0), 10, SlotSet(tail.slots()), rows)->empty());
  EXPECT_EQ(rows.calls(), 0u);
}

TEST_P(VectorTailEncodings, NeverReturnsASlotWithoutAVector) {
  const ClusteredVectors vectors(700, 24, 6);
  VectorTail tail(24, GetParam());
  Rows rows(24);
  for (size_t i = 0; i < vectors.size(); ++i) {
    if (i % 3 == 0) {
      const size_t before = tail.slots();
      EXPECT_EQ(tail.AppendMissing(), before);
      rows.AddMissing();
    }
    ASSERT_TRUE(tail.Append(vectors.row(i)).ok());
    rows.Add(vectors.row(i));
  }
  // The largest k wants slots of negative scores too, below the 0 of an empty row.
  const SlotSet all(tail.slots(), true);
  for (size_t k : {size_t{10}, size_t{690}, SIZE_MAX}) {
    const auto results = tail.Search(vectors.row(4), k, all, rows);
    ASSERT_TRUE(results.ok());
    EXPECT_EQ(*results, rows.BruteForce(vectors.row(4), k, all));
  }
}

TEST_P(VectorTailEncodings, IsEmptyWithoutVectors) {
  VectorTail tail(4, GetParam());
  Rows rows(4);
  const std::vector<float> query = {1, 0, 0, 0};
  EXPECT_TRUE(tail.Search(query, 10, SlotSet(), rows)->empty());
  EXPECT_EQ(tail.AppendMissing(), 0u);
  EXPECT_TRUE(tail.Search(query, 10, SlotSet(1, true), rows)->empty());
}

TEST_P(VectorTailEncodings, RefusesBadVectorsAndQueries) {
  VectorTail tail(3, GetParam());
  Rows rows(3);
  const std::vector<std::vector<float>> bad = {{},
                                               {1, 0},
                                               {1, 0, 0, 0},
                                               {0, 0, 0},
                                               {kNaN, 1, 0},
                                               {1, 0, kNaN},
                                               {kInfinity, 0, 0},
                                               {0, -kInfinity, 0},
                                               {1.01f, 0, 0},
                                               {0.9f, 0, 0},
                                               {1e30f, 1e30f, 0}};
  for (const std::vector<float>& vector : bad) {
    EXPECT_EQ(tail.Append(vector).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(tail.slots(), 0u) << "a refused vector must add nothing";
  ASSERT_TRUE(tail.Append({0.6f, 0.8f, 0.0f}).ok());
  ASSERT_TRUE(tail.Append({1.0005f, 0.0f, 0.0f}).ok());
  EXPECT_EQ(tail.slots(), 2u);
  for (const std::vector<float>& query : bad) {
    EXPECT_EQ(tail.Search(query, 1, SlotSet(2, true), rows).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_P(VectorTailEncodings, FindsNothingForKZero) {
  VectorTail tail(2, GetParam());
  Rows rows(2);
  const std::vector<float> x = {1, 0};
  ASSERT_TRUE(tail.Append(x).ok());
  EXPECT_TRUE(tail.Search(x, 0, SlotSet(1, true), rows)->empty());
  EXPECT_EQ(rows.calls(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Encodings, VectorTailEncodings,
                         ::testing::Values(VectorEncoding::kFloat32, VectorEncoding::kBfloat16,
                                           VectorEncoding::kInt8),
                         [](const auto& test) {
                           return std::string(VectorEncodingName(test.param));
                         });

class VectorTailSource : public ::testing::TestWithParam<VectorEncoding> {
 protected:
  VectorTailSource() { Fill(vectors_, &tail_, &rows_); }

  const ClusteredVectors vectors_{2000, 64, 8};
  VectorTail tail_{64, GetParam()};
  Rows rows_{64};
  const SlotSet all_{2000, true};
};

TEST_P(VectorTailSource, PassesItsErrorsThrough) {
  rows_.FailWith(absl::DataLossError("row is damaged"));
  const auto results = tail_.Search(vectors_.row(0), 10, all_, rows_);
  EXPECT_EQ(results.status(), absl::DataLossError("row is damaged"));
}

TEST_P(VectorTailSource, IsAskedForFewVectors) {
  std::mt19937 rng(2);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(tail_.Search(vectors_.Near(rng() % 2000, rng), 10, all_, rows_).ok());
  }
  EXPECT_GE(rows_.fetched(), 50u * 10);
  EXPECT_LT(rows_.fetched(), 50u * 60) << "the bounds should leave few slots in doubt";
}

TEST_P(VectorTailSource, VanishedVectorsMakeRoomForTheNextBest) {
  std::mt19937 rng(3);
  for (size_t k : {1, 10, 50}) {
    for (int round = 0; round < 10; ++round) {
      const std::vector<float> query = vectors_.Near(rng() % 2000, rng);
      // All of the best vanish, then some at random.
      for (const ScoredSlot& r : rows_.BruteForce(query, k + round, all_)) rows_.Vanish(r.slot);
      for (int i = 0; i < 10; ++i) rows_.Vanish(rng() % 2000);
      const auto results = tail_.Search(query, k, all_, rows_);
      ASSERT_TRUE(results.ok());
      ASSERT_EQ(*results, rows_.BruteForce(query, k, all_));
    }
  }
}

TEST_P(VectorTailSource, EverythingVanishedIsNothingFound) {
  for (Slot slot = 0; slot < 2000; ++slot) rows_.Vanish(slot);
  EXPECT_TRUE(tail_.Search(vectors_.row(0), 10, all_, rows_)->empty());
  EXPECT_LT(rows_.calls(), 500u);
}

INSTANTIATE_TEST_SUITE_P(Encodings, VectorTailSource,
                         ::testing::Values(VectorEncoding::kBfloat16, VectorEncoding::kInt8),
                         [](const auto& test) {
                           return std::string(VectorEncodingName(test.param));
                         });

TEST(VectorTail, ALongScanIsGivenUpOnTheWay) {
  const ClusteredVectors vectors(30'000, 8, 4);
  VectorTail tail(8, VectorEncoding::kInt8);
  Rows rows(8);
  Fill(vectors, &tail, &rows);
  const SlotSet all(30'000, true);
  int asked = 0;
  int most = 1'000'000;
  const auto search = [&] {
    asked = 0;
    const Cancellation cancellation([&] { return ++asked > most; });
    return tail.Search(vectors.row(1), 10, all, rows, -kInfinity, &cancellation);
  };
  EXPECT_EQ(*search(), *tail.Search(vectors.row(1), 10, all, rows));
  EXPECT_GE(asked, 4);
  for (most = asked - 1; most >= 0; --most) {
    EXPECT_TRUE(absl::IsCancelled(search().status())) << most;
    EXPECT_EQ(asked, most + 1);
  }
}

TEST(VectorTail, NeedsNoSourceForFloat32) {
  const ClusteredVectors vectors(500, 32, 4);
  VectorTail tail(32, VectorEncoding::kFloat32);
  Rows rows(32);
  Fill(vectors, &tail, &rows);
  rows.FailWith(absl::InternalError("must not be called"));
  EXPECT_TRUE(tail.Search(vectors.row(1), 10, SlotSet(500, true), rows).ok());
  EXPECT_EQ(rows.calls(), 0u);
}

TEST(VectorTail, EncodesCompactly) {
  const ClusteredVectors vectors(4096, 256, 2);
  for (const auto& [encoding, bytes] :
       {std::pair<VectorEncoding, double>{VectorEncoding::kFloat32, 1024},
        std::pair<VectorEncoding, double>{VectorEncoding::kBfloat16, 512},
        std::pair<VectorEncoding, double>{VectorEncoding::kInt8, 256}}) {
    VectorTail tail(256, encoding);
    Rows rows(256);
    Fill(vectors, &tail, &rows);
    const double per_slot = static_cast<double>(tail.MemoryBytes()) / vectors.size();
    EXPECT_GE(per_slot, bytes);
    EXPECT_LE(per_slot, bytes + 32);
  }
}

TEST(VectorTail, NamesItsEncodings) {
  EXPECT_EQ(VectorEncodingName(VectorEncoding::kFloat32), "float32");
  EXPECT_EQ(VectorEncodingName(VectorEncoding::kBfloat16), "bfloat16");
  EXPECT_EQ(VectorEncodingName(VectorEncoding::kInt8), "int8");
}

}  // namespace
}  // namespace cairn::index
