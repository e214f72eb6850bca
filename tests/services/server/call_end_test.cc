// However a call ends, and whenever, it gives back what it held.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/services/server/fault_fixture.h"

namespace cairn::services {
namespace {

using grpc::StatusCode;

class CallEndTest : public FaultTest {
 protected:
  // Whether the document can be read.
  static bool Has(const TestClient& client, const std::string& id) {
    v1::GetDocumentRequest get;
    get.set_name("collections/docs/documents/" + id);
    v1::Document document;
    return client.documents->GetDocument(client.Context().get(), get, &document).ok();
  }
};

TEST_F(CallEndTest, ACallThatIsCancelledWhileItWaitsEndsAtOnce) {
  UseOneThread();
  options_.limits.active_calls = 2;
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"a cat"});
  const std::unique_ptr<PendingCall> running = Occupy(client);
  ASSERT_TRUE(AwaitGauge("cairn_requests_running", 1));
  const std::unique_ptr<PendingCall> waiting = SearchLater(client);
  ASSERT_TRUE(AwaitGauge("cairn_calls_active", 2));
  EXPECT_EQ(waiting->Cancel().error_code(), StatusCode::CANCELLED);
  ASSERT_TRUE(AwaitGauge("cairn_calls_active", 1)) << "while the thread is still taken";
  EXPECT_EQ(Gauge("cairn_requests_running"), 1);
  // There is room for another, which waits in its place.
  const std::unique_ptr<PendingCall> another = SearchLater(client);
  ASSERT_TRUE(AwaitGauge("cairn_calls_active", 2));
  EXPECT_EQ(running->Cancel().error_code(), StatusCode::CANCELLED);
  EXPECT_TRUE(another->Await().ok());
  ExpectIdle();
}

TEST_F(CallEndTest, ACallWhoseDeadlinePassesWhileItWaitsEndsThen) {
  UseOneThread();
  StartAndOpen();
  const TestClient client = Connect();
  const std::unique_ptr<PendingCall> running = Occupy(client);
  ASSERT_TRUE(AwaitGauge("cairn_requests_running", 1));
  EXPECT_EQ(SearchLater(client, 1)->Await().error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(AwaitGauge("cairn_calls_active", 1)) << "while the thread is still taken";
  running->Cancel();
  ExpectIdle();
}

TEST_F(CallEndTest, ARunningCallThatIsCancelledGivesItsThreadBack) {
  UseOneThread();
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"a cat"});
  const std::unique_ptr<PendingCall> running = Occupy(client);
  ASSERT_TRUE(AwaitGauge("cairn_requests_running", 1));
  EXPECT_EQ(running->Cancel().error_code(), StatusCode::CANCELLED);
  ExpectIdle();
  EXPECT_TRUE(SearchNow(client).ok());
}

TEST_F(CallEndTest, ARunningSearchAndAnAnswerEndWithTheirClients) {
  UseOneThread();
  StartAndOpen();
  const TestClient client = Connect();
  std::string text;
  for (int i = 0; i < 400; ++i) text += "ab ";
  client.Ingest("docs", std::vector<std::string>(200, text));
  PendingCall search(client.Context(), [&](grpc::ClientContext* context) {
    v1::SearchRequest request;
    request.set_parent("collections/docs");
    request.set_query("ab");
    request.set_k(200);
    request.set_rerank(200);
    v1::SearchResponse response;
    return client.search->Search(context, request, &response);
  });
  ASSERT_TRUE(AwaitGauge("cairn_requests_running", 1));
  EXPECT_EQ(search.Cancel().error_code(), StatusCode::CANCELLED);
  ExpectIdle();
  PendingCall answer(client.Context(), [&](grpc::ClientContext* context) {
    v1::AnswerRequest request;
    request.set_parent("collections/docs");
    request.set_question("ab");
    v1::AnswerResponse response;
    const auto stream = client.answer->Answer(context, request);
    while (stream->Read(&response)) {
    }
    return stream->Finish();
  });
  ASSERT_TRUE(AwaitGauge("cairn_requests_running", 1));
  EXPECT_EQ(answer.Cancel().error_code(), StatusCode::CANCELLED);
  ExpectIdle();
  EXPECT_TRUE(SearchNow(client).ok());
}

TEST_F(CallEndTest, NoCallTakesLongerThanTheServerAllows) {
  UseOneThread();
  options_.limits.longest_call = absl::Seconds(1);
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"a cat"});
  const std::unique_ptr<PendingCall> running = Occupy(client);
  ASSERT_TRUE(AwaitGauge("cairn_requests_running", 1));
  // Its time is up a little later than the other's: it may have a thread by then, and not be done.
  const std::unique_ptr<PendingCall> waiting = Occupy(client);
  for (PendingCall* call : {running.get(), waiting.get()}) {
    const grpc::Status s = call->Await();
    EXPECT_EQ(s.error_code(), StatusCode::DEADLINE_EXCEEDED) << s.error_message();
    EXPECT_EQ(s.error_message(), "the call took too long");
  }
  ExpectIdle();
}

TEST_F(CallEndTest, AnIngestionThatIsCancelledBeforeItsConfigurationLeavesNothing) {
  options_.limits.active_calls = 1;
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient ingest(client);
  ASSERT_TRUE(AwaitGauge("cairn_calls_active", 1));
  EXPECT_EQ(ingest.Cancel().error_code(), StatusCode::CANCELLED);
  ExpectIdle();
  EXPECT_EQ(client.Ingest("docs", {"a cat"}).size(), 1u);
}

TEST_F(CallEndTest, AnIngestionWithoutAConfigurationIsToldSo) {
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient ingest(client);
  const grpc::Status s = ingest.Close();
  EXPECT_EQ(s.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(s).field_violations(0).field(), "config");
  ExpectIdle();
}

TEST_F(CallEndTest, AnIngestionThatIsCancelledBetweenDocumentsKeepsWhatItAcknowledged) {
  options_.limits.ingestions = 1;
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient ingest(client);
  ASSERT_TRUE(ingest.Configure());
  ASSERT_TRUE(ingest.Send("one", "a cat"));
  ASSERT_EQ(ingest.ReadAck(), "one");
  EXPECT_EQ(ingest.Cancel().error_code(), StatusCode::CANCELLED);
  ExpectIdle();
  EXPECT_TRUE(Has(client, "one"));
  EXPECT_EQ(client.Ingest("docs", {"a dog"}).size(), 1u) << "the slot was given back";
}

TEST_F(CallEndTest, AnIngestionWhoseDeadlinePassesKeepsWhatItAcknowledged) {
  options_.limits.ingestions = 1;
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient ingest(client, 2);
  ASSERT_TRUE(ingest.Configure());
  ingest.Send("one", "a cat");
  const std::string acknowledged = ingest.ReadAck();
  EXPECT_EQ(ingest.Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  ExpectIdle();
  EXPECT_TRUE(acknowledged.empty() || Has(client, "one"));
  EXPECT_EQ(client.Ingest("docs", {"a dog"}).size(), 1u) << "the slot was given back";
}

TEST_F(CallEndTest, AnIngestionThatIsCancelledWithDocumentsOnTheirWayKeepsWhatItAcknowledged) {
  options_.limits.ingestions = 1;
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient ingest(client);
  ASSERT_TRUE(ingest.Configure());
  std::thread writer([&] {
    for (int i = 0; i < 100'000; ++i) {
      if (!ingest.Send("n" + std::to_string(i), "a cat and number " + std::to_string(i))) return;
    }
  });
  std::vector<std::string> acknowledged;
  for (int i = 0; i < 200; ++i) acknowledged.push_back(ingest.ReadAck());
  EXPECT_EQ(ingest.Cancel().error_code(), StatusCode::CANCELLED);
  writer.join();
  ExpectIdle();
  acknowledged.insert(acknowledged.end(), ingest.acknowledged.begin(), ingest.acknowledged.end());
  for (size_t i = 0; i < acknowledged.size(); ++i) {
    ASSERT_EQ(acknowledged[i], "n" + std::to_string(i));
    ASSERT_TRUE(Has(client, acknowledged[i])) << acknowledged[i];
  }
  EXPECT_EQ(client.Ingest("docs", {"a dog"}).size(), 1u) << "the slot was given back";
}

TEST_F(CallEndTest, AFaultInAnIngestionComesAfterTheAcknowledgementsOfWhatWasBefore) {
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient ingest(client);
  ASSERT_TRUE(ingest.Configure());
  constexpr int kDocuments = 100;
  for (int i = 0; i < kDocuments; ++i) {
    ASSERT_TRUE(ingest.Send("n" + std::to_string(i), "a cat and number " + std::to_string(i)));
  }
  ingest.Configure();  // Only the first message may be one.
  EXPECT_EQ(ingest.Finish().error_code(), StatusCode::INVALID_ARGUMENT);
  ExpectIdle();
  const std::set<std::string> acknowledged(ingest.acknowledged.begin(), ingest.acknowledged.end());
  for (int i = 0; i < kDocuments; ++i) {
    const std::string id = "n" + std::to_string(i);
    EXPECT_EQ(Has(client, id), acknowledged.count(id) > 0) << id;
  }
}

TEST_F(CallEndTest, AnIdleIngestionEnds) {
  options_.limits.stream_idle = absl::Seconds(1);
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient ingest(client);
  ASSERT_TRUE(ingest.Configure());
  ASSERT_TRUE(ingest.Send("one", "a cat"));
  EXPECT_EQ(ingest.ReadAck(), "one");
  EXPECT_EQ(ingest.Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  ExpectIdle();
  EXPECT_TRUE(Has(client, "one"));
}

TEST_F(CallEndTest, AnIdleStreamOfSearchesEnds) {
  options_.limits.stream_idle = absl::Seconds(1);
  StartAndOpen();
  const TestClient client = Connect();
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  const auto stream = client.search->SearchStream(context.get());
  v1::SearchStreamResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  ExpectIdle();
}

TEST_F(CallEndTest, AStreamOfSearchesThatIsCancelledGivesItsThreadsBack) {
  UseOneThread();
  options_.limits.active_calls = 2;
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"a cat"});
  ExpectIdle();
  const std::unique_ptr<PendingCall> running = Occupy(client);
  ASSERT_TRUE(AwaitGauge("cairn_requests_running", 1));
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  const auto stream = client.search->SearchStream(context.get());
  v1::SearchStreamRequest request;
  request.mutable_search()->set_parent("collections/docs");
  request.mutable_search()->set_query("cat");
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(stream->Write(request));
  // Of the twenty, no more than a window's worth is taken.
  ASSERT_TRUE(AwaitGauge("cairn_requests_waiting", 8));
  context->TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  ASSERT_TRUE(AwaitGauge("cairn_calls_active", 1));
  running->Cancel();
  ExpectIdle();
  EXPECT_TRUE(SearchNow(client).ok());
}

}  // namespace
}  // namespace cairn::services
