#include "index/segment/vector_segment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/segment/vector_writer.h"
#include "tests/support/clustered_vectors.h"
#include "tests/support/embedding_vectors.h"
#include "tests/support/vector_part.h"

namespace cairn::index {
namespace {

using cairn::testing::ClusteredVectors;
using cairn::testing::EmbeddingVectors;
using cairn::testing::VectorPart;
using cairn::testing::VectorRows;
using cairn::testing::WriteVectorPart;

constexpr float kNoFloor = -std::numeric_limits<float>::infinity();
const std::atomic<bool> kNeverCancelled = false;

std::string KindName(VectorIndexKind kind) {
  switch (kind) {
    case VectorIndexKind::kFlat:
      return "flat";
    case VectorIndexKind::kHnsw:
      return "hnsw";
    case VectorIndexKind::kIvfPq:
      return "ivfpq";
  }
  return "unknown";
}

VectorIndexOptions OptionsOf(VectorIndexKind kind, VectorEncoding encoding) {
  VectorIndexOptions options;
  options.kind = kind;
  options.encoding = encoding;
  options.flat_below = 0;
  return options;
}

VectorRows RowsOf(const ClusteredVectors& vectors) {
  VectorRows rows(vectors.dim());
  for (size_t i = 0; i < vectors.size(); ++i) rows.Add(vectors.row(i));
  return rows;
}

std::string MustWrite(VectorRows* rows, const VectorIndexOptions& options) {
  absl::StatusOr<std::string> bytes = WriteVectorPart(rows, options, kNeverCancelled);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *std::move(bytes) : std::string();
}

double Recall(const std::vector<ScoredSlot>& found, const std::vector<ScoredSlot>& truth) {
  if (truth.empty()) return 1;
  size_t hits = 0;
  for (const ScoredSlot& t : truth) {
    hits += std::find(found.begin(), found.end(), t) != found.end() ? 1 : 0;
  }
  return static_cast<double>(hits) / static_cast<double>(truth.size());
}

// What holds of every answer, however approximate.
void ExpectSound(const std::vector<ScoredSlot>& found, absl::Span<const float> query,
                 const VectorRows& rows, const SlotSet& allowed) {
  std::set<Slot> seen;
  for (size_t i = 0; i < found.size(); ++i) {
    const Slot slot = found[i].slot;
    ASSERT_LT(slot, rows.size());
    EXPECT_TRUE(seen.insert(slot).second) << "slot " << slot << " twice";
    EXPECT_TRUE(allowed.Test(slot));
    ASSERT_FALSE(rows.row(slot).empty());
    EXPECT_EQ(found[i].score, kernels::GetDistanceKernels().dot_f32(
                                  query.data(), rows.row(slot).data(), rows.dim()));
    if (i == 0) continue;
    EXPECT_TRUE(found[i - 1].score > found[i].score ||
                (found[i - 1].score == found[i].score && found[i - 1].slot < slot));
  }
}

using KindAndEncoding = std::tuple<VectorIndexKind, VectorEncoding>;

class VectorSegments : public ::testing::TestWithParam<KindAndEncoding> {
 protected:
  VectorIndexKind kind() const { return std::get<0>(GetParam()); }
  VectorEncoding encoding() const { return std::get<1>(GetParam()); }
  VectorIndexOptions options() const { return OptionsOf(kind(), encoding()); }
  // So few dimensions leave IVF-PQ codes of a few bytes, which cannot tell a cluster's members
  // apart.
  double least_recall() const {
    if (kind() == VectorIndexKind::kFlat) return 1;
    return kind() == VectorIndexKind::kHnsw ? 0.97 : 0.9;
  }
};

INSTANTIATE_TEST_SUITE_P(
    Kinds, VectorSegments,
    ::testing::Values(KindAndEncoding{VectorIndexKind::kFlat, VectorEncoding::kFloat32},
                      KindAndEncoding{VectorIndexKind::kFlat, VectorEncoding::kBfloat16},
                      KindAndEncoding{VectorIndexKind::kFlat, VectorEncoding::kInt8},
                      KindAndEncoding{VectorIndexKind::kHnsw, VectorEncoding::kFloat32},
                      KindAndEncoding{VectorIndexKind::kHnsw, VectorEncoding::kBfloat16},
                      KindAndEncoding{VectorIndexKind::kHnsw, VectorEncoding::kInt8},
                      KindAndEncoding{VectorIndexKind::kIvfPq, VectorEncoding::kInt8}),
    [](const auto& test) {
      return absl::StrCat(KindName(std::get<0>(test.param)), "_",
                          std::string(VectorEncodingName(std::get<1>(test.param))));
    });

TEST_P(VectorSegments, FindTheNearestOfClusteredVectors) {
  const ClusteredVectors vectors(8000, 64, 21);
  VectorRows rows = RowsOf(vectors);
  const VectorPart part(MustWrite(&rows, options()), rows.size(), rows.dim());
  ASSERT_TRUE(part.status().ok()) << part.status();
  EXPECT_EQ(part->kind(), kind());
  EXPECT_EQ(part->count(), 8000u);
  EXPECT_EQ(part->encoding(),
            kind() == VectorIndexKind::kIvfPq ? VectorEncoding::kFloat32 : encoding());
  EXPECT_TRUE(part->Check().ok()) << part->Check();
  std::mt19937 rng(4);
  const SlotSet all(rows.size(), true);
  for (size_t k : {1, 10, 40}) {
    double recall = 0;
    for (int i = 0; i < 100; ++i) {
      const std::vector<float> query = vectors.Near(rng() % vectors.size(), rng);
      const auto found = part->Search(query, k, all, kNoFloor, {});
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_EQ(found->size(), k);
      ExpectSound(*found, query, rows, all);
      recall += Recall(*found, rows.TopK(query, k, all)) / 100;
    }
    EXPECT_GE(recall, least_recall() - 1e-9) << "k " << k;
  }
}

TEST_P(VectorSegments, HonourFiltersOfAnySelectivity) {
  const ClusteredVectors vectors(6000, 48, 22);
  VectorRows rows = RowsOf(vectors);
  const VectorPart part(MustWrite(&rows, options()), rows.size(), rows.dim());
  ASSERT_TRUE(part.status().ok()) << part.status();
  std::mt19937 rng(5);
  for (unsigned one_in : {2u, 10u, 100u, 1000u}) {
    SlotSet allowed(rows.size());
    for (Slot slot = 0; slot < rows.size(); ++slot) {
      if (rng() % one_in == 0) allowed.Set(slot);
    }
    double recall = 0;
    for (int i = 0; i < 50; ++i) {
      const std::vector<float> query = vectors.Near(rng() % vectors.size(), rng);
      const auto found = part->Search(query, 10, allowed, kNoFloor, {});
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_EQ(found->size(), std::min<size_t>(10, allowed.Count())) << one_in;
      ExpectSound(*found, query, rows, allowed);
      recall += Recall(*found, rows.TopK(query, 10, allowed)) / 50;
    }
    EXPECT_GE(recall, least_recall() - 1e-9) << "one in " << one_in;
  }
  EXPECT_TRUE(part->Search(vectors.row(0), 10, SlotSet(rows.size()), kNoFloor, {})->empty());
}

// The allowed slots are those farthest from the query: no walk towards it meets any.
TEST_P(VectorSegments, FindAllowedSlotsFarFromTheQuery) {
  const ClusteredVectors vectors(6000, 32, 23);
  VectorRows rows = RowsOf(vectors);
  const VectorPart part(MustWrite(&rows, options()), rows.size(), rows.dim());
  ASSERT_TRUE(part.status().ok()) << part.status();
  const SlotSet all(rows.size(), true);
  const std::vector<ScoredSlot> ranking = rows.TopK(vectors.row(7), rows.size(), all);
  SlotSet allowed(rows.size());
  for (size_t i = ranking.size() / 2; i < ranking.size(); ++i) allowed.Set(ranking[i].slot);
  const auto found = part->Search(vectors.row(7), 10, allowed, kNoFloor, {});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->size(), 10u);
  ExpectSound(*found, vectors.row(7), rows, allowed);
}

TEST_P(VectorSegments, NeverReturnASlotWithoutAVector) {
  const ClusteredVectors vectors(3000, 40, 24);
  VectorRows rows(40);
  for (size_t i = 0; i < vectors.size(); ++i) {
    if (i % 3 == 0) rows.AddMissing();
    rows.Add(vectors.row(i));
  }
  rows.AddMissing();
  const VectorPart part(MustWrite(&rows, options()), rows.size(), rows.dim());
  ASSERT_TRUE(part.status().ok()) << part.status();
  EXPECT_TRUE(part->Check().ok()) << part->Check();
  EXPECT_EQ(part->count(), 3000u);
  const SlotSet all(rows.size(), true);
  for (size_t k : {size_t{10}, size_t{2990}, size_t{3000}, SIZE_MAX}) {
    const auto found = part->Search(vectors.row(4), k, all, kNoFloor, {});
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->size(), std::min<size_t>(k, 3000));
    ExpectSound(*found, vectors.row(4), rows, all);
    if (k > 1000) {
      EXPECT_EQ(*found, rows.TopK(vectors.row(4), k, all));
    }
  }
  for (Slot slot = 0; slot < rows.size(); ++slot) {
    const float* const exact = part->Exact(slot);
    ASSERT_EQ(exact == nullptr, rows.row(slot).empty());
    if (exact != nullptr) {
      ASSERT_TRUE(std::equal(rows.row(slot).begin(), rows.row(slot).end(), exact));
    }
  }
}

TEST_P(VectorSegments, HoldNoOneAndTwoVectors) {
  for (size_t n : {0, 1, 2, 3}) {
    VectorRows rows(5);
    const ClusteredVectors vectors(3, 5, 1);
    rows.AddMissing();
    for (size_t i = 0; i < n; ++i) rows.Add(vectors.row(i));
    const VectorPart part(MustWrite(&rows, options()), rows.size(), rows.dim());
    ASSERT_TRUE(part.status().ok()) << part.status();
    EXPECT_TRUE(part->Check().ok()) << part->Check();
    const SlotSet all(rows.size(), true);
    const auto found = part->Search(vectors.row(0), 10, all, kNoFloor, {});
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(*found, rows.TopK(vectors.row(0), 10, all));
  }
  VectorRows none(5);
  const VectorPart part(MustWrite(&none, options()), 0, 5);
  ASSERT_TRUE(part.status().ok()) << part.status();
  const std::vector<float> query = {1, 0, 0, 0, 0};
  EXPECT_TRUE(part->Search(query, 10, SlotSet(), kNoFloor, {})->empty());
}

TEST_P(VectorSegments, FindAsManyOfEqualVectorsAsWanted) {
  const ClusteredVectors few(4, 24, 3);
  for (size_t distinct : {1, 4}) {
    VectorRows rows(24);
    for (size_t i = 0; i < 5000; ++i) rows.Add(few.row(i % distinct));
    const VectorPart part(MustWrite(&rows, options()), rows.size(), rows.dim());
    ASSERT_TRUE(part.status().ok()) << part.status();
    EXPECT_TRUE(part->Check().ok()) << part->Check();
    const SlotSet all(rows.size(), true);
    for (size_t k : {1, 10, 100}) {
      const auto found = part->Search(few.row(0), k, all, kNoFloor, {});
      ASSERT_TRUE(found.ok());
      ASSERT_EQ(found->size(), k);
      ExpectSound(*found, few.row(0), rows, all);
      EXPECT_EQ(found->front().score, rows.TopK(few.row(0), 1, all).front().score);
    }
  }
}

TEST_P(VectorSegments, AreExactWhenAsked) {
  const ClusteredVectors vectors(4000, 56, 25);
  VectorRows rows = RowsOf(vectors);
  const VectorPart part(MustWrite(&rows, options()), rows.size(), rows.dim());
  ASSERT_TRUE(part.status().ok()) << part.status();
  VectorSearchOptions exact;
  exact.exact = true;
  std::mt19937 rng(6);
  SlotSet allowed(rows.size(), true);
  for (Slot slot = 0; slot < rows.size(); slot += 5) allowed.Clear(slot);
  for (int i = 0; i < 30; ++i) {
    const std::vector<float> query = vectors.Near(rng() % vectors.size(), rng);
    const auto found = part->Search(query, 25, allowed, kNoFloor, exact);
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(*found, rows.TopK(query, 25, allowed));
  }
}

TEST_P(VectorSegments, KeepWhatReachesTheFloor) {
  const ClusteredVectors vectors(5000, 64, 26);
  VectorRows rows = RowsOf(vectors);
  const VectorPart part(MustWrite(&rows, options()), rows.size(), rows.dim());
  ASSERT_TRUE(part.status().ok()) << part.status();
  const SlotSet all(rows.size(), true);
  for (Slot slot : {3u, 400u, 2222u}) {
    const auto free = part->Search(vectors.row(slot), 10, all, kNoFloor, {});
    ASSERT_TRUE(free.ok());
    for (size_t reach : {1, 5, 10}) {
      const auto found = part->Search(vectors.row(slot), 10, all, (*free)[reach - 1].score, {});
      ASSERT_TRUE(found.ok());
      ASSERT_GE(found->size(), reach);
      EXPECT_TRUE(std::equal(free->begin(), free->begin() + reach, found->begin()));
    }
    EXPECT_TRUE(part->Search(vectors.row(slot), 10, all, 1.5f, {})->empty());
  }
}

TEST_P(VectorSegments, AreTheSameBytesFromTheSameVectors) {
  VectorRows rows = RowsOf(ClusteredVectors(2500, 32, 27));
  EXPECT_EQ(MustWrite(&rows, options()), MustWrite(&rows, options()));
}

TEST_P(VectorSegments, RefuseBadQueries) {
  VectorRows rows = RowsOf(ClusteredVectors(600, 3, 28));
  const VectorPart part(MustWrite(&rows, options()), rows.size(), rows.dim());
  ASSERT_TRUE(part.status().ok()) << part.status();
  const SlotSet all(rows.size(), true);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& query :
       {std::vector<float>{}, {1, 0}, {1, 0, 0, 0}, {0, 0, 0}, {nan, 1, 0}, {2, 0, 0}}) {
    EXPECT_EQ(part->Search(query, 1, all, kNoFloor, {}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(part->Search(rows.row(0), 0, all, kNoFloor, {})->empty());
}

TEST_P(VectorSegments, ServeManyThreadsAlike) {
  const ClusteredVectors vectors(3000, 32, 29);
  VectorRows rows = RowsOf(vectors);
  const VectorPart part(MustWrite(&rows, options()), rows.size(), rows.dim());
  ASSERT_TRUE(part.status().ok()) << part.status();
  const SlotSet all(rows.size(), true);
  std::vector<std::vector<ScoredSlot>> expected;
  for (Slot slot = 0; slot < 50; ++slot) {
    expected.push_back(*part->Search(rows.row(slot), 10, all, kNoFloor, {}));
  }
  std::atomic<int> different = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (Slot slot = 0; slot < 50; ++slot) {
        if (*part->Search(rows.row(slot), 10, all, kNoFloor, {}) != expected[slot]) ++different;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(different, 0);
}

TEST_P(VectorSegments, StopWhenCancelled) {
  VectorRows rows = RowsOf(ClusteredVectors(3000, 16, 30));
  const std::atomic<bool> cancelled = true;
  EXPECT_EQ(WriteVectorPart(&rows, options(), cancelled).status().code(),
            absl::StatusCode::kCancelled);
  // In the middle.
  std::atomic<bool> cancel = false;
  std::thread canceller([&] { cancel = true; });
  const absl::Status status = WriteVectorPart(&rows, options(), cancel).status();
  canceller.join();
  EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kCancelled) << status;
}

TEST_P(VectorSegments, PassTheErrorsOfTheirSourceThrough) {
  for (int read = 1; read <= 20; ++read) {
    VectorRows rows = RowsOf(ClusteredVectors(1000, 8, 31));
    rows.FailAt(read, absl::DataLossError("row is damaged"));
    const absl::Status status = WriteVectorPart(&rows, options(), kNeverCancelled).status();
    EXPECT_TRUE(status.ok() || status == absl::DataLossError("row is damaged")) << status;
    if (read == 1) {
      EXPECT_FALSE(status.ok());
    }
  }
}

TEST_P(VectorSegments, RefuseVectorsThatAreNotOfUnitLength) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const std::vector<float>& bad :
       {std::vector<float>{0, 0}, {inf, 0}, {0, std::nanf("")}, {0.9f, 0}, {1, 1}}) {
    VectorRows rows(2);
    for (int i = 0; i < 300; ++i) rows.Add({1, 0});
    rows.Add(bad);
    EXPECT_EQ(WriteVectorPart(&rows, options(), kNeverCancelled).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(VectorSegment, IsFlatBelowAThreshold) {
  VectorRows rows = RowsOf(ClusteredVectors(999, 16, 32));
  rows.AddMissing();
  for (VectorIndexKind kind : {VectorIndexKind::kHnsw, VectorIndexKind::kIvfPq}) {
    for (size_t below : {999, 1000, 5000}) {
      VectorIndexOptions options = OptionsOf(kind, VectorEncoding::kInt8);
      options.flat_below = below;
      const VectorPart part(MustWrite(&rows, options), rows.size(), rows.dim());
      ASSERT_TRUE(part.status().ok()) << part.status();
      EXPECT_EQ(part->kind(), below <= 999 ? kind : VectorIndexKind::kFlat) << below;
    }
  }
}

TEST(VectorSegment, RefusesOptionsOutOfRange) {
  VectorRows rows = RowsOf(ClusteredVectors(10, 16, 33));
  for (int bad = 0; bad < 5; ++bad) {
    VectorIndexOptions options;
    if (bad == 0) options.hnsw_links = 1;
    if (bad == 1) options.hnsw_links = 129;
    if (bad == 2) options.hnsw_ef_construction = 0;
    if (bad == 3) options.ivf_code_bytes = 5;
    if (bad == 4) options.hnsw_ef_construction = 1 << 20;
    EXPECT_EQ(WriteVectorPart(&rows, options, kNeverCancelled).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST(VectorSegment, WalksReachTheRecallTheyPromiseWithoutHelp) {
  // Large enough that no search by default is a scan.
  EmbeddingVectors vectors(20000, 96, 34);
  VectorRows rows(96);
  for (size_t i = 0; i < vectors.size(); ++i) rows.Add(vectors.row(i));
  const SlotSet all(rows.size(), true);
  for (VectorIndexKind kind : {VectorIndexKind::kHnsw, VectorIndexKind::kIvfPq}) {
    const VectorPart part(MustWrite(&rows, OptionsOf(kind, VectorEncoding::kInt8)), rows.size(),
                          rows.dim());
    ASSERT_TRUE(part.status().ok()) << part.status();
    double recall = 0;
    std::set<Slot> different;
    for (int i = 0; i < 200; ++i) {
      const std::vector<float> query = vectors.Sample();
      const auto found = part->Search(query, 10, all, kNoFloor, {});
      ASSERT_TRUE(found.ok());
      recall += Recall(*found, rows.TopK(query, 10, all)) / 200;
    }
    EXPECT_GE(recall, kind == VectorIndexKind::kHnsw ? 0.98 : 0.9) << KindName(kind);
  }
}

TEST(VectorSegment, WiderWalksFindMore) {
  EmbeddingVectors vectors(20000, 64, 35);
  VectorRows rows(64);
  for (size_t i = 0; i < vectors.size(); ++i) rows.Add(vectors.row(i));
  const VectorPart part(
      MustWrite(&rows, OptionsOf(VectorIndexKind::kHnsw, VectorEncoding::kFloat32)), rows.size(),
      rows.dim());
  ASSERT_TRUE(part.status().ok()) << part.status();
  const SlotSet all(rows.size(), true);
  std::vector<double> recalls;
  std::vector<std::vector<float>> queries;
  for (int i = 0; i < 200; ++i) queries.push_back(vectors.Sample());
  for (size_t ef : {10, 40, 160}) {
    VectorSearchOptions options;
    options.ef = ef;
    double recall = 0;
    for (const std::vector<float>& query : queries) {
      recall +=
          Recall(*part->Search(query, 10, all, kNoFloor, options), rows.TopK(query, 10, all)) / 200;
    }
    recalls.push_back(recall);
  }
  EXPECT_TRUE(std::is_sorted(recalls.begin(), recalls.end()))
      << recalls[0] << " " << recalls[1] << " " << recalls[2];
  EXPECT_GE(recalls.back(), 0.98);
}

TEST(VectorSegment, ServesEveryDimension) {
  for (size_t dim : {1, 2, 3, 7, 17, 65, 130}) {
    const ClusteredVectors vectors(800, dim, 36);
    VectorRows rows = RowsOf(vectors);
    const SlotSet all(rows.size(), true);
    for (VectorIndexKind kind :
         {VectorIndexKind::kFlat, VectorIndexKind::kHnsw, VectorIndexKind::kIvfPq}) {
      VectorIndexOptions options = OptionsOf(kind, VectorEncoding::kInt8);
      options.hnsw_links = 4;
      options.ivf_lists = 9;
      const VectorPart part(MustWrite(&rows, options), rows.size(), dim);
      ASSERT_TRUE(part.status().ok()) << part.status();
      EXPECT_TRUE(part->Check().ok()) << part->Check();
      VectorSearchOptions narrow;
      narrow.ef = 5;
      const auto found = part->Search(vectors.row(5), 5, all, kNoFloor, narrow);
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_EQ(found->size(), 5u);
      ExpectSound(*found, vectors.row(5), rows, all);
    }
  }
}

}  // namespace
}  // namespace cairn::index
