#include <grpcpp/support/server_callback.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "cairn/v1/search.grpc.pb.h"
#include "cairn/v1/search.pb.h"
#include "services/server/server_state.h"
#include "services/server/services.h"
#include "services/server/stream_output.h"
#include "services/server/unary_call.h"
#include "services/wire/messages.h"
#include "services/wire/resource_names.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

constexpr Method kSearch = {"cairn.v1.Search/Search"};
constexpr Method kSearchStream = {"cairn.v1.Search/SearchStream", /*bounded=*/false};

// Searches of one stream that run or wait, and results that wait for those before them.
constexpr size_t kWindow = 8;

// One search, of a call that may do others at the same time: `stored` is the collection's name in
// the store.
absl::StatusOr<SearchResponse> RunOne(const Call& call, const std::string& stored,
                                      SearchCall* search) {
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  search->request.collection = stored;
  search->request.is_cancelled = [&call] { return call.stopped(); };
  return (*engine)->Search(search->request);
}

absl::Status SearchOnce(Call& call, const v1::SearchRequest& request,
                        v1::SearchResponse* response) {
  absl::StatusOr<std::string> id = ParseCollectionName("parent", request.parent());
  if (!id.ok()) return id.status();
  absl::StatusOr<std::string> stored = call.Authorize(Permission::kRead, *id);
  if (!stored.ok()) return stored.status();
  absl::StatusOr<SearchCall> search = ReadSearchRequest(request);
  if (!search.ok()) return search.status();
  absl::StatusOr<SearchResponse> found = RunOne(call, *stored, &*search);
  if (!found.ok()) return found.status();
  WriteSearchResponse(*found, *search, response);
  call.record().k = search->request.k;
  call.record().hits = found->hits.size();
  const SearchTimings& t = found->timings;
  call.AddStage("analyze", t.analyze);
  call.AddStage("embed", t.embed);
  call.AddStage("candidates", t.candidates);
  call.AddStage("rerank", t.rerank);
  call.AddStage("fetch", t.fetch);
  return absl::OkStatus();
}

// Reads queries as long as fewer than kWindow are on their way, runs them on the pool, and sends
// their results in the queries' order.
class SearchStreamCall
    : public grpc::ServerBidiReactor<v1::SearchStreamRequest, v1::SearchStreamResponse>,
      public std::enable_shared_from_this<SearchStreamCall> {
 public:
  SearchStreamCall(ServerState* state, grpc::CallbackServerContext* context)
      : state_(state),
        call_(Call::Create(state, kSearchStream, context)),
        output_({.write =
                     [this](const google::protobuf::Message& message) {
                       StartWrite(static_cast<const v1::SearchStreamResponse*>(&message));
                     },
                 .finish =
                     [this](const absl::Status& status) {
                       status_ = status;
                       Finish(ToGrpcStatus(status));
                     }}) {}

  void Start() {
    self_ = shared_from_this();
    if (absl::Status s = call_->Begin(0); !s.ok()) {
      output_.End(s);
      return;
    }
    call_->OnStop([self = weak_from_this()] {
      if (const std::shared_ptr<SearchStreamCall> call = self.lock()) call->Stopped();
    });
    Moved();
    StartReading();
  }

  void OnReadDone(bool ok) override {
    Moved();
    if (ok) {
      Begin();
    } else {
      absl::MutexLock lock(&mutex_);
      closed_ = true;
    }
    {
      absl::MutexLock lock(&mutex_);
      reading_ = false;
    }
    Go();
  }

  void OnWriteDone(bool ok) override {
    Moved();
    output_.OnWriteDone(ok);
    Go();
  }

  void OnCancel() override { call_->Stop(absl::CancelledError("the client went away")); }

  void OnDone() override {
    call_->OnStop(nullptr);
    {
      absl::MutexLock lock(&mutex_);
      call_->record().hits = hits_;
    }
    call_->record().bytes_out = output_.sent_bytes();
    call_->End(status_);
    self_.reset();
  }

 private:
  struct Topic {
    v1::SearchStreamRequest request;
    std::unique_ptr<v1::SearchStreamResponse> response;  // Null until there is one.
  };

  void Moved() { call_->SetDeadline(absl::Now() + state_->options.limits.stream_idle); }

  void Stopped() {
    const absl::Status why = call_->StopReason();
    output_.Abort(why);
    // A client that does not read would keep a write, and with it the stream, for ever.
    if (output_.writing()) call_->CancelTransportSoon();
  }

  // Queues the search that was read.
  void Begin() {
    auto topic = std::make_shared<Topic>();
    topic->request = std::move(message_);
    message_.Clear();
    const size_t bytes = topic->request.ByteSizeLong();
    {
      absl::MutexLock lock(&mutex_);
      topics_.push_back(topic);
    }
    // Each counts against the tenant's rate; its slot is the stream's.
    const RateLimiter::Admission admission = state_->rates->AdmitPart(call_->identity().tenant);
    absl::Status s = admission.status;
    if (!s.ok()) s = WithRetryAfter(s, admission.retry_after);
    call_->Charge(bytes);
    if (s.ok()) {
      s = state_->requests->Submit(call_->identity().tenant, [self = shared_from_this(), topic] {
        self->Answer(topic, self->Run(topic->request));
      });
    }
    if (!s.ok()) {
      auto response = std::make_unique<v1::SearchStreamResponse>();
      WriteRpcStatus(s, response->mutable_error());
      Answer(topic, std::move(response));
    }
  }

  // On a thread of the pool.
  std::unique_ptr<v1::SearchStreamResponse> Run(const v1::SearchStreamRequest& request) {
    auto response = std::make_unique<v1::SearchStreamResponse>();
    absl::Status s = call_->StopReason();
    try {
      if (s.ok()) s = RunInto(request.search(), response->mutable_response());
    } catch (const std::exception&) {
      s = absl::ResourceExhaustedError("not enough memory for this search");
    }
    if (!s.ok()) WriteRpcStatus(s, response->mutable_error());
    return response;
  }

  absl::Status RunInto(const v1::SearchRequest& request, v1::SearchResponse* response) {
    absl::StatusOr<std::string> id = ParseCollectionName("search.parent", request.parent());
    if (!id.ok()) return id.status();
    // A view of the call for this search alone: searches of one stream run at the same time.
    absl::StatusOr<Call::Scope> scope = call_->AuthorizeScope(Permission::kRead, *id);
    if (!scope.ok()) return scope.status();
    absl::StatusOr<SearchCall> search = ReadSearchRequest(request);
    if (!search.ok()) return search.status();
    absl::StatusOr<SearchResponse> found = RunOne(*call_, scope->stored, &*search);
    if (!found.ok()) return call_->Translate(found.status(), *scope);
    WriteSearchResponse(*found, *search, response);
    if (absl::Status s = CheckResponseSize(*call_, response->ByteSizeLong()); !s.ok()) return s;
    absl::MutexLock lock(&mutex_);
    hits_ += found->hits.size();
    return absl::OkStatus();
  }

  void Answer(const std::shared_ptr<Topic>& topic,
              std::unique_ptr<v1::SearchStreamResponse> response) {
    response->set_topic_id(topic->request.topic_id());
    {
      absl::MutexLock lock(&mutex_);
      topic->response = std::move(response);
    }
    Go();
  }

  // Sends the results whose turn it is, reads on where there is room, ends where all is done.
  void Go() {
    bool read = false;
    bool end = false;
    {
      absl::MutexLock lock(&mutex_);
      // Under the lock, or two threads could mix up the order.
      while (!topics_.empty() && topics_.front()->response != nullptr) {
        output_.Send(std::move(topics_.front()->response));
        topics_.pop_front();
      }
      end = closed_ && topics_.empty();
      read = !reading_ && !closed_ && !call_->stopped() &&
             topics_.size() + output_.waiting() < kWindow;
      reading_ = reading_ || read;
    }
    if (end) output_.End(absl::OkStatus());
    if (read) StartReading();
  }

  // Not on a stream that is finished, which another thread may do at any moment: gRPC would begin
  // to read from what is no more.
  void StartReading() {
    output_.WhileOpen([this] { StartRead(&message_); });
  }

  ServerState* const state_;
  const std::shared_ptr<Call> call_;
  StreamOutput output_;
  v1::SearchStreamRequest message_;  // Being read.
  absl::Status status_;              // As it was finished.
  std::shared_ptr<SearchStreamCall> self_;

  absl::Mutex mutex_;
  std::deque<std::shared_ptr<Topic>> topics_ ABSL_GUARDED_BY(mutex_);  // In the queries' order.
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;  // The client sends no more.
  size_t hits_ ABSL_GUARDED_BY(mutex_) = 0;
};

class SearchService final : public v1::Search::CallbackService {
 public:
  explicit SearchService(ServerState* state) : state_(state) {}

  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* context,
                                   const v1::SearchRequest* request,
                                   v1::SearchResponse* response) override {
    return StartUnary(state_, context, kSearch, request, response,
                      [=](Call& call) { return SearchOnce(call, *request, response); });
  }

  grpc::ServerBidiReactor<v1::SearchStreamRequest, v1::SearchStreamResponse>* SearchStream(
      grpc::CallbackServerContext* context) override {
    const auto call = std::make_shared<SearchStreamCall>(state_, context);
    call->Start();
    return call.get();
  }

 private:
  ServerState* const state_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSearchService(ServerState* state) {
  return std::make_unique<SearchService>(state);
}

}  // namespace cairn::services
