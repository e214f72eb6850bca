// Calls that tests of the server make often, and what they ask of an error.
#ifndef CAIRN_TESTS_SERVICES_SERVER_TEST_CALLS_H_
#define CAIRN_TESTS_SERVICES_SERVER_TEST_CALLS_H_

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/services/server/server_fixture.h"

namespace cairn::services {

using google::longrunning::Operation;
using grpc::StatusCode;

// The first field that an error is about; empty where it names none.
inline std::string FieldOf(const grpc::Status& status) {
  const auto bad = DetailOf<google::rpc::BadRequest>(status);
  return bad.field_violations_size() > 0 ? bad.field_violations(0).field() : "";
}

inline ::testing::AssertionResult IsError(const grpc::Status& status, StatusCode code,
                                          const std::string& reason) {
  if (status.error_code() == code && ReasonOf(status) == reason) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure()
         << status.error_code() << " " << ReasonOf(status) << ": " << status.error_message();
}

inline ::testing::AssertionResult IsBadField(const grpc::Status& status, const std::string& field) {
  if (status.error_code() == StatusCode::INVALID_ARGUMENT && FieldOf(status) == field) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << status.error_code() << " field \"" << FieldOf(status)
                                       << "\": " << status.error_message();
}

inline ::testing::AssertionResult IsOk(const grpc::Status& status) {
  if (status.ok()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << status.error_code() << ": " << status.error_message();
}

inline grpc::Status CreateCollection(const TestClient& client, const std::string& id,
                                     v1::Collection* made = nullptr,
                                     const v1::Collection& wanted = {},
                                     const std::string& request_id = "") {
  v1::CreateCollectionRequest request;
  request.set_collection_id(id);
  *request.mutable_collection() = wanted;
  request.set_request_id(request_id);
  v1::Collection ignored;
  return client.collections->CreateCollection(client.Context().get(), request,
                                              made != nullptr ? made : &ignored);
}

inline grpc::Status GetCollection(const TestClient& client, const std::string& id,
                                  v1::Collection* found = nullptr) {
  v1::GetCollectionRequest request;
  request.set_name("collections/" + id);
  v1::Collection ignored;
  return client.collections->GetCollection(client.Context().get(), request,
                                           found != nullptr ? found : &ignored);
}

inline grpc::Status ListCollections(const TestClient& client, int page_size,
                                    const std::string& page_token,
                                    v1::ListCollectionsResponse* page) {
  v1::ListCollectionsRequest request;
  request.set_page_size(page_size);
  request.set_page_token(page_token);
  return client.collections->ListCollections(client.Context().get(), request, page);
}

// The names of all collections, page by page.
inline std::vector<std::string> CollectionNames(const TestClient& client, int page_size = 0) {
  std::vector<std::string> names;
  v1::ListCollectionsResponse page;
  do {
    const std::string token = page.next_page_token();
    if (const grpc::Status s = ListCollections(client, page_size, token, &page); !s.ok()) {
      ADD_FAILURE() << s.error_message();
      break;
    }
    for (const v1::Collection& c : page.collections()) names.push_back(c.name());
  } while (!page.next_page_token().empty());
  return names;
}

inline grpc::Status DeleteCollection(const TestClient& client, const std::string& id, bool force,
                                     Operation* started, const std::string& request_id = "") {
  v1::DeleteCollectionRequest request;
  request.set_name("collections/" + id);
  request.set_force(force);
  request.set_request_id(request_id);
  return client.collections->DeleteCollection(client.Context().get(), request, started);
}

inline grpc::Status WaitOperation(const TestClient& client, const std::string& name,
                                  Operation* operation) {
  google::longrunning::WaitOperationRequest request;
  request.set_name(name);
  return client.operations->WaitOperation(client.Context().get(), request, operation);
}

// The operation when it is done.
inline Operation Await(const TestClient& client, const Operation& started) {
  Operation done;
  EXPECT_TRUE(IsOk(WaitOperation(client, started.name(), &done)));
  EXPECT_TRUE(done.done());
  return done;
}

// What an operation that has succeeded gave.
template <typename T>
T ResultOf(const Operation& operation) {
  T result;
  EXPECT_TRUE(operation.done());
  EXPECT_FALSE(operation.has_error()) << operation.error().message();
  EXPECT_TRUE(operation.response().UnpackTo(&result)) << operation.response().type_url();
  return result;
}

inline v1::OperationMetadata MetadataOf(const Operation& operation) {
  v1::OperationMetadata metadata;
  EXPECT_TRUE(operation.metadata().UnpackTo(&metadata));
  return metadata;
}

inline v1::InputDocument TextDocument(const std::string& id, const std::string& text) {
  v1::InputDocument document;
  document.set_id(id);
  document.set_text(text);
  return document;
}

inline grpc::Status GetDocument(const TestClient& client, const std::string& name,
                                v1::Document* found = nullptr,
                                v1::DocumentView view = v1::DOCUMENT_VIEW_UNSPECIFIED) {
  v1::GetDocumentRequest request;
  request.set_name(name);
  request.set_view(view);
  v1::Document ignored;
  return client.documents->GetDocument(client.Context().get(), request,
                                       found != nullptr ? found : &ignored);
}

inline grpc::Status ListDocuments(const TestClient& client, const v1::ListDocumentsRequest& request,
                                  v1::ListDocumentsResponse* page) {
  return client.documents->ListDocuments(client.Context().get(), request, page);
}

// The ids of a collection's documents.
inline std::vector<std::string> DocumentIds(const TestClient& client,
                                            const std::string& collection) {
  v1::ListDocumentsRequest request;
  request.set_parent("collections/" + collection);
  v1::ListDocumentsResponse page;
  EXPECT_TRUE(IsOk(ListDocuments(client, request, &page)));
  std::vector<std::string> ids;
  for (const v1::Document& d : page.documents()) ids.push_back(d.id());
  return ids;
}

inline v1::AnswerRequest Question(const std::string& collection, const std::string& question) {
  v1::AnswerRequest request;
  request.set_parent("collections/" + collection);
  request.set_question(question);
  return request;
}

// All events of an answer.
inline std::vector<v1::AnswerResponse> Ask(const TestClient& client,
                                           const v1::AnswerRequest& request, grpc::Status* status) {
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  const auto stream = client.answer->Answer(context.get(), request);
  std::vector<v1::AnswerResponse> events;
  v1::AnswerResponse event;
  while (stream->Read(&event)) events.push_back(event);
  *status = stream->Finish();
  return events;
}

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_SERVER_TEST_CALLS_H_
