#include "engine/model/kv_cache.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn::engine {
namespace {

// Far above any model's; keeps the product of all four below 2^64.
constexpr size_t kMaxLayers = size_t{1} << 14;
constexpr size_t kMaxHeads = size_t{1} << 14;
constexpr size_t kMaxHeadDim = size_t{1} << 20;

constexpr size_t kLine = 64;

// The first cache line that begins in the kLine bytes at `storage`.
std::byte* FirstLine(std::byte* storage) {
  const auto address = reinterpret_cast<uintptr_t>(storage);
  return storage + (kLine - address % kLine) % kLine;
}

size_t PagesFor(size_t tokens) { return tokens / kKvPageTokens + (tokens % kKvPageTokens != 0); }

// Whether nobody else holds `page`. If so, all that others did with it before is done: use_count()
// alone does not order it, the last step of giving up a reference does.
bool HeldAlone(const KvPageRef& page) {
  if (page.use_count() != 1) return false;
  KvPageRef(page).reset();
  return true;
}

}  // namespace

KvPage::KvPage(KvPool* pool, std::unique_ptr<std::byte[]> storage)
    : pool_(pool), storage_(std::move(storage)), tiles_(FirstLine(storage_.get())) {}

KvPage::~KvPage() { pool_->GiveBack(std::move(storage_)); }

const std::byte* KvPage::tile(size_t layer, size_t kv_head) const {
  const KvLayout& layout = pool_->layout();
  assert(layer < layout.layers && kv_head < layout.kv_heads);
  return tiles_ + (layer * layout.kv_heads + kv_head) * layout.tile_bytes();
}

std::byte* KvPage::tile(size_t layer, size_t kv_head) {
  return const_cast<std::byte*>(std::as_const(*this).tile(layer, kv_head));
}

absl::StatusOr<std::unique_ptr<KvPool>> KvPool::Create(const KvLayout& layout, uint64_t max_bytes) {
  const auto within = [](size_t value, size_t most) { return value > 0 && value <= most; };
  if (!within(layout.layers, kMaxLayers) || !within(layout.kv_heads, kMaxHeads) ||
      !within(layout.head_dim, kMaxHeadDim)) {
    return absl::InvalidArgumentError(absl::StrCat("no keys and values of ", layout.layers,
                                                   " layers, ", layout.kv_heads, " heads and ",
                                                   layout.head_dim, " dimensions"));
  }
  const uint64_t page = layout.page_bytes();
  if (max_bytes < page) {
    return absl::InvalidArgumentError(absl::StrCat("the KV cache may have ", max_bytes,
                                                   " bytes, but a page of ", kKvPageTokens,
                                                   " tokens takes ", page));
  }
  return std::unique_ptr<KvPool>(new KvPool(layout, static_cast<size_t>(max_bytes / page)));
}

KvPool::KvPool(const KvLayout& layout, size_t max_pages) : layout_(layout), max_pages_(max_pages) {}

KvPool::~KvPool() { assert(pages_in_use() == 0); }

size_t KvPool::pages_in_use() const {
  absl::MutexLock lock(&mutex_);
  return in_use_;
}

absl::StatusOr<KvPageRef> KvPool::Allocate() {
  std::unique_ptr<std::byte[]> storage;
  {
    absl::MutexLock lock(&mutex_);
    if (in_use_ == max_pages_) {
      return absl::ResourceExhaustedError(
          absl::StrCat("all ", max_pages_, " pages of the KV cache are in use"));
    }
    ++in_use_;
    if (!free_.empty()) {
      storage = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (storage == nullptr) {
    storage.reset(new (std::nothrow) std::byte[layout_.page_bytes() + kLine - 1]());
  }
  if (storage == nullptr) {
    absl::MutexLock lock(&mutex_);
    --in_use_;
    return absl::ResourceExhaustedError("no memory for a page of the KV cache");
  }
  return std::make_shared<KvPage>(this, std::move(storage));
}

void KvPool::GiveBack(std::unique_ptr<std::byte[]> storage) {
  absl::MutexLock lock(&mutex_);
  --in_use_;
  free_.push_back(std::move(storage));
}

KvSequence KvSequence::FromPages(KvPool* pool, std::vector<KvPageRef> pages) {
  KvSequence sequence(pool);
  sequence.length_ = pages.size() * kKvPageTokens;
  sequence.pages_ = std::move(pages);
  return sequence;
}

absl::Status KvSequence::Reserve(size_t tokens) {
  if (tokens == 0) return absl::OkStatus();
  if (tokens > pool_->max_pages() * kKvPageTokens) {
    return absl::ResourceExhaustedError(absl::StrCat(
        tokens, " tokens are more than the KV cache has room for, ", pool_->max_pages(), " pages"));
  }
  const size_t next = length_ / kKvPageTokens;  // The page of the next token.
  const bool copy = next < pages_.size() && !HeldAlone(pages_[next]);
  const size_t wanted = std::max(PagesFor(length_ + tokens), pages_.size());
  std::vector<KvPageRef> fresh;
  for (size_t missing = wanted - pages_.size() + copy; missing > 0; --missing) {
    absl::StatusOr<KvPageRef> page = pool_->Allocate();
    if (!page.ok()) return page.status();
    fresh.push_back(*std::move(page));
  }
  auto first = fresh.begin();
  if (copy) {
    std::memcpy((*first)->tile(0, 0), std::as_const(*pages_[next]).tile(0, 0),
                pool_->layout().page_bytes());
    pages_[next] = std::move(*first++);
  }
  pages_.insert(pages_.end(), std::make_move_iterator(first), std::make_move_iterator(fresh.end()));
  return absl::OkStatus();
}

void KvSequence::Extend(size_t tokens) {
  length_ += tokens;
  assert(PagesFor(length_) <= pages_.size());
}

void KvSequence::Truncate(size_t length) {
  assert(length <= length_);
  length_ = length;
  pages_.resize(PagesFor(length));
}

KvSequence KvSequence::Fork(size_t length) const {
  assert(length <= length_);
  KvSequence fork(pool_);
  fork.length_ = length;
  fork.pages_.assign(pages_.begin(), pages_.begin() + static_cast<ptrdiff_t>(PagesFor(length)));
  return fork;
}

}  // namespace cairn::engine
