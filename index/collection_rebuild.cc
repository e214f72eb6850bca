// The half of Collection's builds that somebody asks for: compacting, and indexing anew.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/collection.h"

namespace cairn::index {

absl::Status Collection::FreezeForCompaction(const WorkControl& control) {
  {
    absl::MutexLock lock(&mutex_);
    if (absl::Status s = AwaitUnlessStopped(&Collection::MayFreeze, control); !s.ok()) return s;
    ++freezes_;
  }
  {
    absl::MutexLock write_lock(&write_mutex_);
    FreezeActive();
  }
  absl::MutexLock lock(&mutex_);
  --freezes_;
  return absl::OkStatus();
}

absl::Status Collection::Compact(const WorkControl& control) {
  if (absl::Status s = FreezeForCompaction(control); !s.ok()) return s;
  std::shared_ptr<Job> job;
  absl::Status s;
  {
    absl::MutexLock lock(&mutex_);
    ++compactions_;
    ++waiting_compactions_;
    s = AwaitUnlessStopped(&Collection::MayClaimAll, control);
    --waiting_compactions_;
    const bool done = dropped_ || parts_.size() == 1 ||
                      (parts_.size() == 2 && parts_[0].segment != nullptr &&
                       parts_[0].part->live_slots() == parts_[0].part->slots());
    if (s.ok() && !done) job = ClaimJob(0, parts_.size() - 1);
  }
  if (job != nullptr) s = RunClaimed(job.get(), control.OrWhen(stop_rebuilds_));
  bool dropped = false;
  {
    absl::MutexLock lock(&mutex_);
    --compactions_;
    dropped = dropped_;
  }
  NotifyMaintenance();
  // Stopped, but not by who asked for it: a drop has begun, and may not have come to its end yet.
  if (dropped || (absl::IsCancelled(s) && !control.stopped())) {
    return absl::NotFoundError(absl::StrCat("collection ", name_, " was deleted"));
  }
  return s;
}

absl::Status Collection::Reindex(const WorkControl& control) {
  {
    // Nothing else is built meanwhile: its inputs are about to go. Not under write_mutex_, which
    // the build at work needs to come to its end.
    absl::MutexLock lock(&mutex_);
    if (absl::Status s = AwaitUnlessStopped(&Collection::MayPause, control); !s.ok()) return s;
    paused_ = true;
  }
  absl::Status s;
  {
    absl::MutexLock write_lock(&write_mutex_);
    if (!retired_) s = ReindexPaused(control.OrWhen(stop_rebuilds_));
    if (retired_ || (absl::IsCancelled(s) && !control.stopped())) {
      s = absl::NotFoundError(absl::StrCat("collection ", name_, " was deleted"));
    }
  }
  {
    absl::MutexLock lock(&mutex_);
    paused_ = false;
  }
  NotifyMaintenance();
  return s;
}

absl::Status Collection::ReindexPaused(const WorkControl& control) {
  uint64_t file = 0;
  double chunks = 0;  // To be indexed.
  {
    absl::ReaderMutexLock lock(&mutex_);
    file = next_file_;
    for (const Entry& entry : parts_) chunks += static_cast<double>(entry.part->live_slots());
    chunks = std::max(chunks, 1.0);
  }
  SegmentFiles& files = *context_.files;
  std::vector<Entry> fresh;
  ManifestRow manifest;
  std::vector<uint64_t> new_files;
  const auto build = [&]() -> absl::Status {
    if (absl::Status s = files.Prepare(); !s.ok()) return s;
    double built = 0;
    for (ChunkId begin = 0;;) {
      std::shared_ptr<Tail> tail = NewTail(begin);
      absl::Status s = tail->Load(*context_.store, row_.id, std::numeric_limits<ChunkId>::max(),
                                  context_.options->bulk_seal_chunks, terms_->size(), control);
      if (!s.ok() || tail->slots() == 0) return s;
      tail->Close(tail->SlotChunk(static_cast<Slot>(tail->slots() - 1)) + 1);
      begin = tail->end();
      const std::vector<SegmentBuildInput> inputs = {{tail, tail->live()}};
      if (s = CheckSpace(inputs); !s.ok()) return s;
      const double begun = std::min(1.0, built / chunks);
      built += static_cast<double>(tail->slots());
      absl::StatusOr<SegmentRow> row = BuildSegment(
          files.TemporaryPath(row_.id, file), row_.id, row_.settings.dim, inputs, *context_.store,
          nullptr, BuildOptions(), control.Part(begun, std::min(1.0, built / chunks)));
      if (!row.ok()) return row.status();
      row->file = file;
      new_files.push_back(file);
      if (s = files.Publish(row_.id, file); !s.ok()) return s;
      absl::StatusOr<std::shared_ptr<Segment>> segment =
          Segment::Open(files.Path(row_.id, file), row_.id, row_.settings.dim, *row, control);
      if (!segment.ok()) return segment.status();
      manifest.segments.push_back(*row);
      fresh.push_back({*segment, *segment});
      ++file;
    }
  };
  absl::Status s = build();
  std::vector<uint64_t> old_files;
  if (s.ok()) {
    {
      absl::ReaderMutexLock lock(&mutex_);
      manifest.epoch = epoch_ + 1;
    }
    manifest.next_file = file;
    RowBatch batch;
    const std::string key = ManifestKey(row_.id);
    batch.Put(Family::kDefault, key, Encode(key, manifest));
    batch.DeleteRange(Family::kTombstones, CollectionPrefix(row_.id), CollectionEnd(row_.id));
    s = context_.store->Commit(std::move(batch));
  }
  {
    absl::MutexLock lock(&mutex_);
    next_file_ = std::max(next_file_, file + 1);
    if (s.ok()) {
      for (const Entry& entry : parts_) {
        if (entry.segment != nullptr) old_files.push_back(entry.segment->row().file);
      }
      const ChunkId begin = fresh.empty() ? active().begin() : fresh.back().part->end();
      std::shared_ptr<Tail> tail = NewTail(begin);
      fresh.push_back({tail, nullptr});
      parts_ = std::move(fresh);
      ++epoch_;
      seal_status_ = absl::OkStatus();
    }
  }
  files.Remove(row_.id, s.ok() ? old_files : new_files);
  return s;
}

}  // namespace cairn::index
