// Byte-pair encoding (Sennrich et al. 2016): the merging itself, whatever the symbols are.
#ifndef CAIRN_CHUNKING_TEXT_BYTE_PAIR_H_
#define CAIRN_CHUNKING_TEXT_BYTE_PAIR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cairn::chunking {

// A merge of two symbols. Lower ranks are merged first.
struct PairMerge {
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  uint32_t rank = kNone;  // kNone: the two do not merge.
  uint32_t id = 0;        // Of the token that they become.
};

// From pairs of token ids to their merges. Thread-safe once built.
class MergeTable {
 public:
  void Reserve(size_t merges);
  // Of two merges of the same pair the later one counts. No id is PairMerge::kNone.
  void Insert(uint32_t left, uint32_t right, PairMerge merge);
  bool empty() const { return size_ == 0; }

  PairMerge Find(uint32_t left, uint32_t right) const {
    if (slots_.empty()) return {};
    const uint64_t key = uint64_t{left} << 32 | right;
    for (size_t i = Hash(key) & mask_;; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return slots_[i].merge;
      if (slots_[i].key == kFree) return {};
    }
  }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};
  struct Slot {
    uint64_t key = kFree;
    PairMerge merge;
  };
  static size_t Hash(uint64_t key) { return key * 0x9E3779B97F4A7C15u >> 24; }
  void Rehash(size_t slots);

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  size_t size_ = 0;
};

// A token, or what may become part of one: bytes [begin, begin + size) of the word.
struct PairSymbol {
  uint32_t id = 0;
  uint32_t begin = 0;
  uint32_t size = 0;  // Not 0.
};

// Merges pairs of neighbours until none is left that merges: always the one of the lowest rank, of
// several the first. O(n log n) in general; short words take a quadratic loop that is faster.
// Reused from word to word for its memory; not thread-safe.
class PairMerger {
 public:
  // Replaces `*symbols` by what they become. find(left, right) gives the PairMerge of two symbols.
  template <typename Find>
  void Merge(std::vector<PairSymbol>* symbols, const Find& find) {
    if (symbols->size() <= kShort) {
      MergeShort(symbols, find);
    } else {
      MergeLong(symbols, find);
    }
  }

 private:
  static constexpr size_t kShort = 32;
  static constexpr uint32_t kEnd = 0xFFFFFFFF;

  struct Link {
    uint32_t previous;
    uint32_t next;
  };
  // A merge that was possible when it was queued; it still is if both symbols are as they were,
  // which shows in the sum of their sizes, as a symbol only grows.
  struct Candidate {
    PairMerge merge;
    uint32_t left;
    uint32_t size;
    // Order of std::push_heap: the best is the greatest.
    bool operator<(const Candidate& other) const {
      if (merge.rank != other.merge.rank) return merge.rank > other.merge.rank;
      return left > other.left;
    }
  };

  template <typename Find>
  void MergeShort(std::vector<PairSymbol>* symbols, const Find& find) {
    std::vector<PairSymbol>& s = *symbols;
    size_t n = s.size();
    if (n < 2) return;
    PairMerge merges[kShort];
    for (size_t i = 0; i + 1 < n; ++i) merges[i] = find(s[i], s[i + 1]);
    while (n > 1) {
      size_t best = 0;
      for (size_t i = 1; i + 1 < n; ++i) {
        if (merges[i].rank < merges[best].rank) best = i;
      }
      if (merges[best].rank == PairMerge::kNone) break;
      s[best].id = merges[best].id;
      s[best].size += s[best + 1].size;
      --n;
      for (size_t i = best + 1; i < n; ++i) s[i] = s[i + 1];
      for (size_t i = best + 1; i + 1 < n; ++i) merges[i] = merges[i + 1];
      if (best + 1 < n) merges[best] = find(s[best], s[best + 1]);
      if (best > 0) merges[best - 1] = find(s[best - 1], s[best]);
    }
    s.resize(n);
  }

  template <typename Find>
  void MergeLong(std::vector<PairSymbol>* symbols, const Find& find) {
    std::vector<PairSymbol>& s = *symbols;
    const uint32_t n = static_cast<uint32_t>(s.size());
    links_.resize(n);
    heap_.clear();
    for (uint32_t i = 0; i < n; ++i) links_[i] = {i - 1, i + 1 < n ? i + 1 : kEnd};
    const auto consider = [&](uint32_t left) {
      if (left == kEnd || links_[left].next == kEnd) return false;
      const PairSymbol& right = s[links_[left].next];
      const PairMerge merge = find(s[left], right);
      if (merge.rank == PairMerge::kNone) return false;
      heap_.push_back({merge, left, s[left].size + right.size});
      return true;
    };
    for (uint32_t i = 0; i + 1 < n; ++i) consider(i);
    std::make_heap(heap_.begin(), heap_.end());
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end());
      const Candidate best = heap_.back();
      heap_.pop_back();
      const uint32_t right = links_[best.left].next;
      if (s[best.left].size == 0 || right == kEnd) continue;
      if (s[best.left].size + s[right].size != best.size) continue;
      s[best.left].id = best.merge.id;
      s[best.left].size = best.size;
      s[right].size = 0;
      links_[best.left].next = links_[right].next;
      if (links_[right].next != kEnd) links_[links_[right].next].previous = best.left;
      if (consider(links_[best.left].previous)) std::push_heap(heap_.begin(), heap_.end());
      if (consider(best.left)) std::push_heap(heap_.begin(), heap_.end());
    }
    s.erase(std::remove_if(s.begin(), s.end(), [](const PairSymbol& x) { return x.size == 0; }),
            s.end());
  }

  std::vector<Link> links_;
  std::vector<Candidate> heap_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_BYTE_PAIR_H_
