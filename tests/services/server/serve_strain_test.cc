// cairn serve, killed under load and flooded with connections.
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <random>
#include <set>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "tests/services/server/serve_fixture.h"

namespace cairn::services {
namespace {

class ServeStrain : public ServeTest {
 protected:
  // One paragraph and a thousand words long in turns: several chunks, or one.
  static std::string Text(const std::string& id) {
    std::mt19937 random(static_cast<uint32_t>(std::hash<std::string>()(id)));
    std::string text = "About " + id + ".";
    const size_t words = random() % 10 == 0 ? 1000 : 10 + random() % 40;
    for (size_t i = 0; i < words; ++i) {
      text += (i % 50 == 49 ? ".\n\n" : " ") + std::string("word") + std::to_string(random() % 999);
    }
    return text + ".";
  }

  // Writes documents until the connection breaks, and notes what is acknowledged.
  void IngestUntilItBreaks(const std::string& prefix) {
    const TestClient client = Connect();
    const std::unique_ptr<grpc::ClientContext> context = client.Context(300);
    const auto stream = client.documents->Ingest(context.get());
    std::thread writer([&] {
      v1::IngestRequest request;
      request.mutable_config()->set_parent("collections/docs");
      for (int i = 0; stream->Write(request); ++i) {
        const std::string id = prefix + std::to_string(i);
        request.mutable_document()->set_id(id);
        request.mutable_document()->set_text(Text(id));
      }
    });
    v1::IngestResponse response;
    while (stream->Read(&response)) {
      EXPECT_NE(response.ack().outcome(), v1::IngestAck::OUTCOME_REFUSED);
      absl::MutexLock lock(&mutex_);
      acknowledged_.insert(response.ack().document_id());
    }
    writer.join();
    EXPECT_FALSE(stream->Finish().ok());
  }
  void SearchUntilItBreaks() {
    const TestClient client = Connect();
    v1::SearchResponse response;
    while (!killed_) client.Search("docs", "word7 word77", &response);
  }

  // Every document that was acknowledged is there, and every one that is there is whole.
  void ExpectWhole() {
    const TestClient client = Connect();
    absl::MutexLock lock(&mutex_);
    std::set<std::string> listed;
    v1::ListDocumentsRequest list;
    list.set_parent("collections/docs");
    list.set_page_size(1000);
    do {
      v1::ListDocumentsResponse page;
      const grpc::Status s = client.documents->ListDocuments(client.Context().get(), list, &page);
      ASSERT_TRUE(s.ok()) << s.error_message();
      for (const v1::Document& d : page.documents()) listed.insert(d.id());
      list.set_page_token(page.next_page_token());
    } while (!list.page_token().empty());
    for (const std::string& id : acknowledged_) EXPECT_EQ(listed.count(id), 1u) << id;
    for (const std::string& id : listed) {
      v1::GetDocumentRequest get;
      get.set_name("collections/docs/documents/" + id);
      v1::Document document;
      const grpc::Status s = client.documents->GetDocument(client.Context().get(), get, &document);
      ASSERT_TRUE(s.ok()) << id << ": " << s.error_message();
      ASSERT_EQ(document.text(), Text(id));
      ASSERT_GT(document.chunks_size(), 0);
    }
  }
  size_t Acknowledged() {
    absl::MutexLock lock(&mutex_);
    return acknowledged_.size();
  }

  absl::Mutex mutex_;
  std::set<std::string> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> killed_{false};
};

TEST_F(ServeStrain, WhatWasAcknowledgedOutlivesAKillUnderLoad) {
  std::mt19937 random(20240301);
  constexpr int kRounds = 6;
  for (int round = 1; round <= kRounds; ++round) {
    // So small that segments are sealed and merged all the time.
    Process server(Serve({"--seal-chunks", "100"}));
    ASSERT_TRUE(AwaitServing(&server, 2 * round - 1)) << Log();
    killed_ = false;
    const size_t before = Acknowledged();
    std::vector<std::thread> clients;
    for (int c = 0; c < 3; ++c) {
      clients.emplace_back([this, round, c] {
        IngestUntilItBreaks("r" + std::to_string(round) + "c" + std::to_string(c) + "-");
      });
    }
    for (int c = 0; c < 2; ++c) clients.emplace_back([this] { SearchUntilItBreaks(); });
    const size_t enough = before + 50 + random() % 500;
    while (Acknowledged() < enough && server.RunFor(std::chrono::milliseconds(1))) {
    }
    server.Signal(SIGKILL);
    killed_ = true;
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(server.Wait().signal, SIGKILL) << "it had ended before";
    Process again(Serve());
    ASSERT_TRUE(AwaitServing(&again, 2 * round)) << Log();
    ASSERT_NO_FATAL_FAILURE(ExpectWhole());
    again.Signal(SIGTERM);
    EXPECT_EQ(again.Wait().exit_code, kOk);
    ExpectSound();
    if (HasFailure()) return;
  }
}

class Flood {
 public:
  // Connects that often, or as often as the system lets it.
  Flood(const std::string& path, int count) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    for (int i = 0; i < count; ++i) {
      const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      if (fd < 0) break;
      fds_.push_back(fd);
      // Those that find the server's queue full have made it full.
      if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        ++connected_;
        ::send(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, MSG_NOSIGNAL);
      } else {
        ::usleep(1000);
      }
    }
  }
  ~Flood() {
    for (const int fd : fds_) ::close(fd);
  }
  int connected() const { return connected_; }

 private:
  std::vector<int> fds_;
  int connected_ = 0;
};

class ServeFlood : public ServeStrain, public ::testing::WithParamInterface<rlim_t> {};

TEST_P(ServeFlood, MoreConnectionsThanFilesMayBeOpenEndNoServer) {
  ProcessOptions options = Serve();
  options.limits = {{RLIMIT_NOFILE, GetParam()}};
  Process server(std::move(options));
  ASSERT_TRUE(AwaitServing(&server)) << Log();
  const TestClient client = Connect();
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  ASSERT_EQ(client.Ingest("docs", {"a cat"}).size(), 1u);
  for (int round = 0; round < 3; ++round) {
    const Flood flood(socket_, 2000);
    EXPECT_GT(flood.connected(), 100);
    ASSERT_TRUE(server.RunFor(std::chrono::milliseconds(300))) << server.Wait().err;
    // Who was there before is served all the while.
    v1::SearchResponse found;
    const grpc::Status s = client.Search("docs", "cat", &found);
    EXPECT_TRUE(s.ok()) << s.error_message();
  }
  const grpc::Status s = Ask();
  EXPECT_TRUE(s.ok()) << s.error_message() << ": nobody new is served afterwards";
  EXPECT_EQ(client.Ingest("docs", {"a dog", "a bird"}).size(), 2u) << "the store goes on";
  server.Signal(SIGTERM);
  const ProcessResult result = server.Wait();
  EXPECT_EQ(result.exit_code, kOk) << result.signal << result.err;
  ExpectSound();
}

INSTANTIATE_TEST_SUITE_P(Files, ServeFlood, ::testing::Values(64, 256, 1024));

}  // namespace
}  // namespace cairn::services
