#include "engine/generation/prefix_cache.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace cairn::engine {

PrefixCache::PrefixCache(size_t max_pages) : max_pages_(max_pages) {}

template <typename Visitor>
void PrefixCache::Walk(std::string_view scope, absl::Span<const uint32_t> tokens,
                       Visitor visit) const {
  const auto root = roots_.find(scope);
  if (root == roots_.end()) return;
  const Node* node = &root->second;
  PageTokens key;
  for (; tokens.size() >= kKvPageTokens; tokens.remove_prefix(kKvPageTokens)) {
    std::copy_n(tokens.begin(), kKvPageTokens, key.begin());
    const auto found = node->children.find(key);
    if (found == node->children.end()) return;
    node = found->second.get();
    visit(found->second.get());
  }
}

std::vector<KvPageRef> PrefixCache::Lookup(std::string_view scope,
                                           absl::Span<const uint32_t> tokens) {
  absl::MutexLock lock(&mutex_);
  std::vector<KvPageRef> pages;
  Node* deepest = nullptr;
  Walk(scope, tokens, [&](Node* node) {
    deepest = node;
    pages.push_back(node->page);
  });
  if (deepest != nullptr) Touch(deepest);
  const size_t found = pages.size() * kKvPageTokens;
  statistics_.hit_tokens += found;
  statistics_.miss_tokens += tokens.size() - found;
  return pages;
}

size_t PrefixCache::CountKnown(std::string_view scope, absl::Span<const uint32_t> tokens) const {
  absl::MutexLock lock(&mutex_);
  size_t pages = 0;
  Walk(scope, tokens, [&](const Node*) { ++pages; });
  return pages;
}

void PrefixCache::Insert(std::string_view scope, absl::Span<const uint32_t> tokens,
                         const KvSequence& sequence) {
  assert(tokens.size() == sequence.length());
  if (tokens.size() < kKvPageTokens) return;
  absl::MutexLock lock(&mutex_);
  Node* node = &roots_[std::string(scope)];
  PageTokens key;
  for (size_t i = 0; (i + 1) * kKvPageTokens <= tokens.size(); ++i) {
    std::copy_n(tokens.begin() + static_cast<ptrdiff_t>(i * kKvPageTokens), kKvPageTokens,
                key.begin());
    const auto [place, is_new] = node->children.try_emplace(key);
    if (is_new) {
      place->second = std::make_unique<Node>();
      Node* const child = place->second.get();
      child->parent = node;
      child->key = &place->first;
      child->page = sequence.pages()[i];
      child->place = by_use_.insert(by_use_.end(), child);
      ++statistics_.pages;
    }
    node = place->second.get();
  }
  Touch(node);
  if (statistics_.pages > max_pages_) EvictLocked(statistics_.pages - max_pages_);
}

size_t PrefixCache::Evict(size_t pages) {
  absl::MutexLock lock(&mutex_);
  return EvictLocked(pages);
}

size_t PrefixCache::evictable_pages() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<size_t>(std::count_if(by_use_.begin(), by_use_.end(),
                                           [](const Node* n) { return n->page.use_count() == 1; }));
}

PrefixCache::Statistics PrefixCache::statistics() const {
  absl::MutexLock lock(&mutex_);
  return statistics_;
}

size_t PrefixCache::scopes() const {
  absl::MutexLock lock(&mutex_);
  return roots_.size();
}

// From the deepest up, so that what hangs on a page is older than the page.
void PrefixCache::Touch(Node* deepest) {
  for (Node* node = deepest; node->parent != nullptr; node = node->parent) {
    by_use_.splice(by_use_.end(), by_use_, node->place);
  }
}

size_t PrefixCache::EvictLocked(size_t pages) {
  size_t evicted = 0;
  bool root_left = false;  // Without children: to be dropped.
  for (auto it = by_use_.begin(); it != by_use_.end() && evicted < pages;) {
    Node* const node = *it;
    // Nobody can come to hold a page meanwhile: only Lookup hands them out.
    if (!node->children.empty() || node->page.use_count() > 1) {
      ++it;
      continue;
    }
    it = by_use_.erase(it);
    Node* const parent = node->parent;
    parent->children.erase(parent->children.find(*node->key));
    ++evicted;
    root_left = root_left || (parent->parent == nullptr && parent->children.empty());
  }
  if (root_left) {
    std::erase_if(roots_, [](const auto& root) { return root.second.children.empty(); });
  }
  statistics_.evicted_pages += evicted;
  statistics_.pages -= evicted;
  return evicted;
}

}  // namespace cairn::engine
