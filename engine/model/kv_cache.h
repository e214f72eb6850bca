// Keys and values of sequences, in pages that sequences with the same beginning share.
#ifndef CAIRN_ENGINE_MODEL_KV_CACHE_H_
#define CAIRN_ENGINE_MODEL_KV_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "kernels/attention.h"

namespace cairn::engine {

// Tokens that a page holds, for every layer and head.
inline constexpr size_t kKvPageTokens = kernels::kKvTileTokens;

// The shape of all pages of a pool.
struct KvLayout {
  kernels::KvType type = kernels::KvType::kF16;
  size_t layers = 0;
  size_t kv_heads = 0;
  size_t head_dim = 0;

  // Bytes of one layer's keys and values of one head in a page: a tile, as kernels/attention.h
  // describes it.
  size_t tile_bytes() const { return kernels::KvTileBytes(type, head_dim); }
  size_t page_bytes() const { return layers * kv_heads * tile_bytes(); }
};

class KvPool;

// One page: [layer][kv head] tiles of kKvPageTokens tokens. Whoever holds it alone may write it;
// shared pages are only read.
class KvPage {
 public:
  KvPage(KvPool* pool, std::unique_ptr<std::byte[]> storage);
  ~KvPage();
  KvPage(const KvPage&) = delete;
  KvPage& operator=(const KvPage&) = delete;

  std::byte* tile(size_t layer, size_t kv_head);
  const std::byte* tile(size_t layer, size_t kv_head) const;

 private:
  friend class KvPool;
  KvPool* const pool_;
  std::unique_ptr<std::byte[]> storage_;
  std::byte* const tiles_;  // The first cache line in `storage_`: wide loads must not straddle two.
};
using KvPageRef = std::shared_ptr<KvPage>;

// Hands out pages up to a budget, and keeps those given back for the next. Thread-safe. Outlives
// its pages.
class KvPool {
 public:
  // `max_bytes`: for all pages together; at least one page.
  static absl::StatusOr<std::unique_ptr<KvPool>> Create(const KvLayout& layout, uint64_t max_bytes);
  ~KvPool();

  const KvLayout& layout() const { return layout_; }
  size_t max_pages() const { return max_pages_; }
  size_t pages_in_use() const;

  // A page of zeros or of an earlier use. ResourceExhausted when the budget is used up.
  absl::StatusOr<KvPageRef> Allocate();

 private:
  friend class KvPage;
  KvPool(const KvLayout& layout, size_t max_pages);
  void GiveBack(std::unique_ptr<std::byte[]> storage);

  const KvLayout layout_;
  const size_t max_pages_;
  mutable absl::Mutex mutex_;
  size_t in_use_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<std::byte[]>> free_ ABSL_GUARDED_BY(mutex_);
};

// The keys and values of one sequence. Movable; not thread-safe, but sequences that share pages may
// be used by different threads.
class KvSequence {
 public:
  explicit KvSequence(KvPool* pool) : pool_(pool) {}
  KvSequence(KvSequence&&) = default;
  KvSequence& operator=(KvSequence&&) = default;

  // Begins with `pages`, which hold whole pages of tokens and are shared from now on.
  static KvSequence FromPages(KvPool* pool, std::vector<KvPageRef> pages);

  KvPool* pool() const { return pool_; }
  // Tokens whose keys and values are in place.
  size_t length() const { return length_; }
  absl::Span<const KvPageRef> pages() const { return pages_; }

  // Makes room for `tokens` more; the length stays. The page that the next token goes to is copied
  // if it is shared. ResourceExhausted, changing nothing, where the pool has no page left.
  absl::Status Reserve(size_t tokens);
  // Declares the next `tokens` reserved tokens to be in place.
  void Extend(size_t tokens);
  // Forgets all tokens from `length` on, which is at most length().
  void Truncate(size_t length);

  // Another sequence with the same first `length` tokens. Shares every page: whoever writes first
  // copies.
  KvSequence Fork(size_t length) const;

 private:
  KvPool* pool_;
  std::vector<KvPageRef> pages_;
  size_t length_ = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_KV_CACHE_H_
