#include <grpcpp/support/server_callback.h>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cairn/v1/answer.grpc.pb.h"
#include "cairn/v1/answer.pb.h"
#include "services/server/server_state.h"
#include "services/server/services.h"
#include "services/server/stream_output.h"
#include "services/wire/messages.h"
#include "services/wire/resource_names.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

constexpr Method kAnswer = {"cairn.v1.Answer/Answer"};

// Runs on the pool, which never waits for the client: what is not sent yet is kept, and that is
// one answer at most.
class AnswerCall : public grpc::ServerWriteReactor<v1::AnswerResponse>,
                   public std::enable_shared_from_this<AnswerCall> {
 public:
  AnswerCall(ServerState* state, grpc::CallbackServerContext* context,
             const v1::AnswerRequest* request)
      : state_(state),
        request_(*request),
        call_(Call::Create(state, kAnswer, context)),
        output_({.write =
                     [this](const google::protobuf::Message& message) {
                       StartWrite(static_cast<const v1::AnswerResponse*>(&message));
                     },
                 .finish =
                     [this](const absl::Status& status) {
                       status_ = status;
                       Finish(ToGrpcStatus(status));
                     }}) {}

  void Start() {
    self_ = shared_from_this();
    absl::Status s = call_->Begin(request_.ByteSizeLong());
    if (s.ok()) s = Authorize();
    if (s.ok()) {
      call_->OnStop([self = weak_from_this()] {
        if (const std::shared_ptr<AnswerCall> call = self.lock()) call->Stopped();
      });
      s = state_->requests->Submit(call_->identity().tenant,
                                   [self = shared_from_this()] { self->Run(); });
      if (absl::IsResourceExhausted(s)) s = WithRetryAfter(s, absl::Seconds(1));
    }
    if (!s.ok()) output_.End(s);
  }

  void OnWriteDone(bool ok) override { output_.OnWriteDone(ok); }

  void OnCancel() override { call_->Stop(absl::CancelledError("the client went away")); }

  void OnDone() override {
    call_->OnStop(nullptr);
    RequestRecord& record = call_->record();
    record.bytes_out = output_.sent_bytes();
    {
      absl::MutexLock lock(&mutex_);
      record.k = k_;
      record.hits = hits_;
      record.kv = kv_;
      for (const auto& [stage, microseconds] : stages_) call_->AddStage(stage, microseconds);
    }
    call_->End(status_);
    self_.reset();
  }

 private:
  // Before the work begins: it may go on after the call's end, which reads what this writes.
  absl::Status Authorize() {
    absl::StatusOr<std::string> id = ParseCollectionName("parent", request_.parent());
    if (!id.ok()) return id.status();
    absl::StatusOr<std::string> stored = call_->Authorize(Permission::kRead, *id);
    if (!stored.ok()) return stored.status();
    collection_ = *std::move(stored);
    return absl::OkStatus();
  }

  void Stopped() {
    output_.Abort(call_->StopReason());
    // A client that does not read would keep a write, and with it the stream, for ever.
    if (output_.writing()) call_->CancelTransportSoon();
  }

  void Run() {
    absl::Status s = call_->StopReason();
    try {
      if (s.ok()) s = call_->Translate(Answer());
    } catch (const std::bad_alloc&) {
      s = absl::ResourceExhaustedError("not enough memory for this answer");
    } catch (const std::exception&) {
      s = absl::InternalError("the answer failed in a way that was not foreseen");
    }
    if (!s.ok() && call_->stopped()) s = call_->StopReason();
    output_.End(s);
  }

  absl::Status Answer() {
    absl::StatusOr<AskRequest> ask = ReadAnswerRequest(request_);
    if (!ask.ok()) return ask.status();
    absl::StatusOr<Engine*> engine = call_->engine();
    if (!engine.ok()) return engine.status();
    if (request_.generation().reuse() == v1::REUSE_QUALITY_UNSPECIFIED) {
      ask->reuse = state_->options.kv_reuse;
    }
    ask->collection = collection_;
    // How fast a prompt is read tells which others were read before: to nobody of another tenant.
    ask->cache_scope = call_->identity().tenant;
    ask->is_cancelled = [this] { return call_->stopped(); };
    ask->on_passages = [this](const std::vector<SearchHit>& passages) { SendPassages(passages); };
    ask->on_text = [this](std::string_view text) {
      auto event = std::make_unique<v1::AnswerResponse>();
      event->set_text(std::string(text));
      output_.Send(std::move(event));
    };
    ask->on_sentence = [this](const AnswerSentence& sentence) {
      auto event = std::make_unique<v1::AnswerResponse>();
      WriteAnswerSentence(sentence, event->mutable_sentence());
      output_.Send(std::move(event));
    };
    absl::StatusOr<AskResponse> answer = (*engine)->Ask(*ask);
    if (!answer.ok()) return answer.status();
    // Stopped by its client, it says so; what came before was sent.
    if (call_->stopped()) return call_->StopReason();
    ReuseReport& reuse = answer->usage.reuse;
    reuse.reason = call_->TranslateText(reuse.reason);
    auto event = std::make_unique<v1::AnswerResponse>();
    WriteAnswerSummary(*answer, event->mutable_summary());
    output_.Send(std::move(event));
    Note(*ask, *answer);
    return absl::OkStatus();
  }

  void SendPassages(const std::vector<SearchHit>& passages) {
    auto event = std::make_unique<v1::AnswerResponse>();
    v1::AnswerPassages* const out = event->mutable_passages();
    for (const SearchHit& hit : passages) WritePassage(hit, true, true, out->add_passages());
    output_.Send(std::move(event));
  }

  // For the log.
  void Note(const AskRequest& ask, const AskResponse& answer) {
    absl::MutexLock lock(&mutex_);
    k_ = ask.passages;
    hits_ = answer.passages.size();
    const AskTimings& t = answer.timings;
    stages_ = {{"retrieve", t.retrieve},
               {"select", t.select},
               {"prefill", t.prefill},
               {"decode", t.decode},
               {"check", t.check}};
    const ReuseReport& reuse = answer.usage.reuse;
    state_->metrics->RecordPrompt({.exact_tokens = reuse.exact_tokens,
                                   .reused_tokens = reuse.reused_tokens,
                                   .recomputed_tokens = reuse.recomputed_tokens,
                                   .fresh_tokens = reuse.fresh_tokens,
                                   .loaded_bytes = reuse.loaded_bytes});
    if (!state_->options.engine.kv.enabled || reuse.method.empty()) return;
    kv_ = {reuse.method, reuse.exact_tokens, reuse.reused_tokens, reuse.recomputed_tokens};
    // Parts of "prefill".
    stages_.insert(
        stages_.end(),
        {{"kv_load", reuse.load}, {"kv_select", reuse.select}, {"kv_compute", reuse.compute}});
  }

  ServerState* const state_;
  const v1::AnswerRequest request_;  // The work may go on a little after gRPC's own is gone.
  const std::shared_ptr<Call> call_;
  StreamOutput output_;
  std::string collection_;  // As the store calls it.
  absl::Status status_;     // As it was finished.
  std::shared_ptr<AnswerCall> self_;

  absl::Mutex mutex_;
  size_t k_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t hits_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<RequestRecord::Kv> kv_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<const char*, double>> stages_ ABSL_GUARDED_BY(mutex_);
};

class AnswerService final : public v1::Answer::CallbackService {
 public:
  explicit AnswerService(ServerState* state) : state_(state) {}

  grpc::ServerWriteReactor<v1::AnswerResponse>* Answer(grpc::CallbackServerContext* context,
                                                       const v1::AnswerRequest* request) override {
    const auto call = std::make_shared<AnswerCall>(state_, context, request);
    call->Start();
    return call.get();
  }

 private:
  ServerState* const state_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAnswerService(ServerState* state) {
  return std::make_unique<AnswerService>(state);
}

}  // namespace cairn::services
