#include "engine/ingest_pipeline.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "chunking/readers/text_checks.h"
#include "engine/document_checks.h"

namespace cairn::engine {
namespace {

// What a document costs beyond its text.
constexpr size_t kDocumentOverhead = 1024;

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
      limits_(LimitsOf(*options)) {
  StartThreads();
}

void IngestPipeline::StartThreads() {
  const auto asked = static_cast<size_t>(WorkerCount(options_->threads));
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

bool IngestPipeline::HasWork() const { return !queue_.empty() || closed_ || !status_.ok(); }

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
  absl::MutexLock lock(&mutex_);
  return status_;
}

absl::StatusOr<IngestPipeline::Done> IngestPipeline::PrepareJob(Job job) const {
  Done done;
  done.bytes = job.bytes;
  std::string hash = index::ContentHash(job.document);
  absl::StatusOr<bool> current = collection_->IsCurrent(job.document.id, hash);
  if (!current.ok()) return current.status();
  if (*current) {
    done.current = true;
    done.prepared.document = std::move(job.document);
    done.prepared.content_hash = std::move(hash);
    return done;
  }
  absl::StatusOr<index::PreparedDocument> prepared =
      preparation_->Prepare(std::move(job.document), std::move(hash));
  if (!prepared.ok()) return prepared.status();
  done.prepared = *std::move(prepared);
  return done;
}

void IngestPipeline::Work() {
  while (true) {
    Job job;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &IngestPipeline::HasWork));
      if (!status_.ok() || queue_.empty()) return;  // Failed, or closed with nothing left.
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    const uint64_t sequence = job.sequence;
    absl::StatusOr<Done> done = PrepareJob(std::move(job));
    if (!done.ok()) {
      Fail(done.status());
      return;
    }
    absl::MutexLock lock(&mutex_);
    done_bytes_ += done->bytes;
    done_.emplace(sequence, *std::move(done));
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
