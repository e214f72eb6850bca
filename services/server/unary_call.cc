#include "services/server/unary_call.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <grpcpp/support/server_callback.h>
#include <xxhash.h>

#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "services/server/server_state.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

using google::protobuf::Message;

// Waits for a thread of the pool, runs there, and is finished from there; or finished at once where
// it is stopped before. gRPC keeps it until OnDone.
class UnaryCall : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<UnaryCall> {
 public:
  UnaryCall(std::shared_ptr<Call> call, const Message* request, Message* response,
            WaitingWork begin)
      : call_(std::move(call)), request_(request), response_(response), begin_(std::move(begin)) {}

  void Start() {
    self_ = shared_from_this();
    absl::Status s = call_->Begin(request_->ByteSizeLong());
    if (s.ok()) {
      call_->OnStop([self = weak_from_this()] {
        if (const std::shared_ptr<UnaryCall> call = self.lock()) call->Stopped();
      });
      s = call_->state()->requests->Submit(call_->identity().tenant,
                                           [self = shared_from_this()] { self->Run(); });
      if (absl::IsResourceExhausted(s)) s = WithRetryAfter(s, absl::Seconds(1));
    }
    if (!s.ok() && Leave(Stage::kWaiting)) FinishWith(s);
  }

  void OnCancel() override { call_->Stop(absl::CancelledError("the client went away")); }

  void OnDone() override {
    call_->OnStop(nullptr);
    call_->End(status_);
    self_.reset();
  }

 private:
  enum class Stage : uint8_t { kWaiting, kRunning, kFinished };

  // Whether this thread is the one that finishes the call, which was in that stage.
  bool Leave(Stage stage) {
    return stage_.compare_exchange_strong(stage, Stage::kFinished, std::memory_order_acq_rel);
  }

  void Run() {
    Stage waiting = Stage::kWaiting;
    if (!stage_.compare_exchange_strong(waiting, Stage::kRunning, std::memory_order_acq_rel)) {
      return;
    }
    // An event may come from here on, even before begin_ returns.
    const auto done = [self = shared_from_this()](absl::Status status) {
      if (self->Leave(Stage::kRunning)) self->FinishWith(std::move(status));
    };
    // Our own code does not throw; the standard library does where memory runs out.
    try {
      begin_(call_, done);
    } catch (const std::bad_alloc&) {
      done(absl::ResourceExhaustedError("not enough memory for this request"));
    } catch (const std::exception&) {
      done(absl::InternalError("the request failed in a way that was not foreseen"));
    }
  }

  void Stopped() {
    if (Leave(Stage::kWaiting)) FinishWith(call_->StopReason());
  }

  void FinishWith(absl::Status status) {
    status_ = std::move(status);
    if (status_.ok()) {
      const size_t bytes = response_->ByteSizeLong();
      call_->record().bytes_out = bytes;
      status_ = CheckResponseSize(*call_, bytes);
    }
    Finish(ToGrpcStatus(status_));
  }

  const std::shared_ptr<Call> call_;
  const Message* const request_;
  Message* const response_;
  const WaitingWork begin_;
  std::atomic<Stage> stage_{Stage::kWaiting};
  absl::Status status_;  // Set by whoever finishes, read in OnDone.
  std::shared_ptr<UnaryCall> self_;
};

// The same bytes for requests that ask the same, whatever the order of their maps and their ids.
std::string SerializedForHash(const Message& request) {
  const std::unique_ptr<Message> message(request.New());
  message->CopyFrom(request);
  const google::protobuf::FieldDescriptor* const id =
      message->GetDescriptor()->FindFieldByName("request_id");
  if (id != nullptr) message->GetReflection()->ClearField(message.get(), id);
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message->SerializeToCodedStream(&coded);
  }
  return bytes;
}

}  // namespace

absl::Status CheckResponseSize(const Call& call, size_t bytes) {
  const size_t most = call.state()->options.limits.response_bytes;
  if (bytes <= most) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the response has ", bytes, " bytes, and may have ", most, ": ask for less at once"));
}

grpc::ServerUnaryReactor* StartWaiting(ServerState* state, grpc::CallbackServerContext* context,
                                       const Method& method, const Message* request,
                                       Message* response, WaitingWork begin) {
  const auto call = std::make_shared<UnaryCall>(Call::Create(state, method, context), request,
                                                response, std::move(begin));
  call->Start();
  return call.get();
}

grpc::ServerUnaryReactor* StartUnary(ServerState* state, grpc::CallbackServerContext* context,
                                     const Method& method, const Message* request,
                                     Message* response, UnaryWork work) {
  return StartWaiting(state, context, method, request, response,
                      [work = std::move(work)](const std::shared_ptr<Call>& call,
                                               const std::function<void(absl::Status)>& done) {
                        absl::Status s = work(*call);
                        // What was stopped says why it was, whatever came of it in the engine.
                        if (!s.ok() && call->stopped()) s = call->StopReason();
                        done(call->Translate(s));
                      });
}

absl::Status RunOnce(Call& call, std::string_view request_id, const Message& request,
                     Message* response, const std::function<absl::Status()>& run) {
  if (request_id.empty()) return run();
  if (absl::Status s = RequestReplays::CheckRequestId(request_id); !s.ok()) {
    return BadField("request_id", std::string(s.message()));
  }
  RequestReplays* const replays = call.state()->replays.get();
  const RequestReplays::Key key = {call.identity().tenant, call.method().name,
                                   std::string(request_id)};
  const std::string bytes = SerializedForHash(request);
  const uint64_t hash = XXH3_64bits(bytes.data(), bytes.size());
  RequestReplays::Begun begun = replays->Begin(key, hash);
  switch (begun.outcome) {
    case RequestReplays::Outcome::kRun:
      break;
    case RequestReplays::Outcome::kReplay:
      return response->ParseFromString(begun.response)
                 ? absl::OkStatus()
                 : absl::InternalError("a remembered response cannot be read");
    case RequestReplays::Outcome::kInProgress:
    case RequestReplays::Outcome::kConflict:
      return begun.status;
  }
  absl::Cleanup abandon = [&] { replays->Abandon(key); };
  if (absl::Status s = run(); !s.ok()) return s;
  std::move(abandon).Cancel();
  replays->Finish(key, response->SerializeAsString());
  return absl::OkStatus();
}

}  // namespace cairn::services
