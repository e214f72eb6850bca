#include "engine/ingest_pipeline.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
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

}  // namespace

// Prepared documents weigh a few times their text. A batch is one sync for many acknowledgements,
// and a bounded wait for each. During a bulk load it is a sorted table file, worth its while when
// large. Whatever is in flight comes to be written: the limits of the one are beyond the least of
// the other, in bytes as in documents (which count kDocumentOverhead at least).
IngestPipeline::Limits IngestPipeline::LimitsOf(const IngestOptions& options) {
  constexpr size_t kMiB = size_t{1} << 20;
  if (options.bulk) return {64 * kMiB, 64 << 10, 32 * kMiB, 64 << 10, 24 * kMiB};
  return {16 * kMiB, 4096, 4 * kMiB, 512, 0};
}

IngestPipeline::IngestPipeline(index::Collection* collection, const Preparation* preparation,
                               const IngestOptions* options)
    : collection_(collection),
      preparation_(preparation),
      options_(options),
      limits_(LimitsOf(*options)),
      workers_wanted_(static_cast<size_t>(WorkerCount(options->threads))),
      start_(std::chrono::steady_clock::now()) {
  StartThreads();
}

void IngestPipeline::StartThreads() {
  const size_t asked = workers_wanted_;
  workers_.reserve(asked);
  try {
    writer_ = std::thread([this] { Write(); });
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
  return !status_.ok() || (closed_ && next_write_ == submitted_) ||
         (!done_.empty() && done_.begin()->first == next_write_ &&
          (closed_ || done_bytes_ >= limits_.least_group_bytes));
}

absl::Status IngestPipeline::Submit(chunking::Document document) {
  for (const auto& [name, value] : options_->metadata) document.metadata[name] = value;
  if (const absl::Status s = CheckDocument(document); !s.ok()) {
    return Report(IssueOf(document, std::string(s.message())));
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

void IngestPipeline::AddDone(uint64_t sequence, Done done) {
  done_bytes_ += done.bytes;
  done_.emplace(sequence, std::move(done));
}

absl::Status IngestPipeline::Cut(Job job) {
  auto draft = std::make_shared<Draft>();
  draft->sequence = job.sequence;
  Done& done = draft->done;
  done.bytes = job.bytes;
  std::string hash = index::ContentHash(job.document);
  absl::StatusOr<bool> current = collection_->IsCurrent(job.document.id, hash);
  if (!current.ok()) return current.status();
  done.current = *current;
  if (done.current) {
    done.prepared.document = std::move(job.document);
    done.prepared.content_hash = std::move(hash);
  } else {
    done.prepared = preparation_->Cut(std::move(job.document), std::move(hash));
  }
  draft->missing = done.prepared.chunks.size();
  absl::MutexLock lock(&mutex_);
  if (draft->missing == 0) AddDone(draft->sequence, std::move(done));
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
    if (--c.draft->missing == 0) AddDone(c.draft->sequence, std::move(c.draft->done));
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
  if (absl::Status s = Report(issue); !s.ok()) return s;
  if (!done->current) return absl::OkStatus();
  // It equals what was stored when a worker looked, but its predecessor in this run may differ.
  absl::StatusOr<index::PreparedDocument> prepared = preparation_->Prepare(
      std::move(done->prepared.document), std::move(done->prepared.content_hash));
  if (!prepared.ok()) return prepared.status();
  done->prepared = *std::move(prepared);
  done->current = false;
  return absl::OkStatus();
}

absl::Status IngestPipeline::CommitGroup(std::vector<Done> group) {
  std::vector<index::PreparedDocument> documents;
  documents.reserve(group.size());
  std::vector<std::string> durable;  // In order, with those that were so before.
  uint64_t unchanged = 0;
  absl::Status duplicate;
  for (Done& d : group) {
    duplicate = CheckDuplicate(&d);
    if (!duplicate.ok()) break;  // Strict: what came before it is still written.
    durable.push_back(d.prepared.document.id);
    if (d.current) {
      ++unchanged;
    } else {
      documents.push_back(std::move(d.prepared));
    }
  }
  std::vector<index::WriteOutcome> outcomes;
  if (absl::Status s = collection_->Upsert(documents, &outcomes); !s.ok()) return s;

  absl::MutexLock lock(&report_mutex_);
  report_.unchanged += unchanged;
  for (size_t i = 0; i < documents.size(); ++i) {
    switch (outcomes[i]) {
      case index::WriteOutcome::kCreated:
        ++report_.created;
        break;
      case index::WriteOutcome::kReplaced:
        ++report_.replaced;
        break;
      case index::WriteOutcome::kUnchanged:
        ++report_.unchanged;
        continue;
    }
    report_.chunks += documents[i].chunks.size();
  }
  if (options_->on_durable) {
    for (const std::string& id : durable) options_->on_durable(id);
  }
  if (options_->on_progress) {
    options_->on_progress(
        {report_.bytes, bytes_total_, report_.created + report_.replaced + report_.unchanged});
  }
  return duplicate;
}

}  // namespace cairn::engine
