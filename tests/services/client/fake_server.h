// A server over a Unix socket that says what a test wants it to say.
#ifndef CAIRN_TESTS_SERVICES_CLIENT_FAKE_SERVER_H_
#define CAIRN_TESTS_SERVICES_CLIENT_FAKE_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "cairn/v1/admin.grpc.pb.h"
#include "cairn/v1/answer.grpc.pb.h"
#include "cairn/v1/collections.grpc.pb.h"
#include "cairn/v1/documents.grpc.pb.h"
#include "cairn/v1/models.grpc.pb.h"
#include "cairn/v1/search.grpc.pb.h"
#include "tests/support/temp_dir.h"

namespace cairn::services {

// Set before the server starts. What is not set is UNIMPLEMENTED.
struct FakeHandlers {
  using Context = grpc::ServerContext;
  template <typename In, typename Out>
  using Unary = std::function<grpc::Status(Context*, const In&, Out*)>;
  template <typename In, typename Out>
  using Bidi = std::function<grpc::Status(Context*, grpc::ServerReaderWriter<Out, In>*)>;

  Unary<v1::SearchRequest, v1::SearchResponse> search;
  Bidi<v1::SearchStreamRequest, v1::SearchStreamResponse> search_stream;
  std::function<grpc::Status(Context*, const v1::AnswerRequest&,
                             grpc::ServerWriter<v1::AnswerResponse>*)>
      answer;
  Bidi<v1::IngestRequest, v1::IngestResponse> ingest;
  Unary<v1::GetCollectionRequest, v1::Collection> get_collection;
  Unary<v1::CreateCollectionRequest, v1::Collection> create_collection;
  Unary<v1::GetModelsRequest, v1::GetModelsResponse> get_models;
  Unary<v1::GetStatsRequest, v1::StoreStats> get_stats;
};

class FakeServer {
 public:
  explicit FakeServer(FakeHandlers handlers)
      : handlers_(std::move(handlers)),
        search_(this),
        answer_(this),
        documents_(this),
        collections_(this),
        models_(this),
        admin_(this) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
    builder.SetMaxReceiveMessageSize(-1);
    builder.RegisterService(&search_);
    builder.RegisterService(&answer_);
    builder.RegisterService(&documents_);
    builder.RegisterService(&collections_);
    builder.RegisterService(&models_);
    builder.RegisterService(&admin_);
    server_ = builder.BuildAndStart();
  }
  ~FakeServer() { Stop(); }

  std::string address() const { return "unix:" + dir_.file("socket"); }
  // Breaks off the calls under way.
  void Stop() { server_->Shutdown(std::chrono::system_clock::now()); }

 private:
  template <typename Handler, typename... Arguments>
  static grpc::Status Handle(const Handler& handler, Arguments... arguments) {
    if (!handler) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not here");
    return handler(arguments...);
  }

  using Context = grpc::ServerContext;

  struct FakeSearch final : v1::Search::Service {
    explicit FakeSearch(FakeServer* s) : server(s) {}
    grpc::Status Search(Context* c, const v1::SearchRequest* in, v1::SearchResponse* out) override {
      return Handle(server->handlers_.search, c, *in, out);
    }
    grpc::Status SearchStream(
        Context* c,
        grpc::ServerReaderWriter<v1::SearchStreamResponse, v1::SearchStreamRequest>* s) override {
      return Handle(server->handlers_.search_stream, c, s);
    }
    FakeServer* const server;
  };
  struct FakeAnswer final : v1::Answer::Service {
    explicit FakeAnswer(FakeServer* s) : server(s) {}
    grpc::Status Answer(Context* c, const v1::AnswerRequest* in,
                        grpc::ServerWriter<v1::AnswerResponse>* out) override {
      return Handle(server->handlers_.answer, c, *in, out);
    }
    FakeServer* const server;
  };
  struct FakeDocuments final : v1::Documents::Service {
    explicit FakeDocuments(FakeServer* s) : server(s) {}
    grpc::Status Ingest(
        Context* c,
        grpc::ServerReaderWriter<v1::IngestResponse, v1::IngestRequest>* stream) override {
      return Handle(server->handlers_.ingest, c, stream);
    }
    FakeServer* const server;
  };
  struct FakeCollections final : v1::Collections::Service {
    explicit FakeCollections(FakeServer* s) : server(s) {}
    grpc::Status GetCollection(Context* c, const v1::GetCollectionRequest* in,
                               v1::Collection* out) override {
      return Handle(server->handlers_.get_collection, c, *in, out);
    }
    grpc::Status CreateCollection(Context* c, const v1::CreateCollectionRequest* in,
                                  v1::Collection* out) override {
      return Handle(server->handlers_.create_collection, c, *in, out);
    }
    FakeServer* const server;
  };
  struct FakeModels final : v1::Models::Service {
    explicit FakeModels(FakeServer* s) : server(s) {}
    grpc::Status GetModels(Context* c, const v1::GetModelsRequest* in,
                           v1::GetModelsResponse* out) override {
      return Handle(server->handlers_.get_models, c, *in, out);
    }
    FakeServer* const server;
  };
  struct FakeAdmin final : v1::Admin::Service {
    explicit FakeAdmin(FakeServer* s) : server(s) {}
    grpc::Status GetStats(Context* c, const v1::GetStatsRequest* in, v1::StoreStats* out) override {
      return Handle(server->handlers_.get_stats, c, *in, out);
    }
    FakeServer* const server;
  };

  const ::cairn::testing::TempDir dir_;
  const FakeHandlers handlers_;
  FakeSearch search_;
  FakeAnswer answer_;
  FakeDocuments documents_;
  FakeCollections collections_;
  FakeModels models_;
  FakeAdmin admin_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_CLIENT_FAKE_SERVER_H_
