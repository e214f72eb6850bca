#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cairn/v1/admin.grpc.pb.h"
#include "cairn/v1/admin.pb.h"
#include "google/longrunning/operations.pb.h"
#include "services/server/operation_messages.h"
#include "services/server/server_state.h"
#include "services/server/services.h"
#include "services/server/unary_call.h"
#include "services/wire/field_checks.h"
#include "services/wire/messages.h"
#include "services/wire/resource_names.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

using google::longrunning::Operation;

constexpr Method kGetStats = {"cairn.v1.Admin/GetStats"};
constexpr Method kVerify = {"cairn.v1.Admin/VerifyStore"};
constexpr Method kCompact = {"cairn.v1.Admin/CompactStore"};
constexpr Method kSnapshot = {"cairn.v1.Admin/SnapshotStore"};
constexpr Method kBuildKv = {"cairn.v1.Admin/BuildKv"};
constexpr Method kGetKvStats = {"cairn.v1.Admin/GetKvStats"};

// What maintenance tells, and asks, of an operation.
MaintenanceOptions OptionsOf(OperationControl& control, const std::string& collection) {
  MaintenanceOptions options;
  options.collection = collection;
  options.cancel = control.cancel_flag();
  options.on_progress = [&control](const MaintenanceProgress& p) {
    control.SetProgress(p.stage, p.done, p.total);
  };
  return options;
}

// The collection's name in the store; empty for all of them.
absl::StatusOr<std::string> TargetOf(Call& call, const std::string& name) {
  if (name.empty()) {
    if (absl::Status s = call.AuthorizeStore(Permission::kAdmin); !s.ok()) return s;
    return std::string();
  }
  absl::StatusOr<std::string> id = ParseCollectionName("collection", name);
  if (!id.ok()) return id.status();
  absl::StatusOr<std::string> stored = call.Authorize(Permission::kAdmin, *id);
  if (!stored.ok()) return stored.status();
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  if (absl::Status s = (*engine)->DescribeCollection(*stored).status(); !s.ok()) return s;
  return stored;
}

absl::Status GetStats(Call& call, v1::StoreStats* response) {
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  absl::StatusOr<StoreInfo> info = (*engine)->Stats();
  if (!info.ok()) return info.status();
  const Identity& identity = call.identity();
  for (const CollectionInfo& c : info->collections) {
    const std::optional<std::string> id = CollectionIdOf(identity.tenant, c.name);
    if (!id.has_value() || !identity.Allows(Permission::kRead, *id)) continue;
    WriteCollection(c, CollectionName(*id), true, response->add_collections());
  }
  if (call.AuthorizeStore(Permission::kAdmin).ok()) {
    response->set_uuid(info->uuid);
    response->set_disk_bytes(info->disk_bytes);
  }
  response->set_version(std::string(Version()));
  return absl::OkStatus();
}

absl::Status Verify(Call& call, const v1::VerifyStoreRequest& request, Operation* response) {
  absl::StatusOr<std::string> target = TargetOf(call, request.collection());
  if (!target.ok()) return target.status();
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  return RunOnce(call, request.request_id(), request, response, [&] {
    return StartOperation(
        call, kVerify.name, request.collection(),
        [engine = *engine, target = *target, deep = request.deep(),
         self = call.shared_from_this()](OperationControl& control) -> absl::StatusOr<std::string> {
          absl::StatusOr<VerifyResult> result = engine->Verify(deep, OptionsOf(control, target));
          if (!result.ok()) return result.status();
          for (std::string& problem : result->problems) problem = self->TranslateText(problem);
          v1::VerifyStoreResponse out;
          WriteVerifyResult(*result, &out);
          return PackResult(out);
        },
        response);
  });
}

absl::Status Compact(Call& call, const v1::CompactStoreRequest& request, Operation* response) {
  absl::StatusOr<std::string> target = TargetOf(call, request.collection());
  if (!target.ok()) return target.status();
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  return RunOnce(call, request.request_id(), request, response, [&] {
    return StartOperation(
        call, kCompact.name, request.collection(),
        [engine = *engine,
         target = *target](OperationControl& control) -> absl::StatusOr<std::string> {
          absl::Status s = engine->Compact(OptionsOf(control, target));
          if (!s.ok()) return s;
          return PackResult(v1::CompactStoreResponse());
        },
        response);
  });
}

absl::Status Snapshot(Call& call, const v1::SnapshotStoreRequest& request, Operation* response) {
  if (absl::Status s = call.AuthorizeStore(Permission::kAdmin); !s.ok()) return s;
  if (!IsResourceId(request.snapshot_id())) {
    return BadField("snapshot_id", "must be 1 to 64 letters, digits, \"-\" and \"_\"");
  }
  const std::string& directory = call.state()->options.snapshot_directory;
  if (directory.empty()) {
    return WithReason(
        absl::FailedPreconditionError("the server was started without a directory for snapshots"),
        "NO_SNAPSHOT_DIRECTORY");
  }
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  const std::string path = absl::StrCat(directory, "/", request.snapshot_id());
  return RunOnce(call, request.request_id(), request, response, [&]() -> absl::Status {
    std::error_code error;
    if (std::filesystem::exists(path, error) || error) {
      return absl::AlreadyExistsError(
          absl::StrCat("there is a snapshot \"", request.snapshot_id(), "\" already"));
    }
    return StartOperation(
        call, kSnapshot.name, "",
        [engine = *engine, path,
         id = request.snapshot_id()](OperationControl& control) -> absl::StatusOr<std::string> {
          absl::Status s = engine->Snapshot(path, OptionsOf(control, ""));
          if (!s.ok()) return s;
          v1::SnapshotStoreResponse out;
          out.set_snapshot_id(id);
          return PackResult(out);
        },
        response);
  });
}

// Of a request that must name its collection.
absl::StatusOr<std::string> CollectionOf(Call& call, const std::string& name) {
  if (absl::Status s = CheckRequired("collection", name); !s.ok()) return s;
  return TargetOf(call, name);
}

absl::StatusOr<std::string> RunKvBuild(Engine& engine, const std::string& collection,
                                       OperationControl& control) {
  KvBuildOptions options;
  options.collection = collection;
  options.is_cancelled = [&control] { return control.cancelled(); };
  options.on_progress = [&control](const KvBuildProgress& p) {
    control.SetProgress("read documents", p.documents, p.total_documents);
  };
  const absl::StatusOr<KvBuildReport> report = engine.BuildKv(options);
  if (!report.ok()) return report.status();
  v1::BuildKvResponse out;
  out.set_documents(report->documents);
  out.set_chunks(report->chunks);
  out.set_known(report->known);
  out.set_tokens(report->tokens);
  out.set_bytes(report->bytes);
  out.set_skipped(report->skipped);
  out.set_seconds(report->seconds);
  return PackResult(out);
}

absl::Status BuildKv(Call& call, const v1::BuildKvRequest& request, Operation* response) {
  absl::StatusOr<std::string> target = CollectionOf(call, request.collection());
  if (!target.ok()) return target.status();
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  // At once, not by an operation that fails.
  if (absl::Status s = (*engine)->DescribeKv(*target).status(); !s.ok()) return s;
  return RunOnce(call, request.request_id(), request, response, [&] {
    return StartOperation(
        call, kBuildKv.name, request.collection(),
        [engine = *engine, target = *target](OperationControl& control) {
          return RunKvBuild(*engine, target, control);
        },
        response);
  });
}

absl::Status GetKvStats(Call& call, const v1::GetKvStatsRequest& request, v1::KvStats* response) {
  absl::StatusOr<std::string> target = CollectionOf(call, request.collection());
  if (!target.ok()) return target.status();
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  const absl::StatusOr<KvInfo> info = (*engine)->DescribeKv(*target);
  if (!info.ok()) return info.status();
  response->set_memory_hits(info->memory_hits);
  response->set_disk_hits(info->disk_hits);
  response->set_misses(info->misses);
  response->set_loaded_bytes(info->loaded_bytes);
  response->set_bad_chunks(info->bad_blobs);
  if (!call.AuthorizeStore(Permission::kAdmin).ok()) return absl::OkStatus();
  response->set_memory_chunks(info->memory_blobs);
  response->set_memory_bytes(info->memory_bytes);
  response->set_memory_evictions(info->memory_evictions);
  response->set_disk_chunks(info->disk_blobs);
  response->set_disk_bytes(info->disk_bytes);
  response->set_disk_evictions(info->disk_evictions);
  return absl::OkStatus();
}

class AdminService final : public v1::Admin::CallbackService {
 public:
  explicit AdminService(ServerState* state) : state_(state) {}

  grpc::ServerUnaryReactor* GetStats(grpc::CallbackServerContext* context,
                                     const v1::GetStatsRequest* request,
                                     v1::StoreStats* response) override {
    return StartUnary(state_, context, kGetStats, request, response,
                      [=](Call& call) { return services::GetStats(call, response); });
  }
  grpc::ServerUnaryReactor* VerifyStore(grpc::CallbackServerContext* context,
                                        const v1::VerifyStoreRequest* request,
                                        Operation* response) override {
    return StartUnary(state_, context, kVerify, request, response,
                      [=](Call& call) { return Verify(call, *request, response); });
  }
  grpc::ServerUnaryReactor* CompactStore(grpc::CallbackServerContext* context,
                                         const v1::CompactStoreRequest* request,
                                         Operation* response) override {
    return StartUnary(state_, context, kCompact, request, response,
                      [=](Call& call) { return Compact(call, *request, response); });
  }
  grpc::ServerUnaryReactor* SnapshotStore(grpc::CallbackServerContext* context,
                                          const v1::SnapshotStoreRequest* request,
                                          Operation* response) override {
    return StartUnary(state_, context, kSnapshot, request, response,
                      [=](Call& call) { return Snapshot(call, *request, response); });
  }
  grpc::ServerUnaryReactor* BuildKv(grpc::CallbackServerContext* context,
                                    const v1::BuildKvRequest* request,
                                    Operation* response) override {
    return StartUnary(state_, context, kBuildKv, request, response,
                      [=](Call& call) { return services::BuildKv(call, *request, response); });
  }
  grpc::ServerUnaryReactor* GetKvStats(grpc::CallbackServerContext* context,
                                       const v1::GetKvStatsRequest* request,
                                       v1::KvStats* response) override {
    return StartUnary(state_, context, kGetKvStats, request, response,
                      [=](Call& call) { return services::GetKvStats(call, *request, response); });
  }

 private:
  ServerState* const state_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(ServerState* state) {
  return std::make_unique<AdminService>(state);
}

}  // namespace cairn::services
