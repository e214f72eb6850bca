// Hash table from token strings to ids, built once and then only read.
#ifndef CAIRN_CHUNKING_TEXT_VOCABULARY_H_
#define CAIRN_CHUNKING_TEXT_VOCABULARY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::chunking {

// Of tokens, or of merges; files that claim more are refused.
inline constexpr size_t kMaxVocabulary = 10'000'000;

namespace vocabulary_internal {

inline uint64_t Load64(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, 8);
  return v;
}
inline uint32_t Load32(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, 4);
  return v;
}
inline uint64_t Mix(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace vocabulary_internal

// A fast hash for short keys (the 128-bit product of wyhash). Not seeded, never stored.
inline uint64_t HashKey(const char* p, size_t n) {
  using vocabulary_internal::Load32;
  using vocabulary_internal::Load64;
  using vocabulary_internal::Mix;
  constexpr uint64_t kSecret0 = 0xa0761d6478bd642f, kSecret1 = 0xe7037ed1a0b428db;
  uint64_t seed = kSecret0 ^ n;
  while (n > 16) {
    seed = Mix(Load64(p) ^ kSecret1, Load64(p + 8) ^ seed);
    p += 16;
    n -= 16;
  }
  uint64_t a = 0, b = 0;
  if (n >= 8) {
    a = Load64(p);
    b = Load64(p + n - 8);
  } else if (n >= 4) {
    a = Load32(p);
    b = Load32(p + n - 4);
  } else if (n > 0) {
    a = static_cast<uint64_t>(static_cast<uint8_t>(p[0])) << 16 |
        static_cast<uint64_t>(static_cast<uint8_t>(p[n / 2])) << 8 | static_cast<uint8_t>(p[n - 1]);
  }
  return Mix(a ^ kSecret1, b ^ seed);
}

// Whether a[0, n) and b[0, n) are the same; faster than a call where n is small.
inline bool EqualKeys(const char* a, const char* b, size_t n) {
  using vocabulary_internal::Load32;
  using vocabulary_internal::Load64;
  if (n > 16) return std::memcmp(a, b, n) == 0;
  if (n >= 8) return Load64(a) == Load64(b) && Load64(a + n - 8) == Load64(b + n - 8);
  if (n >= 4) return Load32(a) == Load32(b) && Load32(a + n - 4) == Load32(b + n - 4);
  return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

// Open addressing with linear probing over 16-byte slots; the token bytes lie in one arena.
// Thread-safe once built.
class Vocabulary {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFF;

  // Makes room for `tokens` tokens of `bytes` bytes together, so that inserting does not rehash.
  void Reserve(size_t tokens, size_t bytes);

  // False, changing nothing, where `token` is already there. `id` is not kNone; the bytes of all
  // tokens stay below 4 GiB.
  bool Insert(std::string_view token, uint32_t id);

  // The token's id, or kNone.
  uint32_t Find(const char* p, size_t n) const {
    if (slots_.empty()) return kNone;
    const uint64_t hash = HashKey(p, n);
    const uint32_t tag = static_cast<uint32_t>(hash >> 32);
    for (size_t i = hash & mask_;; i = (i + 1) & mask_) {
      const Slot& slot = slots_[i];
      if (slot.id == kNone) return kNone;
      if (slot.tag == tag && slot.size == n && EqualKeys(&arena_[slot.offset], p, n))
        return slot.id;
    }
  }
  uint32_t Find(std::string_view token) const { return Find(token.data(), token.size()); }

  // Bit k is set where a token of k + 1 bytes may begin as the `n` (> 0) bytes at `p` do; bit 63
  // stands for all lengths of 64 and more. Bits for lengths above n may be set. False positives are
  // possible, no false negatives.
  uint64_t PossibleLengths(const char* p, size_t n) const {
    uint64_t lengths = single_bytes_[static_cast<uint8_t>(p[0])];
    if (n >= 2) lengths |= lengths_[PairIndex(p)];
    if (n >= 4) lengths |= lengths_[QuadIndex(p)];
    return lengths;
  }

  // Calls visit(token, id) for each token, in no particular order.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const Slot& slot : slots_) {
      if (slot.id == kNone) continue;
      visit(std::string_view(arena_).substr(slot.offset, slot.size), slot.id);
    }
  }

  size_t size() const { return size_; }
  size_t longest() const { return longest_; }  // Bytes of the longest token.

 private:
  struct Slot {
    uint32_t tag = 0;
    uint32_t id = kNone;  // kNone: the slot is free.
    uint32_t offset = 0;
    uint32_t size = 0;
  };

  // Tokens of two and three bytes are filed by their first two, longer ones by their first four.
  static size_t PairIndex(const char* p) {
    return (static_cast<uint8_t>(p[0]) * 37u + static_cast<uint8_t>(p[1])) % kPairs;
  }
  static size_t QuadIndex(const char* p) {
    return kPairs + (vocabulary_internal::Load32(p) * 0x9E3779B1u >> (32 - kQuadBits));
  }
  void Rehash(size_t slots);

  static constexpr size_t kPairs = 1024;
  static constexpr int kQuadBits = 13;

  std::vector<Slot> slots_;
  std::string arena_;
  size_t mask_ = 0;
  size_t size_ = 0;
  size_t longest_ = 0;
  std::vector<uint64_t> lengths_ = std::vector<uint64_t>(kPairs + (size_t{1} << kQuadBits));
  std::array<uint8_t, 256> single_bytes_{};
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_VOCABULARY_H_
