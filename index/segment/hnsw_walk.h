// Best-first walks over a proximity graph, to build it and to search it.
#ifndef CAIRN_INDEX_SEGMENT_HNSW_WALK_H_
#define CAIRN_INDEX_SEGMENT_HNSW_WALK_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/cancellation.h"
#include "index/encoded_rows.h"
#include "index/slot_set.h"

namespace cairn::index {

// Ends a row of links early.
inline constexpr uint32_t kNoLink = 0xffffffff;
// Links of a row of level 0, at most: what one call scores.
inline constexpr size_t kMaxRowLinks = EncodedRowsView::kPageRows;

// The links of one level, between nodes [0, nodes). A row ends at `width` links or at the first
// that is no node, so what a damaged file says leads nowhere.
struct LinkRows {
  const uint32_t* data = nullptr;
  size_t width = 0;
  size_t stride = 0;
  size_t nodes = 0;
  // Where rows have different sizes: node's row starts at offsets[node] + skip; else null, and it
  // starts at node * stride.
  const size_t* offsets = nullptr;
  size_t skip = 0;
  // Where nodes are no slots: node is slot names[node * stride], if that is below `slots`, else
  // null.
  const uint32_t* names = nullptr;
  size_t slots = 0;

  const uint32_t* Row(uint32_t node) const {
    return data + (offsets == nullptr ? node * stride : offsets[node] + skip);
  }
  Slot SlotOf(uint32_t node) const {
    if (names == nullptr) return node;
    const uint32_t slot = names[node * stride];
    return slot < slots ? slot : 0;
  }
};

// What a walk looks for: the rows nearest to a code.
struct WalkTarget {
  const EncodedRowsView* rows = nullptr;  // In one piece.
  const std::byte* code = nullptr;
  float scale = 1;
  const Cancellation* cancellation = nullptr;  // Ends walks early. May be null.

  void Score(const Slot* slots, size_t count, float* scores) const {
    rows->ScoreSlots(code, scale, slots, count, scores);
  }
};

// A scored node as one integer, the better the larger: score descending, then node ascending. The
// lowest bit is free for a mark. Nodes are below 2^31.
class WalkEntry {
 public:
  WalkEntry() = default;
  WalkEntry(float score, uint32_t node)
      : key_(uint64_t{Ordered(score)} << 32 | (~node & kNodeMask) << 1) {}

  uint32_t node() const { return static_cast<uint32_t>(~(key_ >> 1)) & kNodeMask; }
  float score() const {
    const uint32_t ordered = static_cast<uint32_t>(key_ >> 32);
    return std::bit_cast<float>((ordered & kSign) != 0 ? ordered & ~kSign : ~ordered);
  }
  bool marked() const { return (key_ & 1) != 0; }
  void Mark() { key_ |= 1; }
  friend bool operator>(WalkEntry a, WalkEntry b) { return a.key_ > b.key_; }

 private:
  static constexpr uint32_t kSign = 0x80000000u;
  static constexpr uint32_t kNodeMask = 0x7fffffffu;
  static uint32_t Ordered(float score) {
    const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 becomes 0.
    return (bits & kSign) != 0 ? ~bits : bits | kSign;
  }

  uint64_t key_ = 0;
};

// The state of a walk, to be used again for the next one: nothing is cleared or allocated in
// between. Not thread-safe.
class Walk {
 public:
  // Forgets what was visited. Keeps the `ef` >= 1 nearest nodes from now on.
  void Begin(size_t nodes, size_t ef);
  // Where to start.
  void Add(const LinkRows& links, const WalkTarget& target, uint32_t node);
  // Follows the links of the nearest kept node not followed yet until there is none.
  void Run(const LinkRows& links, const WalkTarget& target);

  // The kept nodes, nearest first.
  absl::Span<const WalkEntry> found() const { return absl::MakeConstSpan(pool_).subspan(0, size_); }

 private:
  // Returns the position.
  size_t Insert(WalkEntry entry);

  std::vector<uint8_t> visited_;  // By node: visited in this walk if it equals epoch_.
  uint8_t epoch_ = 0;
  size_t nodes_ = 0;
  size_t ef_ = 0;
  std::vector<WalkEntry> pool_;  // [ef_ + 1] at least, of which size_ are in use, best first.
  size_t size_ = 0;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_HNSW_WALK_H_
