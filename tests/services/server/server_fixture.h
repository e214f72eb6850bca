// A server in this process, on a Unix socket, with a store of its own, and clients of it.
#ifndef CAIRN_TESTS_SERVICES_SERVER_SERVER_FIXTURE_H_
#define CAIRN_TESTS_SERVICES_SERVER_SERVER_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cairn/v1/admin.grpc.pb.h"
#include "cairn/v1/answer.grpc.pb.h"
#include "cairn/v1/collections.grpc.pb.h"
#include "cairn/v1/documents.grpc.pb.h"
#include "cairn/v1/models.grpc.pb.h"
#include "cairn/v1/search.grpc.pb.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "services/server/server.h"
#include "tests/support/temp_dir.h"

namespace cairn::services {

// What one client holds: a channel, and a stub of each service.
class TestClient {
 public:
  explicit TestClient(std::shared_ptr<grpc::Channel> channel, std::string token = "")
      : channel(std::move(channel)),
        collections(v1::Collections::NewStub(this->channel)),
        documents(v1::Documents::NewStub(this->channel)),
        search(v1::Search::NewStub(this->channel)),
        answer(v1::Answer::NewStub(this->channel)),
        models(v1::Models::NewStub(this->channel)),
        admin(v1::Admin::NewStub(this->channel)),
        operations(google::longrunning::Operations::NewStub(this->channel)),
        token_(std::move(token)) {}

  // A context with the client's token and a deadline that no test reaches.
  std::unique_ptr<grpc::ClientContext> Context(int seconds = 60) const {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
    if (!token_.empty()) context->AddMetadata("authorization", "Bearer " + token_);
    return context;
  }

  // Ingests texts as documents "d0", "d1" and so on; the acknowledgements.
  std::vector<v1::IngestAck> Ingest(const std::string& collection,
                                    const std::vector<std::string>& texts,
                                    grpc::Status* status = nullptr) const {
    std::vector<v1::InputDocument> documents;
    for (size_t i = 0; i < texts.size(); ++i) {
      v1::InputDocument& d = documents.emplace_back();
      d.set_id("d" + std::to_string(i));
      d.set_text(texts[i]);
    }
    return IngestDocuments(collection, documents, status);
  }

  std::vector<v1::IngestAck> IngestDocuments(const std::string& collection,
                                             const std::vector<v1::InputDocument>& input,
                                             grpc::Status* status = nullptr,
                                             v1::IngestSummary* summary = nullptr) const {
    const std::unique_ptr<grpc::ClientContext> context = Context();
    const auto stream = documents->Ingest(context.get());
    v1::IngestRequest request;
    request.mutable_config()->set_parent("collections/" + collection);
    stream->Write(request);
    // What is sent here fits into the windows of flow control.
    for (const v1::InputDocument& d : input) {
      *request.mutable_document() = d;
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
    std::vector<v1::IngestAck> acks;
    v1::IngestResponse response;
    while (stream->Read(&response)) {
      if (response.has_ack()) acks.push_back(response.ack());
      if (response.has_summary() && summary != nullptr) *summary = response.summary();
    }
    const grpc::Status ended = stream->Finish();
    if (status != nullptr) {
      *status = ended;
    } else {
      EXPECT_TRUE(ended.ok()) << ended.error_message();
    }
    return acks;
  }

  grpc::Status Search(const std::string& collection, const std::string& query,
                      v1::SearchResponse* response, int k = 10) const {
    v1::SearchRequest request;
    request.set_parent("collections/" + collection);
    request.set_query(query);
    request.set_k(k);
    return search->Search(Context().get(), request, response);
  }

  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<v1::Collections::Stub> collections;
  const std::unique_ptr<v1::Documents::Stub> documents;
  const std::unique_ptr<v1::Search::Stub> search;
  const std::unique_ptr<v1::Answer::Stub> answer;
  const std::unique_ptr<v1::Models::Stub> models;
  const std::unique_ptr<v1::Admin::Stub> admin;
  const std::unique_ptr<google::longrunning::Operations::Stub> operations;

 private:
  const std::string token_;
};

// The detail of type T of a status; a default one where there is none.
template <typename T>
T DetailOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  T detail;
  for (const google::protobuf::Any& any : details.details()) {
    if (any.UnpackTo(&detail)) break;
  }
  return detail;
}

inline std::string ReasonOf(const grpc::Status& status) {
  return DetailOf<google::rpc::ErrorInfo>(status).reason();
}

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    options_.store = dir_.file("store");
    options_.listen = {"unix:" + dir_.file("socket")};
    options_.threads = 4;
    options_.drain = absl::Seconds(5);
  }

  // With options_, which a test may have changed.
  void Start() {
    auto sink = std::make_unique<MemoryLogSink>();
    log_ = sink.get();
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(
        options_, std::make_unique<RequestLog>(RequestLog::Options(), std::move(sink)));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void StartAndOpen() {
    ASSERT_NO_FATAL_FAILURE(Start());
    const absl::Status opened = server_->OpenStore();
    ASSERT_TRUE(opened.ok()) << opened;
  }

  // A connection of its own.
  TestClient Connect(std::string token = "") const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(-1);
    return TestClient(grpc::CreateCustomChannel(server_->addresses().front(),
                                                grpc::InsecureChannelCredentials(), arguments),
                      std::move(token));
  }

  testing::TempDir dir_;
  ServerOptions options_;
  MemoryLogSink* log_ = nullptr;  // The server's.
  std::unique_ptr<Server> server_;
};

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_SERVER_SERVER_FIXTURE_H_
