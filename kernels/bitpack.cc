#include "kernels/bitpack.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <utility>

namespace cairn::kernels {
namespace {

typedef uint8_t Bytes16 __attribute__((vector_size(16)));
typedef uint16_t Words8 __attribute__((vector_size(16)));
typedef uint32_t Longs4 __attribute__((vector_size(16)));

template <typename V>
struct Lanes;

template <>
struct Lanes<Bytes16> {
  using Value = uint8_t;
};

template <>
struct Lanes<Words8> {
  using Value = uint16_t;
  // The sums of each lane and all before it.
  static Words8 Scan(Words8 x) {
    const Words8 zero = {};
    x += __builtin_shufflevector(x, zero, 8, 0, 1, 2, 3, 4, 5, 6);
    x += __builtin_shufflevector(x, zero, 8, 8, 0, 1, 2, 3, 4, 5);
    x += __builtin_shufflevector(x, zero, 8, 8, 8, 8, 0, 1, 2, 3);
    return x;
  }
  static Words8 Last(Words8 x) { return __builtin_shufflevector(x, x, 7, 7, 7, 7, 7, 7, 7, 7); }
};

template <>
struct Lanes<Longs4> {
  using Value = uint32_t;
  static Longs4 Scan(Longs4 x) {
    const Longs4 zero = {};
    x += __builtin_shufflevector(x, zero, 4, 0, 1, 2);
    x += __builtin_shufflevector(x, zero, 4, 4, 0, 1);
    return x;
  }
  static Longs4 Last(Longs4 x) { return __builtin_shufflevector(x, x, 3, 3, 3, 3); }
};

template <typename V>
V LoadLanes(const void* from) {
  V v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}

// Values [row * lanes, (row + 1) * lanes) of a block of kWidth bits per value.
template <typename V, uint32_t kWidth, size_t kRow>
V UnpackRow(const uint8_t* in) {
  using T = typename Lanes<V>::Value;
  constexpr size_t kBits = sizeof(T) * 8;
  constexpr size_t kWord = kRow * kWidth / kBits;
  constexpr size_t kShift = kRow * kWidth % kBits;
  if constexpr (kWidth == 0) {
    return V{};
  } else {
    V v = LoadLanes<V>(in + kWord * 16) >> static_cast<T>(kShift);
    if constexpr (kShift + kWidth > kBits) {
      v |= LoadLanes<V>(in + (kWord + 1) * 16) << static_cast<T>(kBits - kShift);
    }
    if constexpr (kShift + kWidth != kBits && kWidth < kBits) {
      v &= static_cast<T>((uint64_t{1} << kWidth) - 1);
    }
    return v;
  }
}

// As many rows as a block has.
template <typename V>
using Rows = std::make_index_sequence<kPackedBlock * sizeof(typename Lanes<V>::Value) / 16>;

template <typename V, uint32_t kWidth, size_t... kRow>
void Ascend(const uint8_t* in, typename Lanes<V>::Value before, typename Lanes<V>::Value* out,
            std::index_sequence<kRow...>) {
  using T = typename Lanes<V>::Value;
  V sum = V{} + before;  // The last value so far, in every lane.
  const auto row = [&sum, out](V gaps, size_t i) {
    // Only this addition waits for the row before.
    const V scanned = Lanes<V>::Scan(gaps + static_cast<T>(1));
    const V values = scanned + sum;
    sum += Lanes<V>::Last(scanned);
    std::memcpy(out + i * (16 / sizeof(T)), &values, sizeof(values));
  };
  (row(UnpackRow<V, kWidth, kRow>(in), kRow), ...);
}

template <uint32_t kWidth, size_t... kRow>
void AddOne(const uint8_t* in, uint8_t* out, std::index_sequence<kRow...>) {
  const auto row = [out](Bytes16 values, size_t i) {
    values += uint8_t{1};
    std::memcpy(out + i * 16, &values, sizeof(values));
  };
  (row(UnpackRow<Bytes16, kWidth, kRow>(in), kRow), ...);
}

template <uint32_t kWidth>
void Distances16OfWidth(const uint8_t* in, uint16_t* out) {
  Ascend<Words8, kWidth>(in, UINT16_MAX, out, Rows<Words8>());
}
template <uint32_t kWidth>
void Ascending32OfWidth(const uint8_t* in, uint32_t first, uint32_t* out) {
  Ascend<Longs4, kWidth>(in, first - 1, out, Rows<Longs4>());
}
template <uint32_t kWidth>
void Counts8OfWidth(const uint8_t* in, uint8_t* out) {
  AddOne<kWidth>(in, out, Rows<Bytes16>());
}

// The functions of every width, in a table each.
template <typename Widths>
struct ByWidth;
template <uint32_t... kWidth>
struct ByWidth<std::integer_sequence<uint32_t, kWidth...>> {
  static constexpr void (*kDistances16[])(const uint8_t*, uint16_t*) = {
      Distances16OfWidth<std::min(kWidth, 16u)>...};
  static constexpr void (*kAscending32[])(const uint8_t*, uint32_t,
                                          uint32_t*) = {Ascending32OfWidth<kWidth>...};
  static constexpr void (*kCounts8[])(const uint8_t*,
                                      uint8_t*) = {Counts8OfWidth<std::min(kWidth, 8u)>...};
};
using AllWidths = ByWidth<std::make_integer_sequence<uint32_t, 33>>;

// Packs value(i) for i in [0, 128) into lanes of T.
template <typename T, typename Value>
void Pack(uint32_t width, void* packed, Value value) {
  constexpr size_t kBits = sizeof(T) * 8;
  constexpr size_t kLanes = 16 / sizeof(T);
  assert(width <= kBits);
  for (size_t lane = 0; lane < kLanes; ++lane) {
    uint8_t* at = static_cast<uint8_t*>(packed) + lane * sizeof(T);
    uint64_t pending = 0;
    size_t pending_bits = 0;
    for (size_t i = lane; i < kPackedBlock; i += kLanes) {
      assert(value(i) >> width == 0);
      pending |= value(i) << pending_bits;
      pending_bits += width;
      if (pending_bits < kBits) continue;
      for (size_t b = 0; b < sizeof(T); ++b) at[b] = static_cast<uint8_t>(pending >> (8 * b));
      at += 16;
      pending >>= kBits;
      pending_bits -= kBits;
    }
  }
}

template <typename T>
void PackGaps(const uint32_t* ascending, uint32_t width, void* packed) {
  Pack<T>(width, packed, [ascending](size_t i) {
    return i == 0 ? uint64_t{0} : uint64_t{ascending[i] - ascending[i - 1] - 1};
  });
}

}  // namespace

void UnpackDistances16(const void* packed, uint32_t width, uint16_t* out) {
  AllWidths::kDistances16[std::min(width, 16u)](static_cast<const uint8_t*>(packed), out);
}

void UnpackAscending32(const void* packed, uint32_t width, uint32_t first, uint32_t* out) {
  AllWidths::kAscending32[std::min(width, 32u)](static_cast<const uint8_t*>(packed), first, out);
}

void UnpackCounts(const void* packed, uint32_t width, uint8_t* out) {
  AllWidths::kCounts8[std::min(width, 8u)](static_cast<const uint8_t*>(packed), out);
}

uint32_t GapWidth(const uint32_t* ascending) {
  uint32_t all = 0;
  for (size_t i = 1; i < kPackedBlock; ++i) {
    assert(ascending[i] > ascending[i - 1]);
    all |= ascending[i] - ascending[i - 1] - 1;
  }
  return static_cast<uint32_t>(std::bit_width(all));
}

uint32_t CountWidth(const uint8_t* counts) {
  uint32_t all = 0;
  for (size_t i = 0; i < kPackedBlock; ++i) {
    assert(counts[i] > 0);
    all |= counts[i] - 1u;
  }
  return static_cast<uint32_t>(std::bit_width(all));
}

void PackGaps16(const uint32_t* ascending, uint32_t width, void* packed) {
  PackGaps<uint16_t>(ascending, width, packed);
}

void PackGaps32(const uint32_t* ascending, uint32_t width, void* packed) {
  PackGaps<uint32_t>(ascending, width, packed);
}

void PackCounts(const uint8_t* counts, uint32_t width, void* packed) {
  Pack<uint8_t>(width, packed, [counts](size_t i) { return uint64_t{counts[i] - 1u}; });
}

}  // namespace cairn::kernels
