// What is over a limit is refused, tells when to come again, and leaves the rest as it was.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/services/server/fault_fixture.h"

namespace cairn::services {
namespace {

using grpc::StatusCode;

class LimitsTest : public FaultTest {
 protected:
  // Refused for want of room, in a way that programs understand.
  static void ExpectExhausted(const grpc::Status& status, const std::string& word) {
    EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
    EXPECT_NE(status.error_message().find(word), std::string::npos) << status.error_message();
    EXPECT_TRUE(HasRetryInfo(status));
  }
};

TEST_F(LimitsTest, ARequestMessageOverTheLimitIsRefusedAndTheNextIsServed) {
  options_.limits.message_bytes = 1 << 16;
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"a cat"});
  v1::SearchResponse response;
  EXPECT_EQ(client.Search("docs", std::string(1 << 17, 'x'), &response).error_code(),
            StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(SearchNow(client).ok());
  ExpectIdle();
}

TEST_F(LimitsTest, ADocumentOverTheLimitEndsItsStreamAndNoOtherAndWhatWasAcknowledgedStays) {
  options_.limits.message_bytes = 1 << 16;
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient ingest(client);
  ASSERT_TRUE(ingest.Configure());
  ASSERT_TRUE(ingest.Send("small", "a cat"));
  ASSERT_EQ(ingest.ReadAck(), "small");
  ingest.Send("large", std::string(1 << 17, 'x'));
  EXPECT_EQ(ingest.Finish().error_code(), StatusCode::RESOURCE_EXHAUSTED);
  ExpectIdle();
  v1::GetDocumentRequest get;
  get.set_name("collections/docs/documents/small");
  v1::Document document;
  EXPECT_TRUE(client.documents->GetDocument(client.Context().get(), get, &document).ok());
  get.set_name("collections/docs/documents/large");
  EXPECT_EQ(client.documents->GetDocument(client.Context().get(), get, &document).error_code(),
            StatusCode::NOT_FOUND);
}

TEST_F(LimitsTest, HeadersOverTheLimitAreRefusedAndTheNextCallIsServed) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"a cat"});
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  context->AddMetadata("x-large", std::string(options_.limits.metadata_bytes * 2, 'x'));
  v1::SearchRequest request;
  request.set_parent("collections/docs");
  request.set_query("cat");
  v1::SearchResponse response;
  EXPECT_EQ(client.search->Search(context.get(), request, &response).error_code(),
            StatusCode::RESOURCE_EXHAUSTED);
  const grpc::Status next = SearchNow(client);
  EXPECT_TRUE(next.ok()) << next.error_message();
}

TEST_F(LimitsTest, CallsBeyondTheMostAtWorkAreRefusedUntilOneHasEnded) {
  options_.limits.active_calls = 1;
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"a cat"});
  ExpectIdle();
  IngestClient held(client);
  ASSERT_TRUE(held.Configure());
  ASSERT_TRUE(AwaitGauge("cairn_calls_active", 1));
  ExpectExhausted(SearchNow(client), "calls at work");
  EXPECT_TRUE(held.Close().ok());
  ExpectIdle();
  EXPECT_TRUE(SearchNow(client).ok());
}

TEST_F(LimitsTest, RequestsBeyondTheQueueAreRefused) {
  UseOneThread();
  options_.limits.waiting = 1;
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"a cat"});
  const std::unique_ptr<PendingCall> running = Occupy(client);
  ASSERT_TRUE(AwaitGauge("cairn_requests_running", 1));
  const std::unique_ptr<PendingCall> waiting = SearchLater(client);
  ASSERT_TRUE(AwaitGauge("cairn_requests_waiting", 1));
  ExpectExhausted(SearchNow(client), "busy");
  running->Cancel();
  EXPECT_TRUE(waiting->Await().ok()) << "it waited for its turn";
  ExpectIdle();
}

TEST_F(LimitsTest, RequestsBeyondATenantsPartOfTheQueueAreRefused) {
  UseOneThread();
  options_.limits.waiting_per_tenant = 1;
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"a cat"});
  const std::unique_ptr<PendingCall> running = Occupy(client);
  ASSERT_TRUE(AwaitGauge("cairn_requests_running", 1));
  const std::unique_ptr<PendingCall> waiting = SearchLater(client);
  ASSERT_TRUE(AwaitGauge("cairn_requests_waiting", 1));
  ExpectExhausted(SearchNow(client), "of this tenant");
  running->Cancel();
  EXPECT_TRUE(waiting->Await().ok());
}

TEST_F(LimitsTest, IngestionsBeyondTheMostAreRefusedUntilOneHasEnded) {
  options_.limits.ingestions = 1;
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient first(client);
  ASSERT_TRUE(first.Configure());
  ASSERT_TRUE(AwaitGauge("cairn_ingestions_active", 1));
  IngestClient second(client);
  second.Configure();
  ExpectExhausted(second.Finish(), "the server has 1 ingestions");
  EXPECT_TRUE(first.Close().ok());
  ExpectIdle();
  grpc::Status third;
  EXPECT_EQ(client.Ingest("docs", {"a cat"}, &third).size(), 1u);
  EXPECT_TRUE(third.ok()) << third.error_message();
}

TEST_F(LimitsTest, IngestionsBeyondATenantsMostAreRefused) {
  options_.limits.ingestions_per_tenant = 1;
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient first(client);
  ASSERT_TRUE(first.Configure());
  ASSERT_TRUE(AwaitGauge("cairn_ingestions_active", 1));
  IngestClient second(client);
  second.Configure();
  ExpectExhausted(second.Finish(), "you have 1 ingestions");
}

TEST_F(LimitsTest, ATenantOverItsRateIsToldWhenToComeAgain) {
  options_.limits.tenant_requests_per_second = 0.001;
  StartAndOpen();
  const TestClient client = Connect();
  EXPECT_EQ(SearchNow(client).error_code(), StatusCode::NOT_FOUND) << "the first is admitted";
  const grpc::Status second = SearchNow(client);
  ExpectExhausted(second, "");
  EXPECT_GT(DetailOf<google::rpc::RetryInfo>(second).retry_delay().seconds(), 60);
  ExpectIdle();
}

TEST_F(LimitsTest, ATenantInDebtForItsBytesIsRefused) {
  options_.limits.tenant_bytes_per_second = 1;
  StartAndOpen();
  const TestClient client = Connect();
  EXPECT_EQ(SearchNow(client).error_code(), StatusCode::NOT_FOUND) << "the first is admitted";
  ExpectExhausted(SearchNow(client), "");
}

TEST_F(LimitsTest, ATenantHasSoManyCallsAtATime) {
  options_.limits.tenant_calls = 1;
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient held(client);
  ASSERT_TRUE(held.Configure());
  ASSERT_TRUE(AwaitGauge("cairn_calls_active", 1));
  ExpectExhausted(SearchNow(client), "");
  EXPECT_TRUE(held.Close().ok());
  ExpectIdle();
  EXPECT_NE(SearchNow(client).error_code(), StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(LimitsTest, EachTopicOfAStreamCountsAgainstTheRate) {
  options_.limits.tenant_requests_per_second = 0.001;
  StartAndOpen();
  const TestClient client = Connect();
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  const auto stream = client.search->SearchStream(context.get());
  v1::SearchStreamRequest request;
  request.set_topic_id("1");
  request.mutable_search()->set_parent("collections/docs");
  request.mutable_search()->set_query("cat");
  ASSERT_TRUE(stream->Write(request));
  v1::SearchStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.error().code(), static_cast<int>(StatusCode::RESOURCE_EXHAUSTED));
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok()) << "a topic's fault is its own";
}

TEST_F(LimitsTest, AResponseOverTheLimitSaysSo) {
  options_.limits.response_bytes = 4096;
  StartAndOpen();
  const TestClient client = Connect();
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "cat and mouse ";
  client.Ingest("docs", {text, "a dog"});
  v1::GetDocumentRequest get;
  get.set_name("collections/docs/documents/d0");
  v1::Document document;
  const grpc::Status s = client.documents->GetDocument(client.Context().get(), get, &document);
  EXPECT_EQ(s.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(s.error_message().find("ask for less"), std::string::npos) << s.error_message();
  get.set_name("collections/docs/documents/d1");
  EXPECT_TRUE(client.documents->GetDocument(client.Context().get(), get, &document).ok());
}

TEST_F(LimitsTest, ATopicWhoseResponseIsOverTheLimitFailsAlone) {
  options_.limits.response_bytes = 4096;
  StartAndOpen();
  const TestClient client = Connect();
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "cat and mouse ";
  client.Ingest("docs", {text, "a dog"});
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  const auto stream = client.search->SearchStream(context.get());
  v1::SearchStreamRequest request;
  request.mutable_search()->set_parent("collections/docs");
  request.mutable_search()->set_mode(v1::SEARCH_MODE_LEXICAL);
  v1::SearchStreamResponse response;
  request.mutable_search()->set_query("mouse");
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.error().code(), static_cast<int>(StatusCode::RESOURCE_EXHAUSTED));
  request.mutable_search()->set_query("dog");
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.response().passages_size(), 1);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(LimitsTest, PagesHaveTheAskedSizeUpToTheMost) {
  StartAndOpen();
  const TestClient client = Connect();
  std::vector<v1::InputDocument> documents(1002);
  for (size_t i = 0; i < documents.size(); ++i) {
    documents[i].set_id("d" + std::to_string(i));
    documents[i].set_text("cat " + std::to_string(i));
  }
  ASSERT_EQ(client.IngestDocuments("docs", documents).size(), documents.size());
  v1::ListDocumentsRequest request;
  request.set_parent("collections/docs");
  const auto list = [&](int size, v1::ListDocumentsResponse* page) {
    request.set_page_size(size);
    return client.documents->ListDocuments(client.Context().get(), request, page);
  };
  v1::ListDocumentsResponse page;
  ASSERT_TRUE(list(7, &page).ok());
  EXPECT_EQ(page.documents_size(), 7);
  ASSERT_TRUE(list(0, &page).ok());
  EXPECT_EQ(page.documents_size(), 100);
  ASSERT_TRUE(list(1'000'000, &page).ok());
  EXPECT_EQ(page.documents_size(), 1000);
  request.set_page_token(page.next_page_token());
  ASSERT_TRUE(list(1'000'000, &page).ok());
  EXPECT_EQ(page.documents_size(), 2);
  EXPECT_EQ(page.next_page_token(), "");
  EXPECT_EQ(list(-1, &page).error_code(), StatusCode::INVALID_ARGUMENT);
  request.set_page_token("made up");
  EXPECT_EQ(list(7, &page).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(LimitsTest, AConnectionHasSoManyCallsAtATime) {
  options_.limits.connection_streams = 1;
  StartAndOpen();
  const TestClient client = Connect();
  const TestClient other = Connect();
  IngestClient held(client);
  ASSERT_TRUE(held.Configure());
  ASSERT_TRUE(held.Send("d", "a cat"));
  ASSERT_EQ(held.ReadAck(), "d");
  // It waits in the client for the stream's end; one of another connection does not.
  EXPECT_EQ(SearchLater(client, 1)->Await().error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(SearchNow(other).ok());
  EXPECT_TRUE(held.Close().ok());
  EXPECT_TRUE(SearchNow(client).ok());
}

}  // namespace
}  // namespace cairn::services
