#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "cairn/v1/documents.grpc.pb.h"
#include "cairn/v1/documents.pb.h"
#include "services/server/ingest_call.h"
#include "services/server/paging.h"
#include "services/server/server_state.h"
#include "services/server/services.h"
#include "services/server/unary_call.h"
#include "services/wire/messages.h"
#include "services/wire/resource_names.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

using google::protobuf::Empty;

constexpr Method kGetDocument = {"cairn.v1.Documents/GetDocument"};
constexpr Method kListDocuments = {"cairn.v1.Documents/ListDocuments"};
constexpr Method kDeleteDocument = {"cairn.v1.Documents/DeleteDocument"};
constexpr Method kBatchDelete = {"cairn.v1.Documents/BatchDeleteDocuments"};

constexpr int kMostDeleted = 1000;
// Documents that a filter looks at for one page: what takes longer goes on with the next.
constexpr size_t kMostScanned = 20'000;

absl::Status NoDocument(const std::string& name) {
  return WithReason(absl::NotFoundError(absl::StrCat(name, " does not exist")),
                    "DOCUMENT_NOT_FOUND");
}

absl::Status Get(Call& call, const v1::GetDocumentRequest& request, v1::Document* response) {
  absl::StatusOr<DocumentPath> path = ParseDocumentName("name", request.name());
  if (!path.ok()) return path.status();
  if (!v1::DocumentView_IsValid(request.view())) return BadField("view", "is not known");
  absl::StatusOr<std::string> stored = call.Authorize(Permission::kRead, path->collection);
  if (!stored.ok()) return stored.status();
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  absl::StatusOr<StoredDocument> document = (*engine)->Get(*stored, path->document);
  if (absl::IsNotFound(document.status()) && !IsNoCollection(document.status())) {
    return NoDocument(request.name());
  }
  if (!document.ok()) return document.status();
  WriteDocument(*document, DocumentName(path->collection, path->document),
                request.view() != v1::DOCUMENT_VIEW_BASIC, response);
  return absl::OkStatus();
}

absl::Status List(Call& call, const v1::ListDocumentsRequest& request,
                  v1::ListDocumentsResponse* response) {
  absl::StatusOr<std::string> id = ParseCollectionName("parent", request.parent());
  if (!id.ok()) return id.status();
  absl::StatusOr<size_t> size = PageSize(request.page_size());
  if (!size.ok()) return size.status();
  absl::StatusOr<std::string> stored = call.Authorize(Permission::kRead, *id);
  if (!stored.ok()) return stored.status();
  const std::string key = absl::StrCat("documents of ", *stored, " with ", request.filter());
  absl::StatusOr<std::string> after = PageStart(*call.state()->pages, key, request.page_token());
  if (!after.ok()) return after.status();
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  absl::StatusOr<DocumentPage> page =
      (*engine)->ListDocuments(*stored, *after, *size, request.filter(), kMostScanned);
  if (!page.ok()) return page.status();
  for (const DocumentSummary& d : page->documents) {
    WriteDocument(d, DocumentName(*id, d.id), response->add_documents());
  }
  if (!page->complete) {
    response->set_next_page_token(call.state()->pages->Make(key, page->next_after));
  }
  return absl::OkStatus();
}

absl::Status Delete(Call& call, const v1::DeleteDocumentRequest& request, Empty* response) {
  absl::StatusOr<DocumentPath> path = ParseDocumentName("name", request.name());
  if (!path.ok()) return path.status();
  absl::StatusOr<std::string> stored = call.Authorize(Permission::kWrite, path->collection);
  if (!stored.ok()) return stored.status();
  return RunOnce(call, request.request_id(), request, response, [&]() -> absl::Status {
    absl::StatusOr<Engine*> engine = call.engine();
    if (!engine.ok()) return engine.status();
    absl::StatusOr<std::vector<bool>> deleted = (*engine)->Delete(*stored, {path->document});
    if (!deleted.ok()) return deleted.status();
    if (!deleted->front() && !request.allow_missing()) return NoDocument(request.name());
    return absl::OkStatus();
  });
}

// The ids that a batch names, in either way, each once.
absl::StatusOr<std::vector<std::string>> IdsOf(const v1::BatchDeleteDocumentsRequest& request,
                                               const std::string& collection) {
  const int count = request.names_size() + request.ids_size();
  if (count == 0 || count > kMostDeleted) {
    return BadField("names", absl::StrCat("there must be 1 to ", kMostDeleted,
                                          " names and ids; there are ", count));
  }
  std::vector<std::string> ids;
  for (const std::string& name : request.names()) {
    absl::StatusOr<DocumentPath> path = ParseDocumentName("names", name);
    if (!path.ok()) return path.status();
    if (path->collection != collection) {
      return BadField("names", absl::StrCat(name, " is not in ", request.parent()));
    }
    ids.push_back(std::move(path->document));
  }
  ids.insert(ids.end(), request.ids().begin(), request.ids().end());
  absl::flat_hash_set<std::string> seen;
  ids.erase(std::remove_if(ids.begin(), ids.end(),
                           [&](const std::string& id) { return !seen.insert(id).second; }),
            ids.end());
  return ids;
}

absl::Status BatchDelete(Call& call, const v1::BatchDeleteDocumentsRequest& request,
                         v1::BatchDeleteDocumentsResponse* response) {
  absl::StatusOr<std::string> id = ParseCollectionName("parent", request.parent());
  if (!id.ok()) return id.status();
  absl::StatusOr<std::vector<std::string>> ids = IdsOf(request, *id);
  if (!ids.ok()) return ids.status();
  absl::StatusOr<std::string> stored = call.Authorize(Permission::kWrite, *id);
  if (!stored.ok()) return stored.status();
  return RunOnce(call, request.request_id(), request, response, [&]() -> absl::Status {
    absl::StatusOr<Engine*> engine = call.engine();
    if (!engine.ok()) return engine.status();
    absl::StatusOr<std::vector<bool>> deleted = (*engine)->Delete(*stored, *ids);
    if (!deleted.ok()) return deleted.status();
    uint64_t count = 0;
    for (size_t i = 0; i < ids->size(); ++i) {
      if ((*deleted)[i]) {
        ++count;
      } else {
        response->add_missing((*ids)[i]);
      }
    }
    response->set_deleted(count);
    return absl::OkStatus();
  });
}

class DocumentsService final : public v1::Documents::CallbackService {
 public:
  explicit DocumentsService(ServerState* state) : state_(state) {}

  grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* Ingest(
      grpc::CallbackServerContext* context) override {
    return StartIngest(state_, context);
  }
  grpc::ServerUnaryReactor* GetDocument(grpc::CallbackServerContext* context,
                                        const v1::GetDocumentRequest* request,
                                        v1::Document* response) override {
    return StartUnary(state_, context, kGetDocument, request, response,
                      [=](Call& call) { return Get(call, *request, response); });
  }
  grpc::ServerUnaryReactor* ListDocuments(grpc::CallbackServerContext* context,
                                          const v1::ListDocumentsRequest* request,
                                          v1::ListDocumentsResponse* response) override {
    return StartUnary(state_, context, kListDocuments, request, response,
                      [=](Call& call) { return List(call, *request, response); });
  }
  grpc::ServerUnaryReactor* DeleteDocument(grpc::CallbackServerContext* context,
                                           const v1::DeleteDocumentRequest* request,
                                           Empty* response) override {
    return StartUnary(state_, context, kDeleteDocument, request, response,
                      [=](Call& call) { return Delete(call, *request, response); });
  }
  grpc::ServerUnaryReactor* BatchDeleteDocuments(
      grpc::CallbackServerContext* context, const v1::BatchDeleteDocumentsRequest* request,
      v1::BatchDeleteDocumentsResponse* response) override {
    return StartUnary(state_, context, kBatchDelete, request, response,
                      [=](Call& call) { return BatchDelete(call, *request, response); });
  }

 private:
  ServerState* const state_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeDocumentsService(ServerState* state) {
  return std::make_unique<DocumentsService>(state);
}

}  // namespace cairn::services
