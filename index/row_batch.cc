#include "index/row_batch.h"

#include <algorithm>
#include <utility>

namespace cairn::index {
namespace {

constexpr size_t kMinBlockBytes = 1 << 10;
constexpr size_t kMaxBlockBytes = 1 << 20;
constexpr size_t kOperationOverhead = 16;  // What RocksDB adds to a row, roughly.

}  // namespace

RowBatch::RowBatch(RowBatch&& other) noexcept { *this = std::move(other); }

RowBatch& RowBatch::operator=(RowBatch&& other) noexcept {
  blocks_ = std::exchange(other.blocks_, {});
  free_ = std::exchange(other.free_, nullptr);
  free_bytes_ = std::exchange(other.free_bytes_, 0);
  operations_ = std::exchange(other.operations_, {});
  bytes_ = std::exchange(other.bytes_, 0);
  frees_space_ = std::exchange(other.frees_space_, true);
  return *this;
}

void RowBatch::Put(Family family, std::string_view key, std::string_view value) {
  Add(Operation::Kind::kPut, family, key, value);
  frees_space_ = false;
}

void RowBatch::Delete(Family family, std::string_view key) {
  Add(Operation::Kind::kDelete, family, key, {});
}

void RowBatch::DeleteRange(Family family, std::string_view begin, std::string_view end) {
  // RocksDB calls a range that ends before it begins an error.
  if (begin < end) Add(Operation::Kind::kDeleteRange, family, begin, end);
}

void RowBatch::Add(Operation::Kind kind, Family family, std::string_view key,
                   std::string_view value) {
  char* const bytes = Allocate(key.size() + value.size());
  std::copy(key.begin(), key.end(), bytes);
  std::copy(value.begin(), value.end(), bytes + key.size());
  operations_.push_back({kind, family, {bytes, key.size()}, {bytes + key.size(), value.size()}});
  bytes_ += key.size() + value.size() + kOperationOverhead;
}

char* RowBatch::Allocate(size_t size) {
  if (free_ == nullptr || size > free_bytes_) {
    // Small for a small batch, and never more than twice what is in use.
    free_bytes_ = std::max(size, std::clamp(bytes_, kMinBlockBytes, kMaxBlockBytes));
    // Not make_unique, which would write zeros first.
    blocks_.emplace_back(new char[free_bytes_]);
    free_ = blocks_.back().get();
  }
  free_bytes_ -= size;
  return std::exchange(free_, free_ + size);
}

}  // namespace cairn::index
