// Documents to durable rows, over several threads, in input order.
#ifndef CAIRN_ENGINE_INGEST_PIPELINE_H_
#define CAIRN_ENGINE_INGEST_PIPELINE_H_

#include <cstdint>
#include <deque>
#include <map>
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
#include "index/collection.h"

namespace cairn::engine {

// One ingestion. Submit is called from one thread; workers prepare documents beside it; a writer
// commits them in the order submitted, several to a batch (group commit), so that the same input
// gives the same chunk ids whatever the number of threads. Memory is bounded: Submit waits while
// more than a fixed amount of text is on its way.
class IngestPipeline {
 public:
  // Everything referred to must outlive the pipeline. Where the system grants fewer threads than
  // asked for, those that there are do the work; with none, Submit and Finish answer
  // ResourceExhausted.
  IngestPipeline(index::Collection* collection, const Preparation* preparation,
                 const IngestOptions* options);
  ~IngestPipeline();
  IngestPipeline(const IngestPipeline&) = delete;
  IngestPipeline& operator=(const IngestPipeline&) = delete;

  // Takes a document, with the options' metadata added; one that CheckDocument refuses is reported
  // and left out. An error is the pipeline's first, or Report's: nothing more is taken.
  absl::Status Submit(chunking::Document document);
  // Counts and passes on a skipped record; an error in strict mode.
  absl::Status Report(IngestIssue issue);
  // Tells how much input has been read, for progress.
  void SetBytes(uint64_t read, uint64_t total);

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
    // Set when the stored document was found identical: `prepared` then holds just the document and
    // its hash.
    bool current = false;
    index::PreparedDocument prepared;
    size_t bytes = 0;
  };

  // Of the text on its way, and of what is written in one batch.
  struct Limits {
    size_t bytes_in_flight;
    size_t documents_in_flight;
    size_t group_bytes;
    size_t group_documents;
    size_t least_group_bytes;  // Smaller groups wait for more, until the end.
  };
  static Limits LimitsOf(const IngestOptions& options);

  void StartThreads();
  void Work();
  void Write();
  absl::StatusOr<Done> PrepareJob(Job job) const;
  // The next documents in order that are ready, at most a batch of them; empty: all is done.
  std::vector<Done> TakeReady();
  absl::Status CommitGroup(std::vector<Done> group);
  absl::Status CheckDuplicate(Done* done);
  void Fail(const absl::Status& status);

  bool CanSubmit() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool CanWrite() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  index::Collection* const collection_;
  const Preparation* const preparation_;
  const IngestOptions* const options_;
  const Limits limits_;

  mutable absl::Mutex mutex_;
  std::deque<Job> queue_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Done> done_ ABSL_GUARDED_BY(mutex_);  // Waiting for their turn.
  uint64_t submitted_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_write_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t bytes_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t done_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // Of what is in done_.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);

  // Held while a callback runs, so that callbacks come one at a time.
  mutable absl::Mutex report_mutex_ ABSL_ACQUIRED_AFTER(mutex_);
  IngestReport report_ ABSL_GUARDED_BY(report_mutex_);
  uint64_t bytes_total_ ABSL_GUARDED_BY(report_mutex_) = 0;

  absl::flat_hash_set<uint64_t> seen_ids_;  // Hashes; the writer's alone.
  std::vector<std::thread> workers_;
  std::thread writer_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_INGEST_PIPELINE_H_
