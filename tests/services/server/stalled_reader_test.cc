// A client that sends and never reads is stopped; the others are not.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "tests/services/server/fault_fixture.h"

namespace cairn::services {
namespace {

class StalledReaderTest : public FaultTest {
 protected:
  StalledReaderTest() { options_.limits.stream_idle = absl::Seconds(3); }

  // Of what its client sent, the number of messages that left it, until the server ended the
  // stream. Others are served all the while.
  template <typename Write>
  int SentBy(const Write& write, int most) const {
    std::atomic<int> sent{0};
    std::atomic<bool> over{false};
    std::thread writer([&] {
      while (sent < most && write(sent)) ++sent;
      over = true;
    });
    const TestClient other = Connect();
    int served = 0;
    do {
      EXPECT_TRUE(SearchNow(other).ok());
      ++served;
      absl::SleepFor(absl::Milliseconds(20));
    } while (!over);
    writer.join();
    EXPECT_GT(served, 1);
    return sent;
  }
};

TEST_F(StalledReaderTest, AnIngestionTakesABoundedNumberOfDocuments) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"a cat"});
  const std::unique_ptr<grpc::ClientContext> context = client.Context(600);
  const auto stream = client.documents->Ingest(context.get());
  v1::IngestRequest request;
  request.mutable_config()->set_parent("collections/docs");
  ASSERT_TRUE(stream->Write(request));
  // Refused, and so cheap to take; each is told why.
  request.mutable_document()->set_text(std::string(256, 't'));
  // The windows of a connection hold up to 16 MiB each way.
  constexpr int kMost = 1'000'000;
  EXPECT_LT(SentBy([&](int) { return stream->Write(request); }, kMost), 200'000);
  ExpectIdle();
  v1::IngestResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(StalledReaderTest, AStreamOfSearchesTakesABoundedNumberOfQueries) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"a cat"});
  const std::unique_ptr<grpc::ClientContext> context = client.Context(600);
  const auto stream = client.search->SearchStream(context.get());
  v1::SearchStreamRequest request;
  request.set_topic_id(std::string(8192, 't'));  // Goes there and back.
  request.mutable_search()->set_parent("collections/docs");
  request.mutable_search()->set_query("cat");
  constexpr int kMost = 100'000;
  EXPECT_LT(SentBy([&](int) { return stream->Write(request); }, kMost), 10'000);
  ExpectIdle();
  v1::SearchStreamResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(StalledReaderTest, AnAnswerIsHeldNoLongerThanACallMayTake) {
  options_.limits.longest_call = absl::Seconds(2);
  StartAndOpen();
  const TestClient client = Connect();
  std::vector<v1::InputDocument> documents(400);
  for (size_t i = 0; i < documents.size(); ++i) {
    documents[i].set_id("d" + std::to_string(i));
    documents[i].set_text("a cat and number " + std::to_string(i));
    // Each passage has its document's: together more than a connection takes unread.
    (*documents[i].mutable_metadata())["note"].set_string_value(std::string(60'000, 'n'));
  }
  ASSERT_EQ(client.IngestDocuments("docs", documents).size(), documents.size());
  ExpectIdle();
  v1::AnswerRequest request;
  request.set_parent("collections/docs");
  request.set_question("cat");
  request.set_passages(400);
  const std::unique_ptr<grpc::ClientContext> context = client.Context(600);
  const auto stream = client.answer->Answer(context.get(), request);
  ASSERT_TRUE(AwaitGauge("cairn_calls_active", 1));
  EXPECT_TRUE(SearchNow(Connect()).ok());
  ExpectIdle();
  v1::AnswerResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_FALSE(stream->Finish().ok());
}

}  // namespace
}  // namespace cairn::services
