#include "engine/ingest_pipeline.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "chunking/readers/text_checks.h"
#include "engine/batch/batch_plan.h"
#include "engine/document_checks.h"

namespace cairn::engine {
namespace {

// What a document costs beyond its text.
constexpr size_t kDocumentOverhead = 1024;
// Of one call of the model, in tokens.
constexpr BatchLimits kBatch = {32, 4096};
// Chunks are sorted by length among so many.
constexpr size_t kWindowBatches = 8;
// How often a caller is asked whether it still wants the ingestion.
constexpr absl::Duration kCancellationPoll = absl::Milliseconds(10);
// What is added to the niceness of workers in the background.
constexpr int kBackgroundNice = 10;

int WorkerCount(int asked) {
  if (asked > 0) return asked;
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// Where a document was read: the readers write "source#Lline" for a record of a file.
IngestIssue IssueOf(const chunking::Document& document, std::string reason) {
  IngestIssue issue{document.source_uri.empty() ? document.id : document.source_uri, 0,
                    std::move(reason)};
  const size_t mark = issue.source.rfind("#L");
  if (mark != std::string::npos && absl::SimpleAtoi(issue.source.substr(mark + 2), &issue.line)) {
    issue.source.resize(mark);
  }
  return issue;
}

IngestOutcome::Kind KindOf(index::WriteOutcome outcome) {
  switch (outcome) {
    case index::WriteOutcome::kCreated:
      return IngestOutcome::Kind::kCreated;
    case index::WriteOutcome::kReplaced:
      return IngestOutcome::Kind::kReplaced;
    case index::WriteOutcome::kUnchanged:
      break;
  }
  return IngestOutcome::Kind::kUnchanged;
}

}  // namespace

// Prepared documents weigh a few times their text. A batch is one sync for many acknowledgements,
// and a bounded wait for each. During a bulk load it is a sorted table file, worth its while when
// large. Whatever is in flight comes to be written: the limits of the one are beyond the least of
// the other, in bytes as in documents (which count kDocumentOverhead at least). A stream's batches
// are small: a batch being written is what a cancelled one waits for, and its acknowledgements are
// awaited.
IngestPipeline::Limits IngestPipeline::LimitsOf(const IngestOptions& options, Mode mode) {
  constexpr size_t kMiB = size_t{1} << 20;
  if (options.bulk) return {64 * kMiB, 64 << 10, 32 * kMiB, 64 << 10, 24 * kMiB};
  if (mode == Mode::kStream) return {16 * kMiB, 4096, kMiB / 2, 512, 0};
  return {16 * kMiB, 4096, 4 * kMiB, 512, 0};
}

IngestPipeline::IngestPipeline(index::Collection* collection, const Preparation* preparation,
                               const IngestOptions* options, Mode mode)
    : collection_(collection),
      preparation_(preparation),
      options_(options),
      mode_(mode),
      limits_(LimitsOf(*options, mode)),
      workers_wanted_(static_cast<size_t>(WorkerCount(options->threads))),
      start_(std::chrono::steady_clock::now()),
      cancellation_([this] { return stopped_.load(std::memory_order_relaxed); }) {
  StartThreads();
}

void IngestPipeline::StartThreads() {
  const size_t asked = workers_wanted_;
  workers_.reserve(asked);
  try {
    writer_ = std::thread([this] { Write(); });
    if (options_->is_cancelled) watcher_ = std::thread([this] { Watch(); });
    while (workers_.size() < asked) workers_.emplace_back([this] { Work(); });
  } catch (const std::system_error& e) {
    if (workers_.empty()) {
      Fail(absl::ResourceExhaustedError(absl::StrCat("cannot start a thread: ", e.what())));
    }
  }
}

IngestPipeline::~IngestPipeline() {
  if (writer_.joinable()) {
    Fail(absl::CancelledError("ingestion was abandoned"));
    Finish().IgnoreError();
  }
}

bool IngestPipeline::CanSubmit() const {
  // A document larger than the bound passes alone. Whatever is on its way moves on without the
  // submitter: the first in order is queued, with a worker, or ready to be written.
  return !status_.ok() || bytes_in_flight_ == 0 ||
         (bytes_in_flight_ < limits_.bytes_in_flight &&
          submitted_ - next_write_ < limits_.documents_in_flight);
}

bool IngestPipeline::HasWork() const {
  return !status_.ok() || !batches_.empty() || !queue_.empty() || !waiting_.empty() ||
         (closed_ && cutting_ == 0);
}

bool IngestPipeline::CanWrite() const {
  if (!status_.ok() || (closed_ && next_write_ == submitted_)) return true;
  if (done_.empty() || done_.begin()->first != next_write_) return false;
  const bool all = mode_ == Mode::kStream && done_.size() == submitted_ - next_write_;
  return closed_ || all || done_bytes_ >= limits_.least_group_bytes;
}

absl::Status IngestPipeline::Submit(chunking::Document document) {
  for (const auto& [name, value] : options_->metadata) document.metadata[name] = value;
  if (const absl::Status s = CheckDocument(document); !s.ok()) {
    IngestIssue issue = IssueOf(document, std::string(s.message()));
    return Refuse(std::move(document.id), std::move(issue));
  }
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &IngestPipeline::CanSubmit));
  if (!status_.ok()) return status_;
  Job job;
  job.sequence = submitted_++;
  job.bytes = document.text.size() + MetadataBytes(document.metadata) + kDocumentOverhead;
  job.document = std::move(document);
  bytes_in_flight_ += job.bytes;
  queue_.push_back(std::move(job));
  return absl::OkStatus();
}

absl::Status IngestPipeline::Report(IngestIssue issue) {
  // A caller's own name for a document may hold anything; messages are printed.
  if (!chunking::IsUtf8(issue.source)) issue.source = absl::CHexEscape(issue.source);
  absl::MutexLock lock(&report_mutex_);
  ++report_.issues;
  if (options_->on_issue) options_->on_issue(issue);
  if (!options_->strict) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      issue.source, issue.line > 0 ? absl::StrCat(":", issue.line) : "", ": ", issue.reason));
}

absl::Status IngestPipeline::Refuse(std::string document_id, IngestIssue issue) {
  if (mode_ == Mode::kFiles) return Report(std::move(issue));
  Done done;
  done.refused =
      issue.line > 0 ? absl::StrCat("line ", issue.line, ": ", issue.reason) : issue.reason;
  done.bytes = document_id.size() + done.refused->size() + kDocumentOverhead;
  done.prepared.document.id = std::move(document_id);
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &IngestPipeline::CanSubmit));
    if (!status_.ok()) return status_;
    done.sequence = submitted_++;
    bytes_in_flight_ += done.bytes;
    AddDone(std::move(done));
  }
  return Report(std::move(issue));
}

void IngestPipeline::SetBytes(uint64_t read, uint64_t total) {
  absl::MutexLock lock(&report_mutex_);
  report_.bytes = read;
  bytes_total_ = total;
}

IngestReport IngestPipeline::report() const {
  absl::MutexLock lock(&report_mutex_);
  return report_;
}

void IngestPipeline::Fail(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (status_.ok()) status_ = status;
  stopped_ = true;
}

absl::Status IngestPipeline::Finish() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  for (std::thread& t : workers_) {
    if (t.joinable()) t.join();
  }
  if (writer_.joinable()) writer_.join();
  {
    absl::MutexLock lock(&mutex_);
    finished_ = true;
  }
  if (watcher_.joinable()) watcher_.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
  absl::MutexLock lock(&mutex_);
  absl::MutexLock report_lock(&report_mutex_);
  report_.embed_calls = embed_calls_;
  report_.embed_busy =
      embed_seconds_ / (took.count() * static_cast<double>(std::max<size_t>(workers_.size(), 1)));
  return status_;
}

size_t IngestPipeline::CostOf(const DraftChunk& chunk) const {
  const chunking::Chunk& c = chunk.draft->done.prepared.chunks[chunk.chunk].chunk;
  // A title or heading before it counts too, but hardly changes how long it takes.
  return preparation_->CutTokens(c.token_count);
}

void IngestPipeline::AddDone(Done done) {
  done_bytes_ += done.bytes;
  const uint64_t sequence = done.sequence;
  done_.emplace(sequence, std::move(done));
}

absl::Status IngestPipeline::Cut(Job job) {
  auto draft = std::make_shared<Draft>();
  Done& done = draft->done;
  done.sequence = job.sequence;
  done.bytes = job.bytes;
  std::string hash = index::ContentHash(job.document);
  absl::StatusOr<std::optional<index::ChunkRange>> current =
      collection_->FindCurrent(job.document.id, hash);
  if (!current.ok()) return current.status();
  done.current = *current;
  if (done.current.has_value()) {
    done.prepared.document = std::move(job.document);
    done.prepared.content_hash = std::move(hash);
  } else {
    done.prepared = preparation_->Cut(std::move(job.document), std::move(hash), &cancellation_);
    if (absl::Status s = cancellation_.Check(); !s.ok()) return s;
  }
  draft->missing = done.prepared.chunks.size();
  absl::MutexLock lock(&mutex_);
  if (draft->missing == 0) AddDone(std::move(done));
  for (size_t i = 0; i < draft->missing; ++i) {
    waiting_.push_back({draft, i});
    waiting_cost_ += CostOf(waiting_.back());
  }
  return absl::OkStatus();
}

absl::Status IngestPipeline::Embed(const Batch& batch) {
  std::vector<ChunkToEmbed> chunks;
  chunks.reserve(batch.size());
  for (const DraftChunk& c : batch) chunks.push_back({&c.draft->done.prepared, c.chunk});
  const auto start = std::chrono::steady_clock::now();
  absl::Status s = preparation_->Embed(chunks);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (!s.ok()) return s;
  absl::MutexLock lock(&mutex_);
  embed_seconds_ += took.count();
  ++embed_calls_;
  for (const DraftChunk& c : batch) {
    if (--c.draft->missing == 0) AddDone(std::move(c.draft->done));
  }
  return absl::OkStatus();
}

void IngestPipeline::PlanWaiting() {
  std::vector<size_t> costs;
  costs.reserve(waiting_.size());
  for (const DraftChunk& c : waiting_) costs.push_back(CostOf(c));
  for (const std::vector<size_t>& indices :
       PlanBatches(costs, SharedLimits(kBatch, waiting_.size(), workers_wanted_))) {
    Batch& batch = batches_.emplace_back();
    batch.reserve(indices.size());
    for (const size_t i : indices) batch.push_back(std::move(waiting_[i]));
  }
  waiting_.clear();
  waiting_cost_ = 0;
}

bool IngestPipeline::TakeTask(Task* task) {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &IngestPipeline::HasWork));
  if (!status_.ok()) return false;
  const bool many = waiting_cost_ >= kWindowBatches * kBatch.max_cost ||
                    waiting_.size() >= kWindowBatches * kBatch.max_items;
  if (batches_.empty() && (many || (queue_.empty() && !waiting_.empty()))) PlanWaiting();
  if (!batches_.empty()) {
    task->batch = std::move(batches_.front());
    batches_.pop_front();
    return true;
  }
  if (queue_.empty()) return false;  // Closed with nothing left.
  task->job = std::move(queue_.front());
  queue_.pop_front();
  ++cutting_;
  return true;
}

void IngestPipeline::Work() {
  // Of this thread alone, as Linux has it. Without leave to change it, it stays as it is.
  if (options_->background) [[maybe_unused]]
    const int niceness = nice(kBackgroundNice);
  while (true) {
    Task task;
    if (!TakeTask(&task)) return;
    absl::Status s;
    if (!task.batch.empty()) {
      s = Embed(task.batch);
    } else {
      s = Cut(std::move(task.job));
      absl::MutexLock lock(&mutex_);
      --cutting_;
    }
    if (!s.ok()) {
      Fail(s);
      return;
    }
  }
}

std::vector<IngestPipeline::Done> IngestPipeline::TakeReady() {
  std::vector<Done> group;
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &IngestPipeline::CanWrite));
  if (!status_.ok()) return group;
  size_t bytes = 0;
  while (!done_.empty() && done_.begin()->first == next_write_ &&
         group.size() < limits_.group_documents && bytes < limits_.group_bytes) {
    bytes += done_.begin()->second.bytes;
    group.push_back(std::move(done_.begin()->second));
    done_.erase(done_.begin());
    ++next_write_;
  }
  done_bytes_ -= bytes;
  return group;
}

void IngestPipeline::Write() {
  while (true) {
    std::vector<Done> group = TakeReady();
    if (group.empty()) return;
    size_t bytes = 0;
    for (const Done& d : group) bytes += d.bytes;
    const absl::Status s = CommitGroup(std::move(group));
    if (!s.ok()) Fail(s);
    absl::MutexLock lock(&mutex_);
    bytes_in_flight_ -= bytes;
  }
}

absl::Status IngestPipeline::CheckDuplicate(Done* done) {
  const chunking::Document& document = done->prepared.document;
  if (seen_ids_.insert(std::hash<std::string_view>{}(document.id)).second) {
    return absl::OkStatus();
  }
  const IngestIssue issue =
      IssueOf(document, absl::StrCat("duplicate id \"", document.id,
                                     "\": it replaces the document of that id read before"));
  if (absl::Status s = Report(issue); !s.ok()) {
    done->refused = issue.reason;
    return s;
  }
  if (!done->current.has_value()) return absl::OkStatus();
  // It equals what was stored when a worker looked, but its predecessor in this run may differ.
  absl::StatusOr<index::PreparedDocument> prepared = preparation_->Prepare(
      std::move(done->prepared.document), std::move(done->prepared.content_hash), &cancellation_);
  if (!prepared.ok()) return prepared.status();
  done->prepared = *std::move(prepared);
  done->current.reset();
  return absl::OkStatus();
}

absl::Status IngestPipeline::CommitGroup(std::vector<Done> group) {
  std::vector<index::PreparedDocument> documents;
  documents.reserve(group.size());
  std::vector<size_t> written;  // The outcome of each of `documents`.
  std::vector<IngestOutcome> outcomes;
  absl::Status stop;
  for (Done& d : group) {
    std::string id = d.prepared.document.id;
    if (!d.refused.has_value()) stop = CheckDuplicate(&d);
    if (!stop.ok() && !d.refused.has_value()) break;
    IngestOutcome& outcome = outcomes.emplace_back();
    outcome.sequence = d.sequence + 1;
    outcome.document_id = std::move(id);
    if (d.refused.has_value()) {
      outcome.reason = *std::move(d.refused);
      if (stop.ok()) continue;
      break;  // Strict: what came before it is still written.
    }
    outcome.kind = IngestOutcome::Kind::kUnchanged;
    if (d.current.has_value()) {
      outcome.first_chunk = d.current->first;
      outcome.chunk_count = d.current->count;
    } else {
      written.push_back(outcomes.size() - 1);
      documents.push_back(std::move(d.prepared));
    }
  }
  std::vector<index::WriteOutcome> writes;
  std::vector<index::ChunkRange> chunks;
  absl::Status s;
  if (!documents.empty()) s = collection_->Upsert(documents, &writes, &chunks, &cancellation_);
  for (size_t i = 0; i < writes.size(); ++i) {
    IngestOutcome& outcome = outcomes[written[i]];
    outcome.kind = KindOf(writes[i]);
    outcome.first_chunk = chunks[i].first;
    outcome.chunk_count = chunks[i].count;
  }
  if (writes.size() < documents.size()) outcomes.resize(written[writes.size()]);
  ReportOutcomes(outcomes);
  return s.ok() ? stop : s;
}

void IngestPipeline::ReportOutcomes(const std::vector<IngestOutcome>& outcomes) {
  {
    absl::MutexLock lock(&report_mutex_);
    for (const IngestOutcome& outcome : outcomes) {
      const bool created = outcome.kind == IngestOutcome::Kind::kCreated;
      const bool replaced = outcome.kind == IngestOutcome::Kind::kReplaced;
      report_.created += created ? 1 : 0;
      report_.replaced += replaced ? 1 : 0;
      report_.unchanged += outcome.kind == IngestOutcome::Kind::kUnchanged ? 1 : 0;
      if (created || replaced) report_.chunks += outcome.chunk_count;
      if (outcome.kind == IngestOutcome::Kind::kRefused || !options_->on_durable) continue;
      options_->on_durable(outcome.document_id);
    }
    if (options_->on_progress) {
      options_->on_progress(
          {report_.bytes, bytes_total_, report_.created + report_.replaced + report_.unchanged});
    }
  }
  // Without the lock: it may wait for a slow reader, and the submitter need not.
  if (mode_ != Mode::kStream || !options_->on_outcome) return;
  for (const IngestOutcome& outcome : outcomes) options_->on_outcome(outcome);
}

void IngestPipeline::Watch() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&finished_), kCancellationPoll)) return;
    }
    if (!options_->is_cancelled()) continue;
    Fail(absl::CancelledError("ingestion was cancelled"));
    return;
  }
}

}  // namespace cairn::engine
