#include "engine/model/teacher_vectors.h"

#include <algorithm>
#include <memory>
#include <new>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/model/teacher_cache.h"

namespace cairn::engine {
namespace {

constexpr size_t kBlock = TeacherCache::kBlockVectors;

// Threads take blocks of texts in order. A block goes to the cache when all before it have.
class Lesson {
 public:
  Lesson(const Embedder& teacher, absl::Span<const absl::Span<const uint32_t>> texts,
         TeacherCache* cache, absl::FunctionRef<bool(uint64_t)> keep_on,
         std::vector<float>* vectors)
      : teacher_(teacher),
        texts_(texts),
        vectors_(absl::MakeSpan(*vectors)),
        cache_(cache),
        keep_on_(keep_on),
        next_(cache == nullptr ? 0 : cache->blocks()),
        kept_(next_),
        done_((texts.size() + kBlock - 1) / kBlock) {}

  absl::Status Run(size_t threads) {
    std::vector<std::thread> others;
    for (size_t i = 1; i < threads; ++i) others.emplace_back([this] { Work(); });
    Work();
    for (std::thread& thread : others) thread.join();
    absl::MutexLock lock(&mutex_);
    return status_;
  }

 private:
  void Work() {
    for (;;) {
      size_t block;
      {
        absl::MutexLock lock(&mutex_);
        if (next_ == done_.size() || !status_.ok()) return;
        block = next_++;
      }
      const absl::Status status = teacher_.EmbedTokens(
          TextKind::kPassage, texts_.subspan(block * kBlock, Texts(block)), VectorsOf(block));
      absl::MutexLock lock(&mutex_);
      Finish(block, status);
    }
  }

  void Finish(size_t block, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (status_.ok()) status_ = status;
    if (!status_.ok()) return;
    done_[block] = true;
    for (; kept_ < done_.size() && done_[kept_]; ++kept_) {
      if (cache_ != nullptr) status_ = cache_->Append(VectorsOf(kept_));
      if (!status_.ok()) return;
    }
    if (!keep_on_(std::min(kept_ * kBlock, texts_.size()))) {
      status_ = absl::CancelledError("interrupted");
    }
  }

  size_t Texts(size_t block) const { return std::min(kBlock, texts_.size() - block * kBlock); }
  absl::Span<float> VectorsOf(size_t block) const {
    return vectors_.subspan(block * kBlock * teacher_.dim(), Texts(block) * teacher_.dim());
  }

  const Embedder& teacher_;
  const absl::Span<const absl::Span<const uint32_t>> texts_;
  const absl::Span<float> vectors_;

  absl::Mutex mutex_;
  TeacherCache* const cache_ ABSL_PT_GUARDED_BY(mutex_);
  const absl::FunctionRef<bool(uint64_t)> keep_on_;  // Called with the lock held.
  size_t next_ ABSL_GUARDED_BY(mutex_);              // Block nobody has taken.
  size_t kept_ ABSL_GUARDED_BY(mutex_);              // Blocks that are done, with all before them.
  std::vector<bool> done_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::vector<float>> EmbedByTeacher(
    const Embedder& teacher, absl::Span<const absl::Span<const uint32_t>> texts,
    const TeacherOptions& options, absl::FunctionRef<bool(uint64_t)> keep_on) {
  std::vector<float> vectors;
  try {
    vectors.resize(texts.size() * teacher.dim());
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the texts' vectors");
  }
  std::unique_ptr<TeacherCache> cache;
  if (!options.cache.empty()) {
    const TeacherCacheKey key = {.dim = static_cast<uint32_t>(teacher.dim()),
                                 .vectors = texts.size(),
                                 .teacher = teacher.fingerprint(),
                                 .texts = texts};
    auto opened = TeacherCache::Open(options.cache, key, absl::MakeSpan(vectors));
    if (!opened.ok()) return opened.status();
    cache = *std::move(opened);
  }
  absl::Status status = Lesson(teacher, texts, cache.get(), keep_on, &vectors)
                            .Run(std::max<size_t>(options.threads, 1));
  if (cache != nullptr) {
    const absl::Status synced = cache->Sync();
    if (status.ok()) status = synced;
  }
  if (!status.ok()) return status;
  return vectors;
}

}  // namespace cairn::engine
