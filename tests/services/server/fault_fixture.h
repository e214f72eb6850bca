// A server under strain: work that holds its threads, gauges that tell what is at work.
#ifndef CAIRN_TESTS_SERVICES_SERVER_FAULT_FIXTURE_H_
#define CAIRN_TESTS_SERVICES_SERVER_FAULT_FIXTURE_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "tests/services/server/server_fixture.h"
#include "tests/support/encoder_directory.h"

namespace cairn::services {

// A cross-encoder that takes long: some twenty million operations for each token.
inline const std::string& SlowRerankerDirectory() {
  static const testing::TempDir* const dir = [] {
    auto* made = new testing::TempDir;
    testing::EncoderReference model = testing::EncoderReferenceNamed("bert_classifier");
    for (auto& [name, shape] : model.tensors) {
      for (uint64_t& size : shape) {
        if (size == 64) size = 512;
        if (size == 96) size = 2048;
        if (size == 100) size = 512;
      }
    }
    model.config["hidden_size"] = 512;
    model.config["intermediate_size"] = 2048;
    model.config["max_position_embeddings"] = 512;
    testing::WriteEncoder(model, *made);
    std::atexit([] { std::filesystem::remove_all(SlowRerankerDirectory()); });
    return made;
  }();
  return dir->path();
}

// A call that another thread waits for, and that can be cancelled.
class PendingCall {
 public:
  PendingCall(std::unique_ptr<grpc::ClientContext> context,
              std::function<grpc::Status(grpc::ClientContext*)> run)
      : context_(std::move(context)),
        status_(std::async(std::launch::async,
                           [run = std::move(run), c = context_.get()] { return run(c); })) {}
  ~PendingCall() {
    if (status_.valid()) Cancel();
  }
  PendingCall(const PendingCall&) = delete;
  PendingCall& operator=(const PendingCall&) = delete;

  grpc::Status Await() { return status_.get(); }
  grpc::Status Cancel() {
    context_->TryCancel();
    return Await();
  }

 private:
  std::unique_ptr<grpc::ClientContext> context_;
  std::future<grpc::Status> status_;
};

class FaultTest : public ServerTest {
 protected:
  FaultTest() { options_.metrics_listen = "127.0.0.1:0"; }

  // Of the server's metrics; -1 where it is not there.
  double Gauge(const std::string& name) const {
    const std::string& address = server_->metrics_address();
    const int port = std::atoi(address.substr(address.rfind(':') + 1).c_str());
    const std::string text = HttpGet(port, "/metrics");
    const size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::atof(text.c_str() + at + name.size() + 2);
  }
  // Waits until the gauge has that value; false where it never comes.
  [[nodiscard]] bool AwaitGauge(const std::string& name, double value) const {
    const absl::Time end = absl::Now() + absl::Seconds(60);
    while (Gauge(name) != value) {
      if (absl::Now() > end) return false;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }
  // No call is at work, and nothing that one began.
  void ExpectIdle() const {
    EXPECT_TRUE(AwaitGauge("cairn_calls_active", 0));
    EXPECT_TRUE(AwaitGauge("cairn_requests_running", 0));
    EXPECT_TRUE(AwaitGauge("cairn_requests_waiting", 0));
    EXPECT_TRUE(AwaitGauge("cairn_ingestions_active", 0));
  }

  // With one thread for requests, and something to keep it at work.
  void UseOneThread() {
    options_.threads = 1;
    options_.engine.reranker = SlowRerankerDirectory();
  }
  // Holds a thread of the pool until it is cancelled: it would take minutes.
  std::unique_ptr<PendingCall> Occupy(const TestClient& client) const {
    return std::make_unique<PendingCall>(client.Context(600), [&](grpc::ClientContext* context) {
      v1::RerankRequest request;
      request.set_query("ab ac ad");
      std::string passage;
      for (int i = 0; i < 500; ++i) passage += "ab ";
      for (int i = 0; i < 1000; ++i) request.add_passages(passage);
      v1::RerankResponse response;
      return client.models->Rerank(context, request, &response);
    });
  }
  std::unique_ptr<PendingCall> SearchLater(const TestClient& client, int seconds = 60) const {
    return std::make_unique<PendingCall>(client.Context(seconds), [&](grpc::ClientContext* c) {
      v1::SearchRequest request;
      request.set_parent("collections/docs");
      request.set_query("cat");
      request.set_rerank(0);
      v1::SearchResponse response;
      return client.search->Search(c, request, &response);
    });
  }
  grpc::Status SearchNow(const TestClient& client) const { return SearchLater(client)->Await(); }

 private:
  static std::string HttpGet(int port, const std::string& path) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string answer;
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      const std::string request =
          "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
      if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
        char buffer[4096];
        ssize_t got = 0;
        while ((got = ::recv(fd, buffer, sizeof buffer, 0)) > 0) {
          answer.append(buffer, static_cast<size_t>(got));
        }
      }
    }
    ::close(fd);
    return answer;
  }
};

// An Ingest stream that its test moves step by step.
class IngestClient {
 public:
  explicit IngestClient(const TestClient& client, int seconds = 60)
      : context(client.Context(seconds)), stream(client.documents->Ingest(context.get())) {}
  ~IngestClient() {
    if (!finished_) Cancel();
  }
  IngestClient(const IngestClient&) = delete;
  IngestClient& operator=(const IngestClient&) = delete;

  bool Configure(const std::string& collection = "docs") {
    v1::IngestRequest request;
    request.mutable_config()->set_parent("collections/" + collection);
    return stream->Write(request);
  }
  bool Send(const std::string& id, const std::string& text) {
    v1::IngestRequest request;
    request.mutable_document()->set_id(id);
    request.mutable_document()->set_text(text);
    return stream->Write(request);
  }
  // The next acknowledgement's document; empty where there is none.
  std::string ReadAck() {
    v1::IngestResponse response;
    return stream->Read(&response) ? response.ack().document_id() : "";
  }
  grpc::Status Finish() {
    finished_ = true;
    v1::IngestResponse response;
    while (stream->Read(&response)) {
      if (response.has_ack()) acknowledged.push_back(response.ack().document_id());
    }
    return stream->Finish();
  }
  grpc::Status Close() {
    stream->WritesDone();
    return Finish();
  }
  grpc::Status Cancel() {
    context->TryCancel();
    return Finish();
  }

  const std::unique_ptr<grpc::ClientContext> context;
  const std::unique_ptr<grpc::ClientReaderWriter<v1::IngestRequest, v1::IngestResponse>> stream;
  std::vector<std::string> acknowledged;  // By what Finish read.

 private:
  bool finished_ = false;
};

inline bool HasRetryInfo(const grpc::Status& status) {
  return DetailOf<google::rpc::RetryInfo>(status).has_retry_delay();
}

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_SERVER_FAULT_FIXTURE_H_
