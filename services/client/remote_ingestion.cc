#include "services/client/remote_ingestion.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "cairn/v1/documents.grpc.pb.h"
#include "cairn/v1/documents.pb.h"
#include "services/client/path_documents.h"
#include "services/wire/messages.h"
#include "services/wire/resource_names.h"

namespace cairn::services {
namespace {

using IngestStream = grpc::ClientReaderWriter<v1::IngestRequest, v1::IngestResponse>;

// What a message has besides a document's text.
constexpr size_t kMessageOverhead = size_t{1} << 20;

// Whether a later run has a chance where this one failed.
bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsCancelled(status) ||
         status.GetPayload("type.googleapis.com/google.rpc.RetryInfo").has_value();
}

class RemoteIngestion : public PathDocumentSink {
 public:
  RemoteIngestion(ServerConnection* connection, const IngestOptions& options, uint64_t total_bytes)
      : call_(connection, ServerCall::Kind::kIngestion, options.is_cancelled),
        stub_(v1::Documents::NewStub(connection->channel())),
        options_(options),
        total_bytes_(total_bytes) {}

  absl::StatusOr<IngestReport> Run(absl::Span<const std::string> paths) {
    stream_ = stub_->Ingest(call_.context());
    std::thread reader([this] { ReadResponses(); });
    absl::Status read = Configure();
    IngestOptions reading = options_;
    reading.max_document_bytes =
        std::min(options_.max_document_bytes, kMaxMessageBytes - kMessageOverhead);
    if (read.ok()) read = ReadPathDocuments(paths, reading, this);
    // What was sent before an error is stored, and acknowledged.
    stream_->WritesDone();
    reader.join();
    absl::Status status = call_.Ended(stream_->Finish());
    if (status.ok() && broken_) {
      status = absl::InternalError("the server ended the stream before everything was sent");
    }
    // Else the reading's error may be no more than the stream's echo.
    return Conclude(status.ok() ? read : status);
  }

  absl::Status OnDocument(InputDocument document, IngestIssue place) override {
    v1::IngestRequest request;
    WriteInputDocument(document, request.mutable_document());
    {
      absl::MutexLock lock(&mutex_);
      sent_.push_back({++sequence_, std::move(place)});
    }
    return Write(request);
  }

  absl::Status OnIssue(IngestIssue issue) override {
    const absl::Status fault = absl::InvalidArgumentError(absl::StrCat(
        issue.source, issue.line > 0 ? absl::StrCat(":", issue.line) : "", ": ", issue.reason));
    absl::MutexLock lock(&mutex_);
    ++local_issues_;
    Tell(issue);
    return options_.strict ? fault : absl::OkStatus();
  }

  void OnBytes(uint64_t read) override {
    absl::MutexLock lock(&mutex_);
    report_.bytes = read;
    TellProgress();
  }

 private:
  struct Sent {
    uint64_t sequence = 0;
    IngestIssue place;
  };

  absl::Status Configure() {
    v1::IngestRequest request;
    v1::IngestConfig* config = request.mutable_config();
    config->set_parent(CollectionName(options_.collection));
    config->set_strict(options_.strict);
    for (const auto& [name, value] : options_.metadata) {
      WriteMetadataValue(value, &(*config->mutable_metadata())[name]);
    }
    return Write(request);
  }

  absl::Status Write(const v1::IngestRequest& request) {
    if (stream_->Write(request)) return absl::OkStatus();
    // Why, the stream's end tells.
    broken_ = true;
    return absl::CancelledError("the stream has ended");
  }

  void ReadResponses() {
    v1::IngestResponse response;
    while (stream_->Read(&response)) {
      absl::MutexLock lock(&mutex_);
      if (response.has_ack()) TakeAck(response.ack());
      if (response.has_summary()) summary_ = response.summary();
    }
  }

  void TakeAck(const v1::IngestAck& ack) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const IngestOutcome outcome = ReadIngestAck(ack);
    IngestIssue place;
    place.source = outcome.document_id;
    while (!sent_.empty() && sent_.front().sequence <= outcome.sequence) {
      if (sent_.front().sequence == outcome.sequence) place = std::move(sent_.front().place);
      sent_.pop_front();
    }
    switch (outcome.kind) {
      case IngestOutcome::Kind::kCreated:
        ++report_.created;
        break;
      case IngestOutcome::Kind::kReplaced:
        ++report_.replaced;
        break;
      case IngestOutcome::Kind::kUnchanged:
        ++report_.unchanged;
        break;
      case IngestOutcome::Kind::kRefused:
        ++report_.issues;
        place.reason = outcome.reason;
        Tell(place);
        return;
    }
    if (outcome.kind != IngestOutcome::Kind::kUnchanged) report_.chunks += outcome.chunk_count;
    if (options_.on_durable) options_.on_durable(outcome.document_id);
    TellProgress();
  }

  void Tell(const IngestIssue& issue) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (options_.on_issue) options_.on_issue(issue);
  }

  void TellProgress() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!options_.on_progress) return;
    options_.on_progress({report_.bytes, total_bytes_, Stored()});
  }

  uint64_t Stored() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return report_.created + report_.replaced + report_.unchanged;
  }

  absl::StatusOr<IngestReport> Conclude(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    const uint64_t read = report_.bytes;
    if (summary_.has_value()) report_ = ReadIngestSummary(*summary_);
    report_.bytes = read;
    report_.issues += local_issues_;
    if (options_.report != nullptr) *options_.report = report_;
    if (status.ok() && !summary_.has_value()) {
      status = absl::InternalError("the server ended the stream without a summary");
    }
    if (status.ok()) return report_;
    const uint64_t stored = Stored();
    return absl::Status(
        status.code(),
        absl::StrCat(
            status.message(), "; of this run, ", stored,
            stored == 1 ? " document was" : " documents were", " acknowledged as stored",
            stored > 0 && MayPass(status) ? ", and running it again goes on from there" : ""));
  }

  ServerCall call_;
  const std::unique_ptr<v1::Documents::Stub> stub_;
  const IngestOptions& options_;
  const uint64_t total_bytes_;
  std::unique_ptr<IngestStream> stream_;
  bool broken_ = false;  // The caller's thread's alone.
  uint64_t sequence_ = 0;

  // Held while a callback runs, so that they come one at a time.
  absl::Mutex mutex_;
  std::deque<Sent> sent_ ABSL_GUARDED_BY(mutex_);  // And not acknowledged.
  IngestReport report_ ABSL_GUARDED_BY(mutex_);    // Of what was acknowledged.
  uint64_t local_issues_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<v1::IngestSummary> summary_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<IngestReport> IngestRemotely(ServerConnection* connection,
                                            absl::Span<const std::string> paths,
                                            const IngestOptions& options) {
  if (options.report != nullptr) *options.report = {};
  RemoteIngestion ingestion(connection, options, options.on_progress ? TotalPathBytes(paths) : 0);
  return ingestion.Run(paths);
}

}  // namespace cairn::services
