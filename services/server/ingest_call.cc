#include "services/server/ingest_call.h"

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <deque>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "cairn/v1/documents.pb.h"
#include "services/server/server_state.h"
#include "services/server/stream_output.h"
#include "services/wire/messages.h"
#include "services/wire/resource_names.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

constexpr Method kIngest = {"cairn.v1.Documents/Ingest", /*bounded=*/false};

// Of documents read and not yet taken by the engine, which has bounds of its own.
constexpr size_t kMostQueuedBytes = size_t{4} << 20;
constexpr size_t kMostQueuedDocuments = 256;
constexpr size_t kMostUnsentAcks = 4096;

class IngestCall : public grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>,
                   public std::enable_shared_from_this<IngestCall> {
 public:
  IngestCall(ServerState* state, grpc::CallbackServerContext* context)
      : state_(state),
        call_(Call::Create(state, kIngest, context)),
        output_({.write =
                     [this](const google::protobuf::Message& message) {
                       StartWrite(static_cast<const v1::IngestResponse*>(&message));
                     },
                 .finish = [this](const absl::Status& status) { FinishWith(status); }}) {}

  void Start() {
    self_ = shared_from_this();
    if (absl::Status s = call_->Begin(0); !s.ok()) {
      output_.End(s);
      return;
    }
    call_->OnStop([self = weak_from_this()] {
      if (const std::shared_ptr<IngestCall> call = self.lock()) call->Stopped();
    });
    Moved();
    StartReading();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      if (!begun_) Fail(BadField("config", "must be in the first message"));
      absl::MutexLock lock(&mutex_);
      closed_ = true;
      return;
    }
    Moved();
    const absl::Status s = begun_ ? TakeDocument() : TakeConfig();
    if (!s.ok()) {
      Fail(s);
      return;
    }
    {
      absl::MutexLock lock(&mutex_);
      reading_ = false;
    }
    ReadOn();
  }

  void OnWriteDone(bool ok) override {
    Moved();
    output_.OnWriteDone(ok);
    ReadOn();
  }

  void OnCancel() override { call_->Stop(absl::CancelledError("the client went away")); }

  void OnDone() override {
    call_->OnStop(nullptr);
    call_->record().bytes_out = output_.sent_bytes();
    call_->End(status_);
    self_.reset();
  }

 private:
  struct Queued {
    InputDocument document;
    size_t bytes = 0;
  };

  // The client is there.
  void Moved() { call_->SetDeadline(absl::Now() + state_->options.limits.stream_idle); }

  void FinishWith(const absl::Status& status) {
    status_ = status;
    Finish(ToGrpcStatus(status));
  }

  // Ends the stream; on the reader's side. An ingestion that has begun ends it itself, once it has
  // acknowledged what is durable.
  void Fail(const absl::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      if (failure_.ok()) failure_ = status;
    }
    if (!begun_) output_.End(status);
  }

  void Stopped() {
    const absl::Status why = call_->StopReason();
    {
      absl::MutexLock lock(&mutex_);
      if (failure_.ok()) failure_ = why;
    }
    output_.Abort(why);
    // A client that does not read would keep a write, and with it the stream, for ever.
    if (output_.writing()) call_->CancelTransportSoon();
  }

  absl::Status TakeConfig() {
    if (!message_.has_config()) return BadField("config", "must be in the first message");
    const v1::IngestConfig& config = message_.config();
    absl::StatusOr<std::string> id = ParseCollectionName("config.parent", config.parent());
    if (!id.ok()) return id.status();
    absl::StatusOr<std::string> stored = call_->Authorize(Permission::kWrite, *id);
    if (!stored.ok()) return stored.status();
    IngestOptions& options = options_;
    for (const auto& [name, value] : config.metadata()) {
      absl::StatusOr<MetadataValue> read =
          ReadMetadataValue(value, absl::StrCat("config.metadata[", name, "]"));
      if (!read.ok()) return read.status();
      options.metadata.emplace(name, *std::move(read));
    }
    options.collection = *stored;
    options.strict = config.strict();
    options.threads = static_cast<int>(state_->options.ingest_threads);
    options.background = true;
    options.is_cancelled = [this] { return call_->stopped(); };
    options.on_outcome = [this](const IngestOutcome& outcome) { Acknowledge(outcome); };
    if (absl::Status s = Engine::CheckOptions(options); !s.ok()) return s;
    absl::StatusOr<Engine*> engine = call_->engine();
    if (!engine.ok()) return engine.status();
    if (absl::Status s = state_->ingestions->Take(call_->identity().tenant); !s.ok()) {
      return WithRetryAfter(s, absl::Seconds(5));
    }
    begun_ = true;
    try {
      std::thread([self = shared_from_this(), engine = *engine] { self->Run(engine); }).detach();
    } catch (const std::system_error&) {
      begun_ = false;
      state_->ingestions->GiveBack(call_->identity().tenant);
      return absl::ResourceExhaustedError("the system grants no thread for an ingestion");
    }
    return absl::OkStatus();
  }

  absl::Status TakeDocument() {
    if (!message_.has_document()) {
      return BadField("document", "must be in each message after the first");
    }
    Queued queued;
    queued.bytes = message_.ByteSizeLong();
    call_->Charge(queued.bytes);
    const std::string id = message_.document().id();
    absl::StatusOr<InputDocument> document =
        ReadInputDocument(std::move(*message_.mutable_document()));
    absl::MutexLock lock(&mutex_);
    ++sequence_;
    if (document.ok()) {
      queued.document = *std::move(document);
    } else {
      // It goes through the engine without an id, which that refuses in its turn.
      refused_.emplace(sequence_, Refusal{id, document.status()});
    }
    queued_bytes_ += queued.bytes;
    queue_.push_back(std::move(queued));
    return absl::OkStatus();
  }

  // Reads the next message where there is room for it and none is being read.
  void ReadOn() {
    {
      absl::MutexLock lock(&mutex_);
      if (reading_ || closed_ || !failure_.ok() || queue_.size() >= kMostQueuedDocuments ||
          queued_bytes_ >= kMostQueuedBytes || output_.waiting() >= kMostUnsentAcks) {
        return;
      }
      reading_ = true;
    }
    StartReading();
  }

  // Not on a stream that is finished, which another thread may do at any moment: gRPC would begin
  // to read from what is no more.
  void StartReading() {
    output_.WhileOpen([this] { StartRead(&message_); });
  }

  bool CanTake() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return !queue_.empty() || closed_ || !failure_.ok();
  }

  // The engine's source of documents, on the ingestion's thread.
  absl::StatusOr<std::optional<InputDocument>> Next() {
    // A tenant that has used up its rate waits here, and its client with it.
    const absl::Duration owed = state_->rates->Owed(call_->identity().tenant);
    InputDocument document;
    {
      absl::MutexLock lock(&mutex_);
      if (owed > absl::ZeroDuration()) {
        mutex_.AwaitWithTimeout(absl::Condition(this, &IngestCall::Failed), owed);
      }
      mutex_.Await(absl::Condition(this, &IngestCall::CanTake));
      if (!failure_.ok()) return failure_;
      if (queue_.empty()) return std::nullopt;
      document = std::move(queue_.front().document);
      queued_bytes_ -= queue_.front().bytes;
      queue_.pop_front();
    }
    ReadOn();
    return document;
  }

  bool Failed() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !failure_.ok(); }

  // In the order of the documents, on one of the engine's threads.
  void Acknowledge(const IngestOutcome& outcome) {
    Moved();
    auto message = std::make_unique<v1::IngestResponse>();
    WriteIngestAck(outcome, message->mutable_ack());
    if (outcome.kind == IngestOutcome::Kind::kRefused) {
      ++refused_count_;
      absl::MutexLock lock(&mutex_);
      const auto it = refused_.find(outcome.sequence);
      if (it != refused_.end()) {
        message->mutable_ack()->set_document_id(it->second.document_id);
        WriteRpcStatus(it->second.why, message->mutable_ack()->mutable_error());
        last_refusal_ = it->second.why;
        refused_.erase(it);
      }
    }
    output_.Send(std::move(message));
  }

  void Run(Engine* engine) {
    absl::StatusOr<IngestReport> report;
    try {
      report = engine->IngestStream([this] { return Next(); }, options_);
    } catch (const std::bad_alloc&) {
      report = absl::ResourceExhaustedError("not enough memory for this ingestion");
    } catch (const std::exception&) {
      report = absl::InternalError("the ingestion failed in a way that was not foreseen");
    }
    absl::Status end;
    if (!report.ok()) {
      end = WhyEnded(report.status());
      absl::MutexLock lock(&mutex_);
      // The engine's is only the echo of one that came from here.
      if (!failure_.ok()) end = failure_;
      failure_ = end;
    }
    // The server may go once all are given back: from here on, only what is this call's own.
    state_->ingestions->GiveBack(call_->identity().tenant);
    if (report.ok()) {
      auto message = std::make_unique<v1::IngestResponse>();
      WriteIngestSummary(*report, refused_count_, message->mutable_summary());
      output_.Send(std::move(message));
    }
    output_.End(end);
  }

  // What the reading thread refused says so itself: to the engine it was a document without an id.
  absl::Status WhyEnded(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    const bool refused = options_.strict && absl::IsInvalidArgument(status) && !last_refusal_.ok();
    return refused ? last_refusal_ : call_->Translate(status);
  }

  struct Refusal {
    std::string document_id;
    absl::Status why;
  };

  ServerState* const state_;
  const std::shared_ptr<Call> call_;
  StreamOutput output_;
  v1::IngestRequest message_;  // Being read.
  bool begun_ = false;         // The configuration was read; the reader's alone.
  IngestOptions options_;      // Set before the ingestion begins.
  uint64_t sequence_ = 0;      // Of the last document read; the reader's alone.
  std::atomic<uint64_t> refused_count_{0};
  absl::Status status_;  // As it was finished.
  std::shared_ptr<IngestCall> self_;

  absl::Mutex mutex_;
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;  // The client sends no more.
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, Refusal> refused_ ABSL_GUARDED_BY(mutex_);
  absl::Status last_refusal_ ABSL_GUARDED_BY(mutex_);  // By the reader, of what was acknowledged.
};

}  // namespace

grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* StartIngest(
    ServerState* state, grpc::CallbackServerContext* context) {
  const auto call = std::make_shared<IngestCall>(state, context);
  call->Start();
  return call.get();
}

}  // namespace cairn::services
