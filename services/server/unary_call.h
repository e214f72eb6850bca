// Calls with one request and one response, run on the server's pool.
#ifndef CAIRN_SERVICES_SERVER_UNARY_CALL_H_
#define CAIRN_SERVICES_SERVER_UNARY_CALL_H_

#include <cstddef>
#include <functional>
#include <string_view>

#include "absl/status/status.h"
#include "services/server/call.h"

namespace google::protobuf {
class Message;
}
namespace grpc {
class CallbackServerContext;
class ServerUnaryReactor;
}  // namespace grpc

namespace cairn::services {

// Fills in the response, which it holds. On a thread of the pool.
using UnaryWork = std::function<absl::Status(Call& call)>;

// Authenticates and admits the call, queues it, and answers with what `work` returns; `request` and
// `response` are gRPC's own. A call that is stopped while it waits is answered at once.
grpc::ServerUnaryReactor* StartUnary(ServerState* state, grpc::CallbackServerContext* context,
                                     const Method& method, const google::protobuf::Message* request,
                                     google::protobuf::Message* response, UnaryWork work);

// For work that waits for something and must hold no thread meanwhile: `begin` runs on a thread of
// the pool and sees to it that `done` is called once, from any thread, unless the call is stopped
// before. `done` must not be called any more after it returned; later calls do nothing.
using WaitingWork =
    std::function<void(const std::shared_ptr<Call>& call, std::function<void(absl::Status)> done)>;
grpc::ServerUnaryReactor* StartWaiting(ServerState* state, grpc::CallbackServerContext* context,
                                       const Method& method,
                                       const google::protobuf::Message* request,
                                       google::protobuf::Message* response, WaitingWork begin);

// ResourceExhausted where a response of so many bytes is over the limit.
absl::Status CheckResponseSize(const Call& call, size_t bytes);

// AIP-155: of requests with the same id, the first runs, and the others get its answer. Without an
// id, just runs.
absl::Status RunOnce(Call& call, std::string_view request_id,
                     const google::protobuf::Message& request, google::protobuf::Message* response,
                     const std::function<absl::Status()>& run);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_UNARY_CALL_H_
