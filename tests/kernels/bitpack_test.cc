#include "kernels/bitpack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

namespace cairn::kernels {
namespace {

// Value i of a packed block, as the layout's definition says.
template <typename T>
uint64_t Stored(const uint8_t* packed, uint32_t width, size_t i) {
  const size_t bits = sizeof(T) * 8;
  const size_t lanes = 16 / sizeof(T);
  uint64_t value = 0;
  for (uint32_t b = 0; b < width; ++b) {
    const size_t at = i / lanes * width + b;
    const size_t byte = at / bits * 16 + i % lanes * sizeof(T) + at % bits / 8;
    value |= uint64_t{packed[byte] >> (at % 8) & 1u} << b;
  }
  return value;
}

// A copy at an odd address, in memory that ends where the block does: a sanitizer sees any access
// beyond it.
class Packed {
 public:
  explicit Packed(uint32_t width) : size_(PackedBytes(width)), bytes_(new uint8_t[size_ + 1]) {
    std::memset(bytes_.get(), 0xa5, size_ + 1);
  }
  uint8_t* data() { return bytes_.get() + 1; }
  void Fill(std::mt19937* random) {
    for (size_t i = 0; i < size_; ++i) data()[i] = static_cast<uint8_t>((*random)());
  }

 private:
  size_t size_;
  std::unique_ptr<uint8_t[]> bytes_;
};

// 128 ascending values from `first` on whose largest gap less 1 has exactly `width` bits.
std::vector<uint32_t> Ascending(uint32_t first, uint32_t width, uint64_t last_limit,
                                std::mt19937* random) {
  std::vector<uint64_t> gaps(kPackedBlock, 0);
  const size_t largest = 1 + (*random)() % (kPackedBlock - 1);
  if (width > 0) gaps[largest] = uint64_t{1} << (width - 1);
  uint64_t left = last_limit - first - (kPackedBlock - 1) - gaps[largest];
  for (size_t i = 1; i < kPackedBlock && width > 0; ++i) {
    if (i == largest) continue;
    const uint64_t most = std::min((uint64_t{1} << width) - 1, left / kPackedBlock);
    gaps[i] = (*random)() % (most + 1);
    left -= gaps[i];
  }
  std::vector<uint32_t> values(kPackedBlock, first);
  for (size_t i = 1; i < kPackedBlock; ++i) {
    values[i] = static_cast<uint32_t>(values[i - 1] + gaps[i] + 1);
  }
  return values;
}

TEST(Bitpack, ReturnsSequencesOfEveryWidthInSixteenBits) {
  std::mt19937 random(1);
  for (uint32_t width = 0; width <= 16; ++width) {
    for (int round = 0; round < 50; ++round) {
      const uint32_t first = random() % 1'000'000;
      const uint64_t limit = uint64_t{first} + UINT16_MAX;
      const std::vector<uint32_t> values = Ascending(first, width, limit, &random);
      ASSERT_EQ(GapWidth(values.data()), width);
      // More bits than needed hold them too.
      for (uint32_t used = width; used <= 16; used += 1 + random() % 6) {
        Packed packed(used);
        PackGaps16(values.data(), used, packed.data());
        uint16_t out[kPackedBlock];
        UnpackDistances16(packed.data(), used, out);
        for (size_t i = 0; i < kPackedBlock; ++i) ASSERT_EQ(out[i], values[i] - first);
      }
    }
  }
}

TEST(Bitpack, ReturnsSequencesOfEveryWidthInThirtyTwoBits) {
  std::mt19937 random(2);
  for (uint32_t width = 0; width <= 32; ++width) {
    for (int round = 0; round < 50; ++round) {
      const uint32_t first = width == 32 ? random() % 1000 : random() % 1'000'000;
      const std::vector<uint32_t> values = Ascending(first, width, UINT32_MAX, &random);
      ASSERT_EQ(GapWidth(values.data()), width);
      for (uint32_t used = width; used <= 32; used += 1 + random() % 9) {
        Packed packed(used);
        PackGaps32(values.data(), used, packed.data());
        std::vector<uint32_t> out(kPackedBlock);
        UnpackAscending32(packed.data(), used, first, out.data());
        ASSERT_EQ(out, values) << "width " << width << " in " << used;
      }
    }
  }
}

TEST(Bitpack, HoldsTheLargestGap) {
  std::vector<uint32_t> values(kPackedBlock);
  for (size_t i = 0; i < kPackedBlock; ++i) {
    values[i] = static_cast<uint32_t>(i < 64 ? i : UINT32_MAX - 1 - (kPackedBlock - 1 - i));
  }
  EXPECT_EQ(GapWidth(values.data()), 32u);
  Packed packed(32);
  PackGaps32(values.data(), 32, packed.data());
  std::vector<uint32_t> out(kPackedBlock);
  UnpackAscending32(packed.data(), 32, values[0], out.data());
  EXPECT_EQ(out, values);
}

TEST(Bitpack, ReturnsCountsOfEveryWidth) {
  std::mt19937 random(3);
  for (uint32_t width = 0; width <= 8; ++width) {
    for (int round = 0; round < 50; ++round) {
      std::vector<uint8_t> counts(kPackedBlock);
      const uint32_t most = width == 8 ? 254 : (1u << width) - 1;
      for (uint8_t& count : counts) count = static_cast<uint8_t>(1 + random() % (most + 1));
      counts[random() % kPackedBlock] = static_cast<uint8_t>(1 + most);
      ASSERT_EQ(CountWidth(counts.data()), width);
      for (uint32_t used = width; used <= 8; ++used) {
        Packed packed(used);
        PackCounts(counts.data(), used, packed.data());
        std::vector<uint8_t> out(kPackedBlock);
        UnpackCounts(packed.data(), used, out.data());
        ASSERT_EQ(out, counts);
      }
    }
  }
}

// Fixes the layout itself: the packer and the unpackers might agree on another.
TEST(Bitpack, UnpacksAnyBytesAsTheLayoutSays) {
  std::mt19937 random(4);
  for (uint32_t width = 0; width <= 32; ++width) {
    Packed packed(width);
    packed.Fill(&random);
    const uint32_t first = static_cast<uint32_t>(random());
    std::vector<uint32_t> longs(kPackedBlock);
    UnpackAscending32(packed.data(), width, first, longs.data());
    uint32_t sum = first - 1;
    for (size_t i = 0; i < kPackedBlock; ++i) {
      sum += static_cast<uint32_t>(Stored<uint32_t>(packed.data(), width, i)) + 1;
      ASSERT_EQ(longs[i], sum) << "width " << width << " value " << i;
    }
    if (width > 16) continue;
    std::vector<uint16_t> words(kPackedBlock);
    UnpackDistances16(packed.data(), width, words.data());
    uint16_t distance = UINT16_MAX;
    for (size_t i = 0; i < kPackedBlock; ++i) {
      distance += static_cast<uint16_t>(Stored<uint16_t>(packed.data(), width, i) + 1);
      ASSERT_EQ(words[i], distance) << "width " << width << " value " << i;
    }
    if (width > 8) continue;
    std::vector<uint8_t> counts(kPackedBlock);
    UnpackCounts(packed.data(), width, counts.data());
    for (size_t i = 0; i < kPackedBlock; ++i) {
      ASSERT_EQ(counts[i], static_cast<uint8_t>(Stored<uint8_t>(packed.data(), width, i) + 1));
    }
  }
}

TEST(Bitpack, TakesWidthsBeyondTheTypeAsTheTypes) {
  std::mt19937 random(5);
  Packed packed(32);
  packed.Fill(&random);
  uint16_t words[2][kPackedBlock];
  UnpackDistances16(packed.data(), 16, words[0]);
  UnpackDistances16(packed.data(), 255, words[1]);
  EXPECT_EQ(std::memcmp(words[0], words[1], sizeof(words[0])), 0);
  uint32_t longs[2][kPackedBlock];
  UnpackAscending32(packed.data(), 32, 7, longs[0]);
  UnpackAscending32(packed.data(), 255, 7, longs[1]);
  EXPECT_EQ(std::memcmp(longs[0], longs[1], sizeof(longs[0])), 0);
  uint8_t counts[2][kPackedBlock];
  UnpackCounts(packed.data(), 8, counts[0]);
  UnpackCounts(packed.data(), 255, counts[1]);
  EXPECT_EQ(std::memcmp(counts[0], counts[1], sizeof(counts[0])), 0);
}

}  // namespace
}  // namespace cairn::kernels
