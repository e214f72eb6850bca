// The server's operations as google.longrunning has them.
#ifndef CAIRN_SERVICES_SERVER_OPERATION_MESSAGES_H_
#define CAIRN_SERVICES_SERVER_OPERATION_MESSAGES_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "services/server/call.h"
#include "services/server/operations.h"

namespace google::protobuf {
class Message;
}
namespace google::longrunning {
class Operation;
}

namespace cairn::services {

void WriteOperation(const OperationState& state, google::longrunning::Operation* out);

// Starts one for the caller's tenant, and writes its state. `method` and `target` as
// OperationMetadata has them; `work` returns its response as PackResult or EmptyResult made it. Its
// errors are translated as the call's would be.
absl::Status StartOperation(Call& call, std::string_view method, std::string_view target,
                            Operations::Work work, google::longrunning::Operation* out);

// A serialised google.protobuf.Any.
std::string PackResult(const google::protobuf::Message& response);
std::string EmptyResult();

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_OPERATION_MESSAGES_H_
