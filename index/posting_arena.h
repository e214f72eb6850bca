// Memory of posting lists: many small pieces that grow.
#ifndef CAIRN_INDEX_POSTING_ARENA_H_
#define CAIRN_INDEX_POSTING_ARENA_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace cairn::index {

// Hands out pieces of a few fixed sizes from pages of 64 KiB, and reuses freed ones. A piece is
// named by 32 bits instead of a pointer's 64 and has no header, which is what makes lists of two or
// three postings cheap. Up to 32 GiB. Not thread-safe.
class PostingArena {
 public:
  using Ref = uint32_t;
  static constexpr Ref kNone = UINT32_MAX;

  // Bytes of a piece by size class; all multiples of the pieces' alignment.
  static constexpr size_t kAlignment = 8;
  static constexpr std::array<uint16_t, 12> kSizes = {16,  24,  32,  48,  64,  96,
                                                      128, 192, 256, 384, 512, 640};

  PostingArena() { free_.fill(kNone); }

  Ref Allocate(size_t size_class);
  void Free(Ref ref, size_t size_class);

  uint8_t* At(Ref ref) { return pages_[ref / kPageUnits].get() + Offset(ref); }
  const uint8_t* At(Ref ref) const { return pages_[ref / kPageUnits].get() + Offset(ref); }

  size_t MemoryBytes() const;

 private:
  static constexpr size_t kPageBytes = 64 * 1024;
  static constexpr size_t kPageUnits = kPageBytes / kAlignment;

  static size_t Offset(Ref ref) { return ref % kPageUnits * kAlignment; }

  std::vector<std::unique_ptr<uint8_t[]>> pages_;
  size_t used_ = kPageBytes;                  // Bytes taken from the last page.
  std::array<Ref, kSizes.size()> free_ = {};  // Heads of lists linked through the pieces.
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_POSTING_ARENA_H_
