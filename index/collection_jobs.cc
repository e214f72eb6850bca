// The background half of Collection: sealing tails, merging segments, building them anew.
#include <sys/statvfs.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/collection.h"

namespace cairn::index {
namespace {

// Waiting is on conditions under a mutex, and on the maintenance threads' end, which is under none.
constexpr absl::Duration kPollInterval = absl::Milliseconds(100);
// How often one who waits is asked whether it still wants to.
// Segments with fewer dead chunks than this are not built anew for them.
constexpr uint64_t kMinDead = 1000;
// From this many parts on an ingestion waits for merges at its end: a store that is filled by many
// short runs would never get to them.
constexpr size_t kManySegments = 16;
// Failures of one part after which the time between attempts no longer doubles.
constexpr int kMostDoublings = 6;
// Of a chunk in a segment, besides its vector: postings, a graph's links, document.
constexpr uint64_t kChunkBytes = 900;

}  // namespace

// One build, from when its inputs were claimed.
struct Collection::Job {
  std::vector<SegmentBuildInput> inputs;
  std::shared_ptr<const RowSnapshot> snapshot;
  bool seals = false;  // A tail, in the background: others may be waiting for it.
  uint64_t file = 0;

  bool Has(const Part* part) const {
    return std::any_of(inputs.begin(), inputs.end(),
                       [&](const SegmentBuildInput& i) { return i.part.get() == part; });
  }
};

void Collection::NotifyMaintenance() {
  if (context_.maintenance != nullptr) context_.maintenance->Notify(weak_from_this());
}

void Collection::FreezeIfFull() {
  {
    absl::ReaderMutexLock lock(&mutex_);
    const IndexOptions& options = *context_.options;
    const size_t full = bulk_loads_ > 0 ? options.bulk_seal_chunks : options.seal_chunks;
    if (parts_.back().part->slots() < full) return;
  }
  FreezeActive();
  NotifyMaintenance();
}

void Collection::FreezeActive() {
  absl::MutexLock lock(&mutex_);
  Tail& full = active();
  if (full.slots() == 0) return;
  const ChunkId end = full.SlotChunk(static_cast<Slot>(full.slots() - 1)) + 1;
  full.Close(end);
  std::shared_ptr<Tail> tail = NewTail(end);
  parts_.push_back({tail, nullptr});
}

size_t Collection::WaitingTails() const {
  size_t waiting = 0;
  for (size_t i = 0; i + 1 < parts_.size(); ++i) waiting += parts_[i].segment == nullptr;
  return waiting;
}

bool Collection::NothingRuns() const {
  return dropped_ || context_.maintenance == nullptr || !context_.maintenance->running();
}

// Where nothing will be sealed, because of a failure or at the end, waiting would be for ever.
bool Collection::HasRoom() const {
  return WaitingTails() <= context_.options->max_waiting_tails || !seal_status_.ok() ||
         NothingRuns();
}

bool Collection::NoneWaits() const {
  if (!seal_status_.ok() || NothingRuns()) return true;
  if (WaitingTails() > 0) return false;
  size_t first = 0;
  size_t count = 0;
  return parts_.size() <= kManySegments || (jobs_ == 0 && !PickJob(&first, &count));
}

bool Collection::MayClaimAll() const { return !paused_ && jobs_ == 0; }

// Not while a compaction is about to take the writers' lock, which a rebuild holds for long.
bool Collection::MayPause() const { return MayClaimAll() && freezes_ == 0; }

bool Collection::MayFreeze() const { return !paused_; }

absl::Status Collection::AwaitUnlessStopped(bool (Collection::*ready)() const,
                                            const WorkControl& control) {
  const auto is_ready = [this, ready] { return (this->*ready)(); };
  while (!mutex_.AwaitWithTimeout(absl::Condition(&is_ready), kCancellationPoll)) {
    if (absl::Status s = control.Check(); !s.ok()) return s;
  }
  return control.Check();
}

bool Collection::NothingDue() const {
  if (NothingRuns()) return true;
  size_t first = 0;
  size_t count = 0;
  return jobs_ == 0 && compactions_ == 0 && !paused_ && !PickJob(&first, &count);
}

absl::Status Collection::AwaitRoom(const Cancellation* cancellation) {
  absl::MutexLock lock(&mutex_);
  while (!mutex_.AwaitWithTimeout(absl::Condition(this, &Collection::HasRoom), kCancellationPoll)) {
    if (absl::Status s = CheckCancellation(cancellation); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status Collection::AwaitSeals() {
  {
    absl::MutexLock lock(&mutex_);
    seal_status_ = absl::OkStatus();
    for (Entry& entry : parts_) entry.retry_at = absl::InfinitePast();
  }
  NotifyMaintenance();
  absl::MutexLock lock(&mutex_);
  while (!mutex_.AwaitWithTimeout(absl::Condition(this, &Collection::NoneWaits), kPollInterval)) {
  }
  if (dropped_) return absl::NotFoundError(absl::StrCat("collection ", name_, " was deleted"));
  if (WaitingTails() == 0) return absl::OkStatus();
  return seal_status_.ok() ? absl::CancelledError("the store is being closed") : seal_status_;
}

absl::Status Collection::AwaitIdle() {
  if (absl::Status s = AwaitSeals(); !s.ok()) return s;
  NotifyMaintenance();
  absl::MutexLock lock(&mutex_);
  while (!mutex_.AwaitWithTimeout(absl::Condition(this, &Collection::NothingDue), kPollInterval)) {
  }
  return seal_status_;
}

Collection::BulkLoad::BulkLoad(Collection* collection) : collection_(collection) {
  absl::MutexLock lock(&collection_->mutex_);
  ++collection_->bulk_loads_;
}

Collection::BulkLoad::~BulkLoad() {
  {
    absl::MutexLock lock(&collection_->mutex_);
    --collection_->bulk_loads_;
  }
  collection_->NotifyMaintenance();
}

absl::Status Collection::BulkLoad::Finish() {
  {
    absl::MutexLock lock(&collection_->write_mutex_);
    collection_->FreezeActive();
  }
  collection_->NotifyMaintenance();
  return collection_->AwaitSeals();
}

bool Collection::PickJob(size_t* first, size_t* count) const {
  if (paused_ || dropped_ || waiting_compactions_ > 0) return false;
  const absl::Time now = absl::Now();
  // Tails first: they hold memory, and writers may wait for them.
  for (size_t i = 0; i + 1 < parts_.size(); ++i) {
    const Entry& entry = parts_[i];
    if (entry.segment != nullptr || entry.busy || entry.retry_at > now) continue;
    *first = i;
    *count = 1;
    return true;
  }
  return bulk_loads_ == 0 && compactions_ == 0 && PickMerge(first, count);
}

bool Collection::PickMerge(size_t* first, size_t* count) const {
  const IndexOptions& options = *context_.options;
  const absl::Time now = absl::Now();
  const auto usable = [&](size_t i) {
    mutex_.AssertReaderHeld();
    const Entry& entry = parts_[i];
    return entry.segment != nullptr && !entry.busy && entry.retry_at <= now;
  };
  // Large segments are not of the very size that was aimed at.
  const uint64_t most = options.max_merged_chunks + options.max_merged_chunks / 4;
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (!usable(i)) continue;
    const uint64_t slots = parts_[i].part->slots();
    const uint64_t dead = slots - parts_[i].part->live_slots();
    const bool many = dead >= kMinDead && static_cast<double>(dead) >
                                              options.max_dead_share * static_cast<double>(slots);
    if (!many && dead < slots) continue;
    *first = i;
    *count = 1;
    return true;
  }
  // Of the windows in which no segment outweighs the others, the one of the least work. So a chunk
  // is written about once for each doubling of its segment, and ranges stay in order.
  uint64_t least = std::numeric_limits<uint64_t>::max();
  for (size_t begin = 0; begin + options.merge_factor <= parts_.size(); ++begin) {
    uint64_t sum = 0;
    uint64_t largest = 0;
    bool all = true;
    for (size_t i = begin; i < begin + options.merge_factor; ++i) {
      all = all && usable(i);
      sum += parts_[i].part->live_slots();
      largest = std::max(largest, parts_[i].part->live_slots());
    }
    if (!all || largest * options.merge_factor > 2 * sum || sum > most || sum >= least) {
      continue;
    }
    least = sum;
    *first = begin;
    *count = options.merge_factor;
  }
  return least < std::numeric_limits<uint64_t>::max();
}

std::shared_ptr<Collection::Job> Collection::ClaimJob(size_t first, size_t count) {
  auto job = std::make_shared<Job>();
  for (size_t i = first; i < first + count; ++i) {
    parts_[i].busy = true;
    job->inputs.push_back({parts_[i].part, parts_[i].part->live()});
  }
  // Builds read vectors several times over: always the same.
  job->snapshot = before_commit_ != nullptr ? before_commit_ : context_.store->TakeSnapshot();
  job->file = next_file_++;
  ++jobs_;
  return job;
}

void Collection::ReleaseJob(const Job& job, const absl::Status& status) {
  --jobs_;
  const bool failed = !status.ok() && !absl::IsCancelled(status);
  for (Entry& entry : parts_) {
    if (!job.Has(entry.part.get())) continue;
    entry.busy = false;
    if (!failed) continue;
    const int doublings = std::min(entry.failures++, kMostDoublings);
    entry.retry_at = absl::Now() + context_.options->retry_after * (1 << doublings);
  }
  if (failed && job.seals) seal_status_ = status;
}

MaintenanceClient::Outcome Collection::RunJob(const std::atomic<bool>& cancel) {
  std::shared_ptr<Job> job;
  bool more = false;
  {
    absl::MutexLock lock(&mutex_);
    size_t first = 0;
    size_t count = 0;
    if (!PickJob(&first, &count)) return Outcome::kIdle;
    const bool seals = parts_[first].segment == nullptr;
    job = ClaimJob(first, count);
    job->seals = seals;
    more = PickJob(&first, &count);
  }
  if (more) NotifyMaintenance();  // For another thread.
  const absl::Status s = RunClaimed(job.get(), cancel);
  if (s.ok()) return Outcome::kWorked;
  return absl::IsCancelled(s) ? Outcome::kIdle : Outcome::kFailed;
}

SegmentBuildOptions Collection::BuildOptions() const {
  SegmentBuildOptions options;
  options.vectors = context_.options->vectors;
  options.vectors.kind = row_.settings.vector_index;
  options.vectors.encoding = row_.settings.vector_encoding;
  options.limiter = context_.limiter;
  return options;
}

absl::Status Collection::CheckSpace(const std::vector<SegmentBuildInput>& inputs) const {
  uint64_t needed = context_.options->min_free_bytes;
  for (const SegmentBuildInput& input : inputs) {
    const uint64_t mapped = input.part->MappedBytes();
    needed +=
        mapped > 0 ? mapped : input.part->slots() * (kChunkBytes + 5 * uint64_t{row_.settings.dim});
  }
  struct statvfs info = {};
  if (statvfs(context_.store->directory().c_str(), &info) != 0) return absl::OkStatus();
  const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
  if (free >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("building a segment needs ", needed >> 20,
                                                   " MiB of free disk space; there are ",
                                                   free >> 20, " MiB"));
}

// Builds, publishes and commits; then the inputs are free again.
absl::Status Collection::RunClaimed(Job* job, const WorkControl& control) {
  SegmentFiles& files = *context_.files;
  const auto build = [&]() -> absl::Status {
    if (absl::Status s = CheckSpace(job->inputs); !s.ok()) return s;
    if (absl::Status s = files.Prepare(); !s.ok()) return s;
    const std::string path = files.TemporaryPath(row_.id, job->file);
    absl::StatusOr<SegmentRow> row =
        BuildSegment(path, row_.id, row_.settings.dim, job->inputs, *context_.store,
                     job->snapshot.get(), BuildOptions(), control);
    if (!row.ok()) return row.status();
    row->file = job->file;
    if (absl::Status s = files.Publish(row_.id, job->file); !s.ok()) return s;
    absl::StatusOr<std::shared_ptr<Segment>> segment =
        Segment::Open(files.Path(row_.id, job->file), row_.id, row_.settings.dim, *row, control);
    if (!segment.ok()) return segment.status();
    return CommitJob(job, *row, *std::move(segment));
  };
  absl::Status s = build();
  if (!s.ok()) files.Remove(row_.id, {job->file});
  absl::MutexLock lock(&mutex_);
  ReleaseJob(*job, s);
  return s;
}

absl::Status Collection::ApplyTombstones(Part* part) const {
  ForwardRow forward;
  return context_.store->Scan(Family::kTombstones, ChunkKey(row_.id, part->begin()),
                              ChunkKey(row_.id, part->end()), nullptr,
                              [&](std::string_view key, std::string_view value) -> absl::Status {
                                absl::StatusOr<ChunkId> chunk = ChunkIdOfKey(key);
                                if (!chunk.ok()) return chunk.status();
                                if (absl::Status s = DecodeForward(key, value, &forward); !s.ok())
                                  return s;
                                part->RemoveChunk(*chunk, forward);
                                return absl::OkStatus();
                              });
}

ManifestRow Collection::ManifestWith(const Job& job, const SegmentRow* row) const {
  ManifestRow manifest;
  manifest.epoch = epoch_ + 1;
  manifest.next_file = next_file_;
  for (const Entry& entry : parts_) {
    if (entry.part == job.inputs.front().part && row != nullptr) manifest.segments.push_back(*row);
    if (entry.segment != nullptr && !job.Has(entry.part.get())) {
      manifest.segments.push_back(entry.segment->row());
    }
  }
  return manifest;
}

absl::Status Collection::CommitJob(Job* job, const SegmentRow& row,
                                   std::shared_ptr<Segment> segment) {
  const bool empty = segment->slots() == 0;
  absl::MutexLock write_lock(&write_mutex_);
  if (retired_) return absl::CancelledError("the collection was deleted");
  if (absl::Status s = ApplyTombstones(segment.get()); !s.ok()) return s;
  RowBatch batch;
  // Tombstones of what is not in the new segment have done their work.
  for (const SegmentBuildInput& input : job->inputs) {
    for (Slot slot = 0; slot < input.live.size(); ++slot) {
      if (input.live.Test(slot)) continue;
      batch.Delete(Family::kTombstones, ChunkKey(row_.id, input.part->SlotChunk(slot)));
    }
  }
  {
    absl::ReaderMutexLock lock(&mutex_);
    const std::string key = ManifestKey(row_.id);
    batch.Put(Family::kDefault, key, Encode(key, ManifestWith(*job, empty ? nullptr : &row)));
  }
  if (absl::Status s = context_.store->Commit(std::move(batch)); !s.ok()) return s;
  std::vector<uint64_t> old_files;
  {
    absl::MutexLock lock(&mutex_);
    ++epoch_;
    const auto first = std::find_if(parts_.begin(), parts_.end(), [&](const Entry& entry) {
      return entry.part == job->inputs.front().part;
    });
    const auto last = first + static_cast<std::ptrdiff_t>(job->inputs.size());
    for (auto entry = first; entry != last; ++entry) {
      if (entry->segment != nullptr) old_files.push_back(entry->segment->row().file);
    }
    if (empty) {
      parts_.erase(first, last);
      old_files.push_back(row.file);
    } else {
      *first = {segment, segment};
      if (job->seals) seal_status_ = absl::OkStatus();
      parts_.erase(first + 1, last);
    }
  }
  context_.files->Remove(row_.id, old_files);
  return absl::OkStatus();
}

}  // namespace cairn::index
