// Vector sections in memory, written and opened as a segment's.
#ifndef CAIRN_TESTS_SUPPORT_VECTOR_PART_H_
#define CAIRN_TESTS_SUPPORT_VECTOR_PART_H_

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/segment/section_file.h"
#include "index/segment/vector_segment.h"
#include "index/segment/vector_writer.h"
#include "index/slot_set.h"
#include "kernels/distance.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace cairn::testing {

// Rows by slot, empty where there is no vector.
class VectorRows : public index::VectorSource {
 public:
  explicit VectorRows(size_t dim) : dim_(dim) {}

  void Add(absl::Span<const float> row) { rows_.emplace_back(row.begin(), row.end()); }
  void AddMissing() { rows_.emplace_back(); }
  // The read'th call of Read from now on fails.
  void FailAt(int read, absl::Status status) {
    reads_left_ = read;
    failure_ = std::move(status);
  }

  size_t size() const { return rows_.size(); }
  size_t dim() const { return dim_; }
  const std::vector<float>& row(index::Slot slot) const { return rows_[slot]; }

  absl::Status Read(index::Slot begin, size_t count, absl::Span<float> out,
                    absl::Span<uint8_t> present) override {
    if (!failure_.ok() && --reads_left_ == 0) return failure_;
    for (size_t i = 0; i < count; ++i) {
      const std::vector<float>& row = rows_[begin + i];
      present[i] = row.empty() ? 0 : 1;
      std::copy(row.begin(), row.end(), out.begin() + i * dim_);
    }
    return absl::OkStatus();
  }

  // The exact answer.
  std::vector<index::ScoredSlot> TopK(absl::Span<const float> query, size_t k,
                                      const index::SlotSet& allowed) const {
    std::vector<index::ScoredSlot> all;
    for (index::Slot slot = 0; slot < rows_.size(); ++slot) {
      if (rows_[slot].empty() || !allowed.Test(slot)) continue;
      all.push_back(
          {slot, kernels::GetDistanceKernels().dot_f32(query.data(), rows_[slot].data(), dim_)});
    }
    std::stable_sort(
        all.begin(), all.end(),
        [](const index::ScoredSlot& a, const index::ScoredSlot& b) { return a.score > b.score; });
    all.resize(std::min(k, all.size()));
    return all;
  }

 private:
  size_t dim_;
  std::vector<std::vector<float>> rows_;
  int reads_left_ = 0;
  absl::Status failure_;
};

// The file's bytes, or the status of writing them.
inline absl::StatusOr<std::string> WriteVectorPart(VectorRows* rows,
                                                   const index::VectorIndexOptions& options,
                                                   const std::atomic<bool>& cancel) {
  const TempDir dir;
  auto writer = index::SectionWriter::Create(dir.file("part"), nullptr);
  if (!writer.ok()) return writer.status();
  if (absl::Status s =
          index::WriteVectors(rows->size(), rows->dim(), rows, options, cancel, writer->get());
      !s.ok()) {
    return s;
  }
  if (const auto digest = (*writer)->Finish(); !digest.ok()) return digest.status();
  return ReadFileOrDie(dir.file("part"));
}

// An opened part that keeps its bytes.
class VectorPart {
 public:
  VectorPart(const std::string& bytes, uint64_t slots, size_t dim)
      : size_(bytes.size()),
        bytes_(static_cast<char*>(::operator new[](size_, std::align_val_t{kAlignment}))) {
    std::memcpy(bytes_.get(), bytes.data(), size_);
    auto file = index::SectionFile::FromBytes(absl::MakeConstSpan(bytes_.get(), size_));
    if (!file.ok()) {
      status_ = file.status();
      return;
    }
    auto opened = index::VectorSegment::Open(*file, slots, dim);
    status_ = opened.status();
    if (opened.ok()) segment_ = *std::move(opened);
  }

  const absl::Status& status() const { return status_; }
  const index::VectorSegment* operator->() const { return segment_.get(); }
  const index::VectorSegment& operator*() const { return *segment_; }

 private:
  static constexpr size_t kAlignment = 64;
  struct Deleter {
    void operator()(char* p) const { ::operator delete[](p, std::align_val_t{kAlignment}); }
  };

  size_t size_;
  std::unique_ptr<char[], Deleter> bytes_;
  absl::Status status_;
  std::unique_ptr<const index::VectorSegment> segment_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_VECTOR_PART_H_
