// absl::Status with google.rpc's details, and what gRPC makes of it.
#ifndef CAIRN_SERVICES_WIRE_STATUS_H_
#define CAIRN_SERVICES_WIRE_STATUS_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace grpc {
class Status;
}
namespace google::rpc {
class Status;
}

namespace cairn::services {

// Details travel as payloads of absl::Status, keyed by their type's URL: a function that knows more
// adds to a status, and those between it and the wire pass it on.

// InvalidArgument with google.rpc.BadRequest: `field` as the request's message calls it.
absl::Status BadField(std::string_view field, std::string_view description);
// With google.rpc.ErrorInfo of domain "cairn"; `reason` in UPPER_SNAKE_CASE. A status without one
// goes over the wire with its code's name.
absl::Status WithReason(absl::Status status, std::string_view reason);
// With google.rpc.RetryInfo.
absl::Status WithRetryAfter(absl::Status status, absl::Duration delay);

grpc::Status ToGrpcStatus(const absl::Status& status);
void WriteRpcStatus(const absl::Status& status, google::rpc::Status* out);
absl::Status FromGrpcStatus(const grpc::Status& status);
absl::Status FromRpcStatus(const google::rpc::Status& status);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_WIRE_STATUS_H_
