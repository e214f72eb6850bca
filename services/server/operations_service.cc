#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "google/longrunning/operations.pb.h"
#include "services/server/operation_messages.h"
#include "services/server/paging.h"
#include "services/server/server_state.h"
#include "services/server/services.h"
#include "services/server/unary_call.h"
#include "services/wire/resource_names.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

using google::protobuf::Empty;
namespace longrunning = google::longrunning;

constexpr Method kGetOperation = {"google.longrunning.Operations/GetOperation"};
constexpr Method kListOperations = {"google.longrunning.Operations/ListOperations"};
constexpr Method kCancel = {"google.longrunning.Operations/CancelOperation"};
constexpr Method kDeleteOperation = {"google.longrunning.Operations/DeleteOperation"};
constexpr Method kWait = {"google.longrunning.Operations/WaitOperation"};

// An operation that is not there, or another tenant's.
absl::Status Missing(const absl::Status& status, const std::string& name) {
  if (!absl::IsNotFound(status)) return status;
  return WithReason(absl::NotFoundError(absl::StrCat(name, " does not exist")),
                    "OPERATION_NOT_FOUND");
}

// Who may not begin an operation, sees nothing of it either.
bool MaySee(const Call& call, const OperationState& operation) {
  if (operation.target.empty()) return call.AuthorizeStore(Permission::kAdmin).ok();
  const absl::StatusOr<std::string> id = ParseCollectionName("target", operation.target);
  return id.ok() && call.identity().Allows(Permission::kAdmin, *id);
}

absl::StatusOr<OperationState> Find(const Call& call, const std::string& name) {
  absl::StatusOr<std::string> id = ParseOperationName("name", name);
  if (!id.ok()) return id.status();
  absl::StatusOr<OperationState> state = call.state()->operations->Get(call.identity().tenant, *id);
  if (!state.ok()) return Missing(state.status(), name);
  if (!MaySee(call, *state)) return Missing(absl::NotFoundError(""), name);
  return state;
}

absl::Status Get(Call& call, const longrunning::GetOperationRequest& request,
                 longrunning::Operation* response) {
  absl::StatusOr<OperationState> state = Find(call, request.name());
  if (!state.ok()) return state.status();
  WriteOperation(*state, response);
  return absl::OkStatus();
}

absl::Status List(Call& call, const longrunning::ListOperationsRequest& request,
                  longrunning::ListOperationsResponse* response) {
  if (request.name() != "operations" && !request.name().empty()) {
    return BadField("name", "must be \"operations\"");
  }
  if (!request.filter().empty()) return BadField("filter", "is not supported");
  absl::StatusOr<size_t> size = PageSize(request.page_size());
  if (!size.ok()) return size.status();
  const std::string& tenant = call.identity().tenant;
  const std::string key = absl::StrCat("operations of ", tenant);
  absl::StatusOr<std::string> after = PageStart(*call.state()->pages, key, request.page_token());
  if (!after.ok()) return after.status();
  // One by one: those that the caller may not see do not count.
  std::string last;  // Where the page's last one is.
  while (true) {
    absl::StatusOr<Operations::Page> page = call.state()->operations->List(tenant, *after, 1);
    if (!page.ok()) return page.status();
    if (!page->operations.empty() && MaySee(call, page->operations.front())) {
      if (static_cast<size_t>(response->operations_size()) == *size) {
        response->set_next_page_token(call.state()->pages->Make(key, last));
        return absl::OkStatus();
      }
      WriteOperation(page->operations.front(), response->add_operations());
      last = page->next_after;
    }
    if (page->next_after.empty()) return absl::OkStatus();
    *after = page->next_after;
  }
}

absl::Status Cancel(Call& call, const longrunning::CancelOperationRequest& request) {
  absl::StatusOr<OperationState> state = Find(call, request.name());
  if (!state.ok()) return state.status();
  return Missing(call.state()->operations->Cancel(call.identity().tenant, state->id),
                 request.name());
}

absl::Status Delete(Call& call, const longrunning::DeleteOperationRequest& request) {
  absl::StatusOr<OperationState> state = Find(call, request.name());
  if (!state.ok()) return state.status();
  return Missing(call.state()->operations->Delete(call.identity().tenant, state->id),
                 request.name());
}

// Answers when the operation is done, or as it is when the time is up.
void Wait(const std::shared_ptr<Call>& call, const longrunning::WaitOperationRequest& request,
          longrunning::Operation* response, const std::function<void(absl::Status)>& done) {
  const absl::StatusOr<OperationState> found = Find(*call, request.name());
  if (!found.ok()) return done(found.status());
  Operations* const operations = call->state()->operations.get();
  const std::string tenant = call->identity().tenant;
  const std::string id = found->id;
  if (request.has_timeout()) {
    const absl::Duration timeout =
        absl::Seconds(request.timeout().seconds()) + absl::Nanoseconds(request.timeout().nanos());
    if (timeout < absl::ZeroDuration()) return done(BadField("timeout", "must not be negative"));
    call->SetDeadline(std::min(call->deadline(), absl::Now() + timeout));
  }
  // Whoever comes first, the operation's end or the call's, writes the response; the other's
  // `done` does nothing, so it must not write either.
  const auto answered = std::make_shared<std::atomic<bool>>(false);
  const auto answer = [operations, tenant, id, response, done, answered] {
    if (answered->exchange(true)) return;
    absl::StatusOr<OperationState> state = operations->Get(tenant, id);
    if (state.ok()) WriteOperation(*state, response);
    done(state.status());
  };
  // Who waits no longer leaves nothing behind, however long the operation goes on. 0: none yet.
  const auto watch = std::make_shared<std::atomic<Operations::WatchId>>(0);
  const auto leave = [operations, tenant, id, watch] {
    if (*watch != 0) operations->RemoveWatch(tenant, id, *watch);
  };
  call->OnStop([answer, leave, call = std::weak_ptr<Call>(call), done, answered] {
    const std::shared_ptr<Call> self = call.lock();
    if (self == nullptr) return;
    if (absl::IsDeadlineExceeded(self->StopReason())) {
      answer();
    } else if (!answered->exchange(true)) {
      done(self->StopReason());
    }
    leave();
  });
  const absl::StatusOr<Operations::WatchId> made =
      operations->OnDone(tenant, id, [answer](const OperationState&) { answer(); });
  if (!made.ok()) {
    // Dropped meanwhile, which only a finished one is.
    if (!answered->exchange(true)) done(Missing(made.status(), OperationName(id)));
    return;
  }
  *watch = *made;
  if (*answered) leave();
}

class OperationsService final : public longrunning::Operations::CallbackService {
 public:
  explicit OperationsService(ServerState* state) : state_(state) {}

  grpc::ServerUnaryReactor* GetOperation(grpc::CallbackServerContext* context,
                                         const longrunning::GetOperationRequest* request,
                                         longrunning::Operation* response) override {
    return StartUnary(state_, context, kGetOperation, request, response,
                      [=](Call& call) { return Get(call, *request, response); });
  }
  grpc::ServerUnaryReactor* ListOperations(grpc::CallbackServerContext* context,
                                           const longrunning::ListOperationsRequest* request,
                                           longrunning::ListOperationsResponse* response) override {
    return StartUnary(state_, context, kListOperations, request, response,
                      [=](Call& call) { return List(call, *request, response); });
  }
  grpc::ServerUnaryReactor* CancelOperation(grpc::CallbackServerContext* context,
                                            const longrunning::CancelOperationRequest* request,
                                            Empty* response) override {
    return StartUnary(state_, context, kCancel, request, response,
                      [=](Call& call) { return Cancel(call, *request); });
  }
  grpc::ServerUnaryReactor* DeleteOperation(grpc::CallbackServerContext* context,
                                            const longrunning::DeleteOperationRequest* request,
                                            Empty* response) override {
    return StartUnary(state_, context, kDeleteOperation, request, response,
                      [=](Call& call) { return Delete(call, *request); });
  }
  grpc::ServerUnaryReactor* WaitOperation(grpc::CallbackServerContext* context,
                                          const longrunning::WaitOperationRequest* request,
                                          longrunning::Operation* response) override {
    return StartWaiting(
        state_, context, kWait, request, response,
        [=](const std::shared_ptr<Call>& call, const std::function<void(absl::Status)>& done) {
          Wait(call, *request, response, done);
        });
  }

 private:
  ServerState* const state_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeOperationsService(ServerState* state) {
  return std::make_unique<OperationsService>(state);
}

}  // namespace cairn::services
