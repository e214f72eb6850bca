// Vector sections whose bytes are not what was written, as if the file's hash had not told.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "index/segment/vector_meta.h"
#include "index/segment/vector_segment.h"
#include "index/segment/vector_writer.h"
#include "tests/support/clustered_vectors.h"
#include "tests/support/vector_part.h"

namespace cairn::index {
namespace {

using cairn::testing::ClusteredVectors;
using cairn::testing::VectorPart;
using cairn::testing::VectorRows;
using cairn::testing::WriteVectorPart;

constexpr size_t kDim = 8;
constexpr size_t kSlots = 700;

class VectorDamage : public ::testing::TestWithParam<VectorIndexKind> {
 protected:
  VectorDamage() {
    const ClusteredVectors vectors(kSlots - 1, kDim, 41);
    for (size_t i = 0; i < vectors.size(); ++i) rows_.Add(vectors.row(i));
    rows_.AddMissing();
    VectorIndexOptions options;
    options.kind = GetParam();
    options.flat_below = 0;
    options.hnsw_links = 3;
    options.hnsw_ef_construction = 8;
    options.ivf_lists = 12;
    options.ivf_code_bytes = 2;
    const std::atomic<bool> cancel = false;
    absl::StatusOr<std::string> bytes = WriteVectorPart(&rows_, options, cancel);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    bytes_ = *std::move(bytes);
  }

  // Searches whatever opens: results may be wrong, but are results.
  void UseIt(const std::string& bytes) {
    const VectorPart part(bytes, kSlots, kDim);
    if (!part.status().ok()) return;
    (void)part->Check();
    const SlotSet all(kSlots, true);
    VectorSearchOptions narrow;
    narrow.ef = 3;  // So small that it is no scan.
    narrow.nprobe = 2;
    for (const VectorSearchOptions& options : {narrow, VectorSearchOptions()}) {
      const auto found =
          part->Search(rows_.row(3), 3, all, -std::numeric_limits<float>::infinity(), options);
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_LE(found->size(), 3u);
      for (const ScoredSlot& result : *found) EXPECT_LT(result.slot, kSlots);
    }
  }

  VectorRows rows_{kDim};
  std::string bytes_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, VectorDamage,
                         ::testing::Values(VectorIndexKind::kFlat, VectorIndexKind::kHnsw,
                                           VectorIndexKind::kIvfPq),
                         [](const auto& test) {
                           return std::string(test.param == VectorIndexKind::kFlat   ? "flat"
                                              : test.param == VectorIndexKind::kHnsw ? "hnsw"
                                                                                     : "ivfpq");
                         });

TEST_P(VectorDamage, OfAnyByteNeverCrashes) {
  ASSERT_TRUE(VectorPart(bytes_, kSlots, kDim).status().ok());
  std::mt19937 rng(1);
  for (int i = 0; i < 1500; ++i) {
    std::string bytes = bytes_;
    for (unsigned j = 0; j <= rng() % 4; ++j) {
      bytes[rng() % bytes.size()] = static_cast<char>(rng());
    }
    UseIt(bytes);
  }
}

TEST_P(VectorDamage, OfWholeStretchesNeverCrashes) {
  std::mt19937 rng(2);
  for (int i = 0; i < 600; ++i) {
    std::string bytes = bytes_;
    const size_t begin = rng() % bytes.size();
    const size_t count = std::min<size_t>(rng() % 4000, bytes.size() - begin);
    const char fill = static_cast<char>(rng() % 3 - 1);  // 0, 1 or all ones.
    std::memset(&bytes[begin], rng() % 2 == 0 ? fill : static_cast<char>(rng()), count);
    UseIt(bytes);
  }
}

TEST_P(VectorDamage, OfLengthNeverCrashes) {
  for (size_t size = 0; size < bytes_.size(); size += 1 + bytes_.size() / 300) {
    UseIt(bytes_.substr(0, size));
  }
}

TEST_P(VectorDamage, IsFoundByCheckWhereverItMatters) {
  // The exact vectors are looked at value by value: a flipped exponent bit is always seen.
  const std::vector<float>& row = rows_.row(100);
  const size_t at = bytes_.find(std::string(reinterpret_cast<const char*>(row.data()), kDim * 4));
  ASSERT_NE(at, std::string::npos);
  std::string bytes = bytes_;
  bytes[at + 3] ^= 0x40;
  const VectorPart part(bytes, kSlots, kDim);
  ASSERT_TRUE(part.status().ok());
  EXPECT_EQ(part->Check().code(), absl::StatusCode::kDataLoss);
}

TEST_P(VectorDamage, OfTheMetaIsRefused) {
  VectorMeta meta;
  meta.kind = static_cast<uint8_t>(GetParam());
  // The record's first bytes: version, kind.
  std::string head(reinterpret_cast<const char*>(&meta), 5);
  size_t at = std::string::npos;
  for (size_t from = 0; (from = bytes_.find(head, from)) != std::string::npos; ++from) {
    if (from % SectionWriter::kAlignment == 0) at = from;
  }
  ASSERT_NE(at, std::string::npos);
  const auto open = [&](size_t offset, auto value) {
    std::string bytes = bytes_;
    std::memcpy(&bytes[at + offset], &value, sizeof value);
    return VectorPart(bytes, kSlots, kDim).status().code();
  };
  EXPECT_EQ(open(offsetof(VectorMeta, version), uint32_t{2}), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(open(offsetof(VectorMeta, kind), uint8_t{3}), absl::StatusCode::kDataLoss);
  EXPECT_EQ(open(offsetof(VectorMeta, encoding), uint8_t{3}), absl::StatusCode::kDataLoss);
  EXPECT_EQ(open(offsetof(VectorMeta, dim), uint32_t{9}), absl::StatusCode::kDataLoss);
  EXPECT_EQ(open(offsetof(VectorMeta, slots), uint64_t{1} << 60), absl::StatusCode::kDataLoss);
  EXPECT_EQ(open(offsetof(VectorMeta, count), uint64_t{1}), absl::StatusCode::kDataLoss);
  if (GetParam() == VectorIndexKind::kHnsw) {
    EXPECT_EQ(open(offsetof(VectorMeta, links), uint32_t{1} << 31), absl::StatusCode::kDataLoss);
    EXPECT_EQ(open(offsetof(VectorMeta, levels), ~uint32_t{0}), absl::StatusCode::kDataLoss);
    EXPECT_EQ(open(offsetof(VectorMeta, entry), ~uint32_t{0}), absl::StatusCode::kDataLoss);
  }
  if (GetParam() == VectorIndexKind::kIvfPq) {
    EXPECT_EQ(open(offsetof(VectorMeta, lists), ~uint32_t{0}), absl::StatusCode::kDataLoss);
    EXPECT_EQ(open(offsetof(VectorMeta, lists), uint32_t{0}), absl::StatusCode::kDataLoss);
    EXPECT_EQ(open(offsetof(VectorMeta, code_bytes), uint32_t{0}), absl::StatusCode::kDataLoss);
    EXPECT_EQ(open(offsetof(VectorMeta, code_bytes), uint32_t{4}), absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(VectorPart(bytes_, kSlots + 1, kDim).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(VectorPart(bytes_, kSlots, kDim + 1).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace cairn::index
