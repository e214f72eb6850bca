#include <google/longrunning/operations.pb.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cairn/v1/collections.grpc.pb.h"
#include "cairn/v1/collections.pb.h"
#include "services/server/operation_messages.h"
#include "services/server/paging.h"
#include "services/server/server_state.h"
#include "services/server/services.h"
#include "services/server/unary_call.h"
#include "services/wire/messages.h"
#include "services/wire/resource_names.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

constexpr Method kCreate = {"cairn.v1.Collections/CreateCollection"};
constexpr Method kGet = {"cairn.v1.Collections/GetCollection"};
constexpr Method kList = {"cairn.v1.Collections/ListCollections"};
constexpr Method kUpdate = {"cairn.v1.Collections/UpdateCollection"};
constexpr Method kDelete = {"cairn.v1.Collections/DeleteCollection"};

CollectionNotes NotesOf(const v1::Collection& in) {
  CollectionNotes notes;
  notes.description = in.description();
  for (const auto& [name, value] : in.labels()) notes.labels.emplace(name, value);
  return notes;
}

absl::Status Create(Call& call, const v1::CreateCollectionRequest& request,
                    v1::Collection* response) {
  if (!IsResourceId(request.collection_id())) {
    return BadField("collection_id", "must be 1 to 64 letters, digits, \"-\" and \"_\"");
  }
  absl::StatusOr<std::string> stored = call.Authorize(Permission::kAdmin, request.collection_id());
  if (!stored.ok()) return stored.status();
  absl::StatusOr<CollectionOptions> options =
      ReadCollectionSettings(request.collection().settings());
  if (!options.ok()) return options.status();
  return RunOnce(call, request.request_id(), request, response, [&]() -> absl::Status {
    absl::StatusOr<Engine*> engine = call.engine();
    if (!engine.ok()) return engine.status();
    absl::StatusOr<CollectionInfo> made =
        (*engine)->CreateCollection(*stored, *options, NotesOf(request.collection()));
    if (absl::IsAlreadyExists(made.status())) {
      return WithReason(absl::AlreadyExistsError(absl::StrCat(
                            CollectionName(request.collection_id()), " exists already")),
                        "COLLECTION_EXISTS");
    }
    if (!made.ok()) return made.status();
    WriteCollection(*made, CollectionName(request.collection_id()), true, response);
    return absl::OkStatus();
  });
}

absl::Status Get(Call& call, const v1::GetCollectionRequest& request, v1::Collection* response) {
  absl::StatusOr<std::string> id = ParseCollectionName("name", request.name());
  if (!id.ok()) return id.status();
  absl::StatusOr<std::string> stored = call.Authorize(Permission::kRead, *id);
  if (!stored.ok()) return stored.status();
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  absl::StatusOr<CollectionInfo> info = (*engine)->DescribeCollection(*stored);
  if (!info.ok()) return info.status();
  WriteCollection(*info, request.name(), true, response);
  return absl::OkStatus();
}

absl::Status List(Call& call, const v1::ListCollectionsRequest& request,
                  v1::ListCollectionsResponse* response) {
  absl::StatusOr<size_t> size = PageSize(request.page_size());
  if (!size.ok()) return size.status();
  const std::string& tenant = call.identity().tenant;
  const std::string key = absl::StrCat("collections of ", tenant);
  absl::StatusOr<std::string> after = PageStart(*call.state()->pages, key, request.page_token());
  if (!after.ok()) return after.status();
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  // Names that the caller may not see, another tenant's among them, do not count.
  std::string last;  // The last that the page holds.
  while (true) {
    absl::StatusOr<std::vector<std::string>> names =
        (*engine)->ListCollections(StoredCollectionPrefix(tenant), *after, *size + 1);
    if (!names.ok()) return names.status();
    for (const std::string& stored : *names) {
      *after = stored;
      const std::optional<std::string> id = CollectionIdOf(tenant, stored);
      if (!id.has_value() || !call.identity().Allows(Permission::kRead, *id)) continue;
      // Only what the caller may see makes another page: a token for less would tell of the rest.
      if (static_cast<size_t>(response->collections_size()) == *size) {
        response->set_next_page_token(call.state()->pages->Make(key, last));
        return absl::OkStatus();
      }
      absl::StatusOr<CollectionInfo> info = (*engine)->DescribeCollection(stored);
      if (absl::IsNotFound(info.status())) continue;  // Deleted meanwhile.
      if (!info.ok()) return info.status();
      WriteCollection(*info, CollectionName(*id), false, response->add_collections());
      last = stored;
    }
    if (names->size() <= *size) return absl::OkStatus();
    if (call.stopped()) return call.StopReason();
  }
}

absl::Status Update(Call& call, const v1::UpdateCollectionRequest& request,
                    v1::Collection* response) {
  absl::StatusOr<std::string> id =
      ParseCollectionName("collection.name", request.collection().name());
  if (!id.ok()) return id.status();
  absl::StatusOr<std::string> stored = call.Authorize(Permission::kAdmin, *id);
  if (!stored.ok()) return stored.status();
  bool description = false;
  bool labels = false;
  for (const std::string& path : request.update_mask().paths()) {
    if (path != "*" && path != "description" && path != "labels") {
      return BadField("update_mask", absl::StrCat("\"", path,
                                                  "\" cannot be changed: only \"description\" and "
                                                  "\"labels\" can"));
    }
    description = description || path != "labels";
    labels = labels || path != "description";
  }
  if (request.update_mask().paths().empty()) {
    description = !request.collection().description().empty();
    labels = !request.collection().labels().empty();
  }
  return RunOnce(call, request.request_id(), request, response, [&]() -> absl::Status {
    absl::StatusOr<Engine*> engine = call.engine();
    if (!engine.ok()) return engine.status();
    absl::StatusOr<CollectionInfo> info = (*engine)->DescribeCollection(*stored);
    if (!info.ok()) return info.status();
    const CollectionNotes asked = NotesOf(request.collection());
    CollectionNotes notes = info->notes;
    if (description) notes.description = asked.description;
    if (labels) notes.labels = asked.labels;
    if (description || labels) {
      if (absl::Status s = (*engine)->SetCollectionNotes(*stored, notes); !s.ok()) return s;
      info = (*engine)->DescribeCollection(*stored);
      if (!info.ok()) return info.status();
    }
    WriteCollection(*info, request.collection().name(), true, response);
    return absl::OkStatus();
  });
}

absl::Status Delete(Call& call, const v1::DeleteCollectionRequest& request,
                    google::longrunning::Operation* response) {
  absl::StatusOr<std::string> id = ParseCollectionName("name", request.name());
  if (!id.ok()) return id.status();
  absl::StatusOr<std::string> stored = call.Authorize(Permission::kAdmin, *id);
  if (!stored.ok()) return stored.status();
  return RunOnce(call, request.request_id(), request, response, [&]() -> absl::Status {
    absl::StatusOr<Engine*> engine = call.engine();
    if (!engine.ok()) return engine.status();
    absl::StatusOr<CollectionInfo> info = (*engine)->DescribeCollection(*stored);
    if (!info.ok()) return info.status();
    if (!request.force() && info->documents > 0) {
      return WithReason(absl::FailedPreconditionError(
                            absl::StrCat(request.name(), " holds ", info->documents,
                                         " documents: set force to delete them with it")),
                        "COLLECTION_NOT_EMPTY");
    }
    return StartOperation(
        call, kDelete.name, request.name(),
        [engine = *engine, stored = *stored](OperationControl&) -> absl::StatusOr<std::string> {
          if (absl::Status s = engine->DeleteCollection(stored); !s.ok()) return s;
          return EmptyResult();
        },
        response);
  });
}

class CollectionsService final : public v1::Collections::CallbackService {
 public:
  explicit CollectionsService(ServerState* state) : state_(state) {}

  grpc::ServerUnaryReactor* CreateCollection(grpc::CallbackServerContext* context,
                                             const v1::CreateCollectionRequest* request,
                                             v1::Collection* response) override {
    return StartUnary(state_, context, kCreate, request, response,
                      [=](Call& call) { return Create(call, *request, response); });
  }
  grpc::ServerUnaryReactor* GetCollection(grpc::CallbackServerContext* context,
                                          const v1::GetCollectionRequest* request,
                                          v1::Collection* response) override {
    return StartUnary(state_, context, kGet, request, response,
                      [=](Call& call) { return Get(call, *request, response); });
  }
  grpc::ServerUnaryReactor* ListCollections(grpc::CallbackServerContext* context,
                                            const v1::ListCollectionsRequest* request,
                                            v1::ListCollectionsResponse* response) override {
    return StartUnary(state_, context, kList, request, response,
                      [=](Call& call) { return List(call, *request, response); });
  }
  grpc::ServerUnaryReactor* UpdateCollection(grpc::CallbackServerContext* context,
                                             const v1::UpdateCollectionRequest* request,
                                             v1::Collection* response) override {
    return StartUnary(state_, context, kUpdate, request, response,
                      [=](Call& call) { return Update(call, *request, response); });
  }
  grpc::ServerUnaryReactor* DeleteCollection(grpc::CallbackServerContext* context,
                                             const v1::DeleteCollectionRequest* request,
                                             google::longrunning::Operation* response) override {
    return StartUnary(state_, context, kDelete, request, response,
                      [=](Call& call) { return Delete(call, *request, response); });
  }

 private:
  ServerState* const state_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCollectionsService(ServerState* state) {
  return std::make_unique<CollectionsService>(state);
}

}  // namespace cairn::services
