#include "services/server/operation_messages.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/message.h>

#include <utility>

#include "cairn/v1/admin.pb.h"
#include "google/longrunning/operations.pb.h"
#include "services/server/server_state.h"
#include "services/wire/messages.h"
#include "services/wire/resource_names.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

v1::OperationMetadata::State StateOf(const OperationState& state) {
  if (state.done) return v1::OperationMetadata::STATE_DONE;
  if (state.cancel_requested) return v1::OperationMetadata::STATE_CANCELLING;
  return state.stage.empty() ? v1::OperationMetadata::STATE_WAITING
                             : v1::OperationMetadata::STATE_RUNNING;
}

}  // namespace

void WriteOperation(const OperationState& state, google::longrunning::Operation* out) {
  out->set_name(OperationName(state.id));
  v1::OperationMetadata metadata;
  metadata.set_method(state.kind);
  metadata.set_target(state.target);
  metadata.set_state(StateOf(state));
  WriteTimestamp(absl::ToUnixMillis(state.start), metadata.mutable_create_time());
  if (state.done) WriteTimestamp(absl::ToUnixMillis(state.end), metadata.mutable_end_time());
  metadata.set_stage(state.stage);
  metadata.set_progress_done(state.progress_done);
  metadata.set_progress_total(state.progress_total);
  out->mutable_metadata()->PackFrom(metadata);
  out->set_done(state.done);
  if (!state.done) return;
  if (state.status.ok()) {
    out->mutable_response()->ParseFromString(state.result);
  } else {
    WriteRpcStatus(state.status, out->mutable_error());
  }
}

absl::Status StartOperation(Call& call, std::string_view method, std::string_view target,
                            Operations::Work work, google::longrunning::Operation* out) {
  absl::StatusOr<OperationState> started = call.state()->operations->Start(
      call.identity().tenant, method, target,
      [work = std::move(work),
       self = call.shared_from_this()](OperationControl& control) -> absl::StatusOr<std::string> {
        absl::StatusOr<std::string> result = work(control);
        if (!result.ok()) return self->Translate(result.status());
        return result;
      });
  if (!started.ok()) return started.status();
  WriteOperation(*started, out);
  return absl::OkStatus();
}

std::string PackResult(const google::protobuf::Message& response) {
  google::protobuf::Any any;
  any.PackFrom(response);
  return any.SerializeAsString();
}

std::string EmptyResult() { return PackResult(google::protobuf::Empty()); }

}  // namespace cairn::services
