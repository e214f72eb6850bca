// Keeps the keys and values of texts that were read, for texts that begin the same way.
#ifndef CAIRN_ENGINE_GENERATION_PREFIX_CACHE_H_
#define CAIRN_ENGINE_GENERATION_PREFIX_CACHE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/model/kv_cache.h"

namespace cairn::engine {

// A radix tree over token ids, as in SGLang's RadixAttention (arXiv 2312.07104), with one whole
// page to an edge: exact, because a page is found only below the very tokens that came before it.
// The least recently used pages go first, leaves before what they hang on, and never one that
// anybody else holds. Thread-safe. The pages' pool must outlive it.
//
// A scope is a tree of its own: what was put in under one is not found under another, so that
// nobody learns from how fast an answer comes what others have asked. All share the room.
class PrefixCache {
 public:
  struct Statistics {
    uint64_t hit_tokens = 0;   // Asked for and found.
    uint64_t miss_tokens = 0;  // Asked for and not found.
    uint64_t evicted_pages = 0;
    size_t pages = 0;  // Held now.
  };

  // Holds at most `max_pages`, but for those in use by others: they cannot go, and stay until they
  // can.
  explicit PrefixCache(size_t max_pages);
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // The pages of the longest beginning of `tokens` that is known in the scope, whole pages only.
  // Marks them as used just now.
  std::vector<KvPageRef> Lookup(std::string_view scope, absl::Span<const uint32_t> tokens);

  // How many pages Lookup would find. Leaves no trace.
  size_t CountKnown(std::string_view scope, absl::Span<const uint32_t> tokens) const;

  // Takes in the whole pages of `sequence`, whose tokens are `tokens` [sequence.length()]. What is
  // known already stays as it is.
  void Insert(std::string_view scope, absl::Span<const uint32_t> tokens,
              const KvSequence& sequence);

  // Gives up to `pages` pages that nobody else holds back to the pool; returns how many.
  size_t Evict(size_t pages);
  // How many pages nobody else holds: what Evict can give back, but for a few whose followers are
  // in use.
  size_t evictable_pages() const;

  Statistics statistics() const;
  // Those with pages.
  size_t scopes() const;

 private:
  using PageTokens = std::array<uint32_t, kKvPageTokens>;
  struct Node {
    Node* parent = nullptr;           // None at a root.
    const PageTokens* key = nullptr;  // In the parent's map, where it does not move.
    KvPageRef page;                   // None at a root.
    std::map<PageTokens, std::unique_ptr<Node>> children;
    std::list<Node*>::iterator place;  // In by_use_.
  };
  using Roots = std::map<std::string, Node, std::less<>>;

  // Calls `visit` with the nodes of the longest known beginning of `tokens`, in order.
  template <typename Visitor>
  void Walk(std::string_view scope, absl::Span<const uint32_t> tokens, Visitor visit) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Touch(Node* deepest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t EvictLocked(size_t pages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_pages_;
  mutable absl::Mutex mutex_;
  Roots roots_ ABSL_GUARDED_BY(mutex_);  // By scope; each with children.
  // All nodes but the roots, least recently used first; a node comes before its parent.
  std::list<Node*> by_use_ ABSL_GUARDED_BY(mutex_);
  Statistics statistics_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_PREFIX_CACHE_H_
