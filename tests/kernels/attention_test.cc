#include "kernels/attention.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::kernels {
namespace {

constexpr KvType kTypes[] = {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kI8};

float ThroughBf16(float value) {
  bf16 narrow;
  EncodeBf16(&value, 1, &narrow);
  return std::bit_cast<float>(uint32_t{narrow} << 16);
}

// What a row of queries sees.
struct Window {
  uint32_t first = 0, limit = 0;
};

// Keys and values of `tokens` tokens in tiles, and as LoadKv reads them back.
class Sequence {
 public:
  Sequence(KvType type, size_t head_dim, size_t tokens, std::mt19937& rng)
      : type_(type),
        head_dim_(head_dim),
        tile_bytes_(KvTileBytes(type, head_dim)),
        memory_(((tokens + 63) / 64) * tile_bytes_ + kOffset) {
    std::memset(memory_.data(), 0, memory_.size());
    for (size_t t = 0; t * 64 < tokens; ++t) tiles_.push_back(memory_.data() + t * tile_bytes_);
    std::normal_distribution<float> normal;
    std::vector<float> key(head_dim), value(head_dim);
    for (size_t token = 0; token < tokens; ++token) {
      for (float& v : key) v = normal(rng);
      for (float& v : value) v = normal(rng);
      Store(token, key, value);
    }
  }

  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  void Store(size_t token, const std::vector<float>& key, const std::vector<float>& value) {
    StoreKv(type_, Tile(token), head_dim_, token % 64, key.data(), value.data());
    if (keys_.size() < (token + 1) * head_dim_) {
      keys_.resize((token + 1) * head_dim_);
      values_.resize((token + 1) * head_dim_);
    }
    LoadKv(type_, Tile(token), head_dim_, token % 64, &keys_[token * head_dim_],
           &values_[token * head_dim_]);
  }

  const std::byte* const* tiles() const { return tiles_.data(); }
  size_t tile_count() const { return tiles_.size(); }
  KvType type() const { return type_; }
  size_t head_dim() const { return head_dim_; }

  // The head's tiles do not begin where the page does.
  static constexpr size_t kOffset = 192;

  // Attention of one query in double, over `narrow` keys, values and queries where the kernels
  // round them to bfloat16.
  std::vector<double> Expected(const float* query, Window window, bool narrow) const {
    std::vector<double> scores, out(head_dim_, 0.0);
    const double scale = 1.4426950408889634 / std::sqrt(static_cast<double>(head_dim_));
    double most = -1e300, sum = 0;
    for (size_t token = window.first; token < window.limit; ++token) {
      double score = 0;
      for (size_t d = 0; d < head_dim_; ++d) {
        const float scaled = query[d] * static_cast<float>(scale);
        const float key = keys_[token * head_dim_ + d];
        score += narrow ? double{ThroughBf16(scaled)} * ThroughBf16(key) : double{scaled} * key;
      }
      scores.push_back(score);
      most = std::max(most, score);
    }
    for (size_t i = 0; i < scores.size(); ++i) {
      const double weight = std::exp2(scores[i] - most);
      sum += weight;
      for (size_t d = 0; d < head_dim_; ++d) {
        const float value = values_[(window.first + i) * head_dim_ + d];
        out[d] += weight * double{narrow ? ThroughBf16(value) : value};
      }
    }
    for (double& v : out) v = sum > 0 ? v / sum : 0.0;
    return out;
  }

 private:
  std::byte* Tile(size_t token) { return const_cast<std::byte*>(tiles_[token / 64]) + kOffset; }

  KvType type_;
  size_t head_dim_, tile_bytes_;
  AlignedVector<std::byte> memory_;
  std::vector<const std::byte*> tiles_;
  std::vector<float> keys_, values_;  // [tokens][head_dim]
};

class AttentionTest : public ::testing::TestWithParam<std::tuple<Isa, KvType>> {
 protected:
  Isa isa() const { return std::get<0>(GetParam()); }
  KvType type() const { return std::get<1>(GetParam()); }
  bool narrow() const {
    return isa() == Isa::kAvx512 && (type() == KvType::kBF16 || type() == KvType::kI8);
  }
  // Values are around 1. Weights in bfloat16 are off by 2^-9 of themselves, at random.
  double tolerance() const { return narrow() ? 0.01 : 4e-6; }

  std::vector<float> Random(size_t n) {
    std::normal_distribution<float> normal;
    std::vector<float> values(n);
    for (float& v : values) v = normal(rng_);
    return values;
  }

  AttentionRows Begin(const Sequence& sequence, const std::vector<float>& queries,
                      const std::vector<Window>& windows) const {
    AttentionRows rows;
    rows.UseIsa(isa());
    rows.Begin(sequence.type(), sequence.head_dim(), windows.size());
    for (size_t r = 0; r < windows.size(); ++r) {
      rows.SetRow(r, &queries[r * sequence.head_dim()], windows[r].first, windows[r].limit);
    }
    return rows;
  }

  // All rows through all tiles, against double.
  void Check(const Sequence& sequence, const std::vector<Window>& windows) {
    const size_t dim = sequence.head_dim();
    const std::vector<float> queries = Random(windows.size() * dim);
    AttentionRows rows = Begin(sequence, queries, windows);
    rows.Attend(sequence.tiles(), Sequence::kOffset, 0, sequence.tile_count());
    std::vector<float> out(dim + 1, 5.0f);
    for (size_t r = 0; r < windows.size(); ++r) {
      rows.Finish(r, out.data());
      const std::vector<double> expected =
          sequence.Expected(&queries[r * dim], windows[r], narrow());
      for (size_t d = 0; d < dim; ++d) {
        ASSERT_NEAR(out[d], expected[d], tolerance())
            << "row " << r << " of " << windows.size() << " sees [" << windows[r].first << ", "
            << windows[r].limit << "), dimension " << d << " of " << dim;
      }
      ASSERT_EQ(out[dim], 5.0f);
    }
  }

  std::mt19937 rng_{9};
};

TEST_P(AttentionTest, AgreesWithDoubleForEveryHeadSizeAndMask) {
  for (size_t dim : {8, 64, 80, 96, 128, 256}) {
    const Sequence sequence(type(), dim, 200, rng_);
    // Causal rows, sliding windows that begin inside and at the edges of tiles, single tokens, and
    // rows that see nothing at all or nothing in some tiles.
    Check(sequence, {{0, 200}});
    Check(sequence, {{0, 1}, {0, 63}, {0, 64}, {0, 65}, {0, 127}, {0, 128}, {0, 129}, {0, 200}});
    Check(sequence, {{0, 200}, {63, 65}, {64, 128}, {65, 66}, {100, 190}, {199, 200}, {1, 64}});
    Check(sequence, {{0, 0}, {0, 5}, {150, 150}, {130, 140}});
    if (HasFatalFailure()) return;
  }
}

TEST_P(AttentionTest, TakesEveryNumberOfRows) {
  const Sequence sequence(type(), 64, 150, rng_);
  for (size_t count = 1; count <= kAttentionRows; count += count < 16 ? 1 : 7) {
    std::vector<Window> windows(count);
    for (size_t r = 0; r < count; ++r) windows[r].limit = static_cast<uint32_t>(150 - r % 90);
    Check(sequence, windows);
    if (HasFatalFailure()) return;
  }
  Check(sequence, std::vector<Window>(kAttentionRows, {3, 147}));
}

TEST_P(AttentionTest, PartsMergeToTheWhole) {
  const size_t dim = 80, count = 5;
  const Sequence sequence(type(), dim, 400, rng_);
  const std::vector<Window> windows = {{0, 400}, {0, 60}, {70, 330}, {390, 400}, {5, 5}};
  const std::vector<float> queries = Random(count * dim);
  AttentionRows whole = Begin(sequence, queries, windows);
  whole.Attend(sequence.tiles(), Sequence::kOffset, 0, sequence.tile_count());
  const std::vector<size_t> bounds = {0, 1, 3, 6, 7};
  std::vector<AttentionRows> parts;
  for (size_t p = 0; p + 1 < bounds.size(); ++p) {
    parts.push_back(Begin(sequence, queries, windows));
    parts.back().Attend(sequence.tiles(), Sequence::kOffset, bounds[p], bounds[p + 1]);
  }
  for (size_t r = 0; r < count; ++r) {
    std::vector<float> logs, outs(parts.size() * dim), merged(dim), expected(dim);
    for (size_t p = 0; p < parts.size(); ++p) {
      logs.push_back(parts[p].FinishPartial(r, &outs[p * dim]));
    }
    MergeAttention(logs.data(), outs.data(), parts.size(), dim, merged.data());
    whole.Finish(r, expected.data());
    for (size_t d = 0; d < dim; ++d) ASSERT_NEAR(merged[d], expected[d], tolerance()) << r;
    // Merging is associative: the whole's logarithm is that of the parts' sum.
    double sum = 0;
    for (float log : logs) sum += std::exp2(double{log});
    const float log = whole.FinishPartial(r, expected.data());
    if (windows[r].first == windows[r].limit) {
      EXPECT_EQ(log, -std::numeric_limits<float>::infinity());
    } else {
      EXPECT_NEAR(log, std::log2(sum), narrow() ? 0.01 : 1e-5);
    }
  }
}

TEST_P(AttentionTest, ATileAtATimeGivesTheSameBitsAsAllAtOnce) {
  const size_t dim = 64;
  const Sequence sequence(type(), dim, 300, rng_);
  const std::vector<Window> windows = {{0, 300}, {10, 200}, {0, 65}};
  const std::vector<float> queries = Random(windows.size() * dim);
  AttentionRows once = Begin(sequence, queries, windows);
  AttentionRows steps = Begin(sequence, queries, windows);
  once.Attend(sequence.tiles(), Sequence::kOffset, 0, sequence.tile_count());
  for (size_t t = 0; t < sequence.tile_count(); ++t) {
    steps.Attend(sequence.tiles(), Sequence::kOffset, t, t + 1);
  }
  std::vector<float> a(dim), b(dim);
  for (size_t r = 0; r < windows.size(); ++r) {
    once.Finish(r, a.data());
    steps.Finish(r, b.data());
    EXPECT_EQ(a, b);
  }
}

TEST_P(AttentionTest, TokensThatARecycledTileStillHoldsDoNotMatter) {
  const size_t dim = 64;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> queries = Random(2 * dim);
  std::vector<float> a(dim), b(dim);
  for (float stale : {1e4f, 3e38f, nan, infinity, -infinity}) {
    std::mt19937 same_a(5), same_b(5);
    Sequence clean(type(), dim, 100, same_a), used(type(), dim, 128, same_b);
    for (size_t token = 100; token < 128; ++token) {
      used.Store(token, std::vector<float>(dim, stale), std::vector<float>(dim, stale));
    }
    const std::vector<Window> windows = {{0, 99}, {30, 100}};
    AttentionRows rows_a = Begin(clean, queries, windows);
    AttentionRows rows_b = Begin(used, queries, windows);
    rows_a.Attend(clean.tiles(), Sequence::kOffset, 0, 2);
    rows_b.Attend(used.tiles(), Sequence::kOffset, 0, 2);
    for (size_t r = 0; r < windows.size(); ++r) {
      rows_a.Finish(r, a.data());
      rows_b.Finish(r, b.data());
      EXPECT_EQ(a, b) << stale;
    }
  }
}

TEST_P(AttentionTest, LargeScoresNeitherOverflowNorLoseTheLargest) {
  const size_t dim = 64;
  Sequence sequence(type(), dim, 130, rng_);
  std::vector<float> key(dim, 30.0f), value(dim, 2.0f);
  sequence.Store(77, key, value);
  const std::vector<float> queries(dim, 30.0f);  // A score of 7,200: all others weigh nothing.
  AttentionRows rows = Begin(sequence, queries, {{0, 130}});
  rows.Attend(sequence.tiles(), Sequence::kOffset, 0, 3);
  std::vector<float> out(dim);
  rows.Finish(0, out.data());
  for (float v : out) ASSERT_NEAR(v, 2.0f, 0.01f);
}

TEST_P(AttentionTest, RowsServeOneJobAfterAnother) {
  AttentionRows rows;
  rows.UseIsa(isa());
  std::vector<float> first, again;
  for (size_t dim : {64, 128, 8, 64}) {
    std::mt19937 same(12);
    const Sequence sequence(type(), dim, 90, same);
    const std::vector<float> query(dim, 0.3f);
    rows.Begin(type(), dim, 1);
    rows.SetRow(0, query.data(), 0, 90);
    rows.Attend(sequence.tiles(), Sequence::kOffset, 0, 2);
    std::vector<float> out(dim);
    rows.Finish(0, out.data());
    if (dim != 64) continue;
    if (first.empty()) {
      first = out;
    } else {
      EXPECT_EQ(first, out);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsaAndType, AttentionTest,
                         ::testing::Combine(::testing::ValuesIn(SupportedIsas()),
                                            ::testing::ValuesIn(kTypes)),
                         [](const ::testing::TestParamInfo<std::tuple<Isa, KvType>>& tested) {
                           return std::string(IsaName(std::get<0>(tested.param))) + "_" +
                                  std::string(KvTypeName(std::get<1>(tested.param)));
                         });

class KvTileTest : public ::testing::TestWithParam<KvType> {};

TEST_P(KvTileTest, LoadsWhatWasStoredWithinTheTypesPrecision) {
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  for (size_t dim : {8, 31, 64, 80, 128}) {
    AlignedVector<std::byte> tile(KvTileBytes(GetParam(), dim));
    EXPECT_EQ(tile.size() % 64, 0u);
    std::memset(tile.data(), 0, tile.size());
    std::vector<std::vector<float>> keys(64), values(64);
    for (size_t token = 0; token < 64; ++token) {
      for (size_t d = 0; d < dim; ++d) {
        keys[token].push_back(normal(rng));
        values[token].push_back(normal(rng) * 100);
      }
      StoreKv(GetParam(), tile.data(), dim, token, keys[token].data(), values[token].data());
    }
    std::vector<float> key(dim), value(dim), only(dim);
    for (size_t token = 0; token < 64; ++token) {
      LoadKv(GetParam(), tile.data(), dim, token, key.data(), value.data());
      for (const auto& [in, out] : {std::pair(&keys[token], &key), {&values[token], &value}}) {
        float largest = 0;
        for (float v : *in) largest = std::max(largest, std::fabs(v));
        for (size_t d = 0; d < dim; ++d) {
          const float v = (*in)[d];
          float error = 0;
          if (GetParam() == KvType::kF16) error = std::fabs(v) * 0x1p-11f + 0x1p-25f;
          if (GetParam() == KvType::kBF16) error = std::fabs(v) * 0x1p-8f;
          if (GetParam() == KvType::kI8) error = largest / 127 * 0.5001f;
          ASSERT_NEAR((*out)[d], v, error) << "token " << token << " dimension " << d;
        }
      }
      LoadKv(GetParam(), tile.data(), dim, token, only.data(), nullptr);
      EXPECT_EQ(only, key);
      LoadKv(GetParam(), tile.data(), dim, token, nullptr, only.data());
      EXPECT_EQ(only, value);
    }
  }
}

TEST_P(KvTileTest, StoringAgainWhatWasLoadedChangesNothing) {
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  const size_t dim = 64;
  AlignedVector<std::byte> a(KvTileBytes(GetParam(), dim)), b(a.size());
  std::memset(a.data(), 0, a.size());
  std::memset(b.data(), 0, b.size());
  std::vector<float> key(dim), value(dim), key_b(dim), value_b(dim);
  for (float& v : key) v = normal(rng);
  for (float& v : value) v = normal(rng);
  StoreKv(GetParam(), a.data(), dim, 9, key.data(), value.data());
  LoadKv(GetParam(), a.data(), dim, 9, key.data(), value.data());
  StoreKv(GetParam(), b.data(), dim, 9, key.data(), value.data());
  LoadKv(GetParam(), b.data(), dim, 9, key_b.data(), value_b.data());
  for (size_t d = 0; d < dim; ++d) {
    // A scale of int8 may round to its neighbour.
    ASSERT_NEAR(key[d], key_b[d], GetParam() == KvType::kI8 ? 1e-6f : 0.0f);
    ASSERT_NEAR(value[d], value_b[d], GetParam() == KvType::kI8 ? 1e-6f : 0.0f);
  }
}

TEST_P(KvTileTest, ValuesBeyondTheRangeBecomeTheLargestAndNotANumberToo) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const size_t dim = 8;
  const std::vector<float> wild = {nan, infinity, -infinity, 3.4e38f, -3.4e38f, 1.0f, 0.0f, -0.0f};
  AlignedVector<std::byte> tile(KvTileBytes(GetParam(), dim));
  std::memset(tile.data(), 0, tile.size());
  std::vector<float> key(dim), value(dim);
  StoreKv(GetParam(), tile.data(), dim, 63, wild.data(), wild.data());
  LoadKv(GetParam(), tile.data(), dim, 63, key.data(), value.data());
  EXPECT_EQ(key, value);
  const float largest = GetParam() == KvType::kF16 ? 65504.0f : 3.38953139e38f;
  for (size_t d = 0; d < dim; ++d) ASSERT_TRUE(std::isfinite(key[d])) << d;
  EXPECT_NEAR(key[0], largest, largest * 1e-6f);
  EXPECT_NEAR(key[1], largest, largest * 1e-6f);
  EXPECT_NEAR(key[2], -largest, largest * 1e-6f);
  EXPECT_NEAR(key[3], largest, largest * 1e-2f);
  EXPECT_NEAR(key[4], -largest, largest * 1e-2f);
  EXPECT_EQ(key[6], 0.0f);
}

TEST_P(KvTileTest, ATokenLeavesItsNeighboursAlone) {
  const size_t dim = 40;
  AlignedVector<std::byte> tile(KvTileBytes(GetParam(), dim));
  std::memset(tile.data(), 0, tile.size());
  const std::vector<float> one(dim, 1.0f), two(dim, 2.0f);
  for (size_t token = 0; token < 64; token += 2) {
    StoreKv(GetParam(), tile.data(), dim, token, one.data(), two.data());
  }
  std::vector<float> key(dim), value(dim);
  for (size_t token = 0; token < 64; ++token) {
    LoadKv(GetParam(), tile.data(), dim, token, key.data(), value.data());
    for (size_t d = 0; d < dim; ++d) {
      ASSERT_NEAR(key[d], token % 2 == 0 ? 1.0f : 0.0f, 1e-6f);
      ASSERT_NEAR(value[d], token % 2 == 0 ? 2.0f : 0.0f, 1e-6f);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryType, KvTileTest, ::testing::ValuesIn(kTypes),
                         [](const ::testing::TestParamInfo<KvType>& type) {
                           return std::string(KvTypeName(type.param));
                         });

TEST(KvType, NamesParseBack) {
  for (KvType type : kTypes) EXPECT_EQ(ParseKvType(KvTypeName(type)), type);
  EXPECT_EQ(ParseKvType("f64"), std::nullopt);
  EXPECT_EQ(ParseKvType(""), std::nullopt);
}

TEST(MergeAttention, OfNothingIsZeros) {
  const float nothing = -std::numeric_limits<float>::infinity();
  const std::vector<float> logs = {nothing, nothing}, parts(6, 0.0f);
  std::vector<float> out(3, 7.0f);
  MergeAttention(logs.data(), parts.data(), 2, 3, out.data());
  EXPECT_EQ(out, std::vector<float>(3, 0.0f));
  MergeAttention(nullptr, nullptr, 0, 3, out.data());
  EXPECT_EQ(out, std::vector<float>(3, 0.0f));
}

}  // namespace
}  // namespace cairn::kernels
