// Documents to durable rows, over several threads, in input order.
#ifndef CAIRN_ENGINE_INGEST_PIPELINE_H_
#define CAIRN_ENGINE_INGEST_PIPELINE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "chunking/document.h"
#include "engine/engine.h"
#include "engine/preparation.h"
#include "index/cancellation.h"
#include "index/collection.h"

namespace cairn::engine {

// One ingestion. Submit is called from one thread; workers prepare documents beside it; a writer
// commits them in the order submitted, several to a batch (group commit), so that the same input
// gives the same chunk ids whatever the number of threads. Memory is bounded: Submit waits while
// more than a fixed amount of text is on its way.
//
// A worker embeds whenever there is a batch. Batches are of chunks of like length and of any
// documents: a model's call has a price of its own, and many a corpus has one chunk a document.
// When chunks for too few batches wait, the worker cuts another document first.
//
// When options->is_cancelled says so, which a thread of its own asks, nothing more is begun.
class IngestPipeline {
 public:
  // kStream: every document has an outcome, in order, as soon as it can be had: nothing that is
  // ready to be written waits for more to come.
  enum class Mode : uint8_t { kFiles, kStream };

  // Everything referred to must outlive the pipeline. Where the system grants fewer threads than
  // asked for, those that there are do the work; with none, Submit and Finish answer
  // ResourceExhausted.
  IngestPipeline(index::Collection* collection, const Preparation* preparation,
                 const IngestOptions* options, Mode mode = Mode::kFiles);
  ~IngestPipeline();
  IngestPipeline(const IngestPipeline&) = delete;
  IngestPipeline& operator=(const IngestPipeline&) = delete;

  // Takes a document, with the options' metadata added; one that CheckDocument refuses is reported
  // and left out. An error is the pipeline's first, or Report's: nothing more is taken.
  absl::Status Submit(chunking::Document document);
  // Counts and passes on a skipped record; an error in strict mode.
  absl::Status Report(IngestIssue issue);
  // The same of the next document, which in a stream has its outcome when its turn comes. Errors as
  // Submit.
  absl::Status Refuse(std::string document_id, IngestIssue issue);
  // Tells how much input has been read, for progress.
  void SetBytes(uint64_t read, uint64_t total);

  // Drops what is not being written yet; Finish returns `reason`, unless there was an error before.
  void Abandon(const absl::Status& reason) { Fail(reason); }
  // Waits until all that was submitted is durable. On an error, what is durable by then stays, and
  // is in the report.
  absl::Status Finish();
  IngestReport report() const;

 private:
  struct Job {
    uint64_t sequence = 0;
    chunking::Document document;
    size_t bytes = 0;  // Charged against the memory bound until it is written.
  };
  struct Done {
    // Set when the stored document was found identical, with these chunks: `prepared` then holds
    // just the document and its hash.
    std::optional<index::ChunkRange> current;
    // Why it is left out: `prepared` then holds just its id.
    std::optional<std::string> refused;
    index::PreparedDocument prepared;
    uint64_t sequence = 0;
    size_t bytes = 0;
  };
  // A document whose chunks wait for their vectors.
  struct Draft {
    Done done;
    size_t missing = 0;  // Chunks without theirs. Guarded by mutex_.
  };
  struct DraftChunk {
    std::shared_ptr<Draft> draft;
    size_t chunk = 0;
  };
  using Batch = std::vector<DraftChunk>;
  // What a worker does next; the first that is there, and of each kind the oldest first.
  struct Task {
    Batch batch;  // To embed; or, where empty,
    Job job;      // to cut.
  };

  // Of the text on its way, and of what is written in one batch.
  struct Limits {
    size_t bytes_in_flight;
    size_t documents_in_flight;
    size_t group_bytes;
    size_t group_documents;
    size_t least_group_bytes;  // Smaller groups wait for more, until the end.
  };
  static Limits LimitsOf(const IngestOptions& options, Mode mode);

  void StartThreads();
  void Work();
  void Write();
  // Asks whether the ingestion is cancelled until it is over.
  void Watch();
  // False when nothing will come any more.
  bool TakeTask(Task* task);
  absl::Status Cut(Job job);
  absl::Status Embed(const Batch& batch);
  // Cuts the chunks that wait into batches.
  void PlanWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddDone(Done done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t CostOf(const DraftChunk& chunk) const;
  // The next documents in order that are ready, at most a batch of them; empty: all is done.
  std::vector<Done> TakeReady();
  absl::Status CommitGroup(std::vector<Done> group);
  // In strict mode a duplicate is an error, and refused.
  absl::Status CheckDuplicate(Done* done);
  // Counts what has become of documents, and tells the caller.
  void ReportOutcomes(const std::vector<IngestOutcome>& outcomes);
  void Fail(const absl::Status& status);

  bool CanSubmit() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool CanWrite() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  index::Collection* const collection_;
  const Preparation* const preparation_;
  const IngestOptions* const options_;
  const Mode mode_;
  const Limits limits_;
  const size_t workers_wanted_;
  const std::chrono::steady_clock::time_point start_;

  mutable absl::Mutex mutex_;
  std::deque<Job> queue_ ABSL_GUARDED_BY(mutex_);
  int cutting_ ABSL_GUARDED_BY(mutex_) = 0;                  // Workers that cut a document.
  std::vector<DraftChunk> waiting_ ABSL_GUARDED_BY(mutex_);  // For a batch.
  size_t waiting_cost_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Batch> batches_ ABSL_GUARDED_BY(mutex_);
  double embed_seconds_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t embed_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Done> done_ ABSL_GUARDED_BY(mutex_);  // Waiting for their turn.
  uint64_t submitted_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_write_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t bytes_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t done_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // Of what is in done_.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;  // Nobody works any more.
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> stopped_{false};        // status_ is an error.
  const index::Cancellation cancellation_;  // The same, for what a thread does without the lock.

  // Held while a callback runs, so that callbacks come one at a time.
  mutable absl::Mutex report_mutex_ ABSL_ACQUIRED_AFTER(mutex_);
  IngestReport report_ ABSL_GUARDED_BY(report_mutex_);
  uint64_t bytes_total_ ABSL_GUARDED_BY(report_mutex_) = 0;

  absl::flat_hash_set<uint64_t> seen_ids_;  // Hashes; the writer's alone.
  std::vector<std::thread> workers_;
  std::thread writer_;
  std::thread watcher_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_INGEST_PIPELINE_H_
