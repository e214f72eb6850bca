#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/services/server/server_fixture.h"

namespace cairn::services {
namespace {

using SearchServiceTest = ServerTest;

const std::vector<std::string> kTexts = {
    "The cat sat on the mat and looked at the birds in the garden.",
    "Compilers translate programs into machine code for processors.",
    "A database keeps rows on disk and finds them again by their keys.",
};

TEST_F(SearchServiceTest, WhatWasAcknowledgedIsFound) {
  StartAndOpen();
  const TestClient client = Connect();
  const std::vector<v1::IngestAck> acks = client.Ingest("docs", kTexts);
  ASSERT_EQ(acks.size(), kTexts.size());
  for (size_t i = 0; i < acks.size(); ++i) {
    EXPECT_EQ(acks[i].sequence(), i + 1);
    EXPECT_EQ(acks[i].document_id(), "d" + std::to_string(i));
    EXPECT_EQ(acks[i].outcome(), v1::IngestAck::OUTCOME_CREATED);
    EXPECT_EQ(acks[i].chunk_ids_size(), 1);
  }
  v1::SearchResponse found;
  const grpc::Status s = client.Search("docs", "compilers for processors", &found);
  ASSERT_TRUE(s.ok()) << s.error_message();
  ASSERT_GE(found.passages_size(), 1);
  EXPECT_EQ(found.passages(0).document_id(), "d1");
  EXPECT_EQ(found.passages(0).text(), kTexts[1]);
  EXPECT_EQ(found.passages(0).chunk_id(), acks[1].chunk_ids(0));
  EXPECT_FALSE(found.has_timings()) << "only with explain";
}

TEST_F(SearchServiceTest, ResultsAreTheEngines) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", kTexts);
  v1::SearchRequest request;
  request.set_parent("collections/docs");
  request.set_query("rows on disk");
  request.set_explain(true);
  v1::SearchResponse found;
  ASSERT_TRUE(client.search->Search(client.Context().get(), request, &found).ok());
  server_->Drain();
  EngineOptions reader;
  reader.read_only = true;
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(options_.store, reader);
  ASSERT_TRUE(engine.ok()) << engine.status();
  SearchRequest local;
  local.collection = "docs";
  local.query = "rows on disk";
  const absl::StatusOr<SearchResponse> expected = (*engine)->Search(local);
  ASSERT_TRUE(expected.ok());
  ASSERT_EQ(static_cast<size_t>(found.passages_size()), expected->hits.size());
  for (int i = 0; i < found.passages_size(); ++i) {
    const SearchHit& hit = expected->hits[static_cast<size_t>(i)];
    EXPECT_EQ(found.passages(i).document_id(), hit.document_id);
    EXPECT_EQ(found.passages(i).score(), hit.score);
    EXPECT_EQ(found.passages(i).scores().vector().raw(), hit.vector.raw);
  }
  EXPECT_EQ(found.alpha(), expected->alpha);
}

TEST_F(SearchServiceTest, AStreamAnswersEachTopicInItsOrderAndAFaultIsItsOwn) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", kTexts);
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  const auto stream = client.search->SearchStream(context.get());
  constexpr int kTopics = 50;
  for (int i = 0; i < kTopics; ++i) {
    v1::SearchStreamRequest request;
    request.set_topic_id(std::to_string(i));
    request.mutable_search()->set_parent("collections/docs");
    request.mutable_search()->set_query("cat");
    if (i == 20) request.mutable_search()->set_filter("year >=");
    ASSERT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  v1::SearchStreamResponse response;
  for (int i = 0; i < kTopics; ++i) {
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.topic_id(), std::to_string(i));
    if (i == 20) {
      EXPECT_EQ(response.error().code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
    } else {
      ASSERT_TRUE(response.has_response()) << response.error().message();
      EXPECT_EQ(response.response().passages(0).document_id(), "d0");
    }
  }
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(SearchServiceTest, ACollectionThatIsNotThereIsCalledAsTheClientCallsIt) {
  StartAndOpen();
  v1::SearchResponse found;
  const grpc::Status s = Connect().Search("nowhere", "cat", &found);
  EXPECT_EQ(s.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(s.error_message(), "collections/nowhere does not exist");
  EXPECT_EQ(ReasonOf(s), "COLLECTION_NOT_FOUND");
}

TEST_F(SearchServiceTest, AFaultNamesItsField) {
  StartAndOpen();
  const TestClient client = Connect();
  v1::SearchRequest request;
  request.set_parent("docs");
  v1::SearchResponse found;
  grpc::Status s = client.search->Search(client.Context().get(), request, &found);
  EXPECT_EQ(s.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(s).field_violations(0).field(), "parent");
  request.set_parent("collections/docs");
  request.set_k(-1);
  request.set_query("x");
  s = client.search->Search(client.Context().get(), request, &found);
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(s).field_violations(0).field(), "k");
}

TEST_F(SearchServiceTest, TheLogTellsOfEachRequestAndNothingOfItsText) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", kTexts);
  v1::SearchResponse found;
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  context->AddMetadata("x-request-id", "abc-1");
  v1::SearchRequest request;
  request.set_parent("collections/docs");
  request.set_query("garden");
  ASSERT_TRUE(client.search->Search(context.get(), request, &found).ok());
  EXPECT_EQ(context->GetServerInitialMetadata().find("x-request-id")->second, "abc-1");
  server_->Drain();
  nlohmann::json line;
  for (const std::string& l : log_->lines()) {
    EXPECT_EQ(l.find("garden"), std::string::npos) << l;
    const nlohmann::json parsed = nlohmann::json::parse(l);
    if (parsed.value("request_id", "") == "abc-1") line = parsed;
  }
  ASSERT_FALSE(line.is_null());
  EXPECT_EQ(line["method"], "cairn.v1.Search/Search");
  EXPECT_EQ(line["collection"], "docs");
  EXPECT_EQ(line["code"], "OK");
  EXPECT_EQ(line["k"], 10);
}

}  // namespace
}  // namespace cairn::services
