#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/services/server/test_calls.h"
#include "tests/support/encoder_directory.h"

namespace cairn::services {
namespace {

class ModelsServiceTest : public ServerTest {
 protected:
  static grpc::Status Embed(const TestClient& client, const std::vector<std::string>& texts,
                            v1::EmbedResponse* response,
                            v1::TextUse use = v1::TEXT_USE_UNSPECIFIED) {
    v1::EmbedRequest request;
    for (const std::string& text : texts) request.add_texts(text);
    request.set_use(use);
    return client.models->Embed(client.Context().get(), request, response);
  }
  static grpc::Status Rerank(const TestClient& client, const std::string& query,
                             const std::vector<std::string>& passages,
                             v1::RerankResponse* response) {
    v1::RerankRequest request;
    request.set_query(query);
    for (const std::string& p : passages) request.add_passages(p);
    return client.models->Rerank(client.Context().get(), request, response);
  }
  static v1::GetModelsResponse Models(const TestClient& client) {
    v1::GetModelsResponse response;
    EXPECT_TRUE(
        IsOk(client.models->GetModels(client.Context().get(), v1::GetModelsRequest(), &response)));
    return response;
  }
};

TEST_F(ModelsServiceTest, VectorsComeInTheOrderOfTheTexts) {
  StartAndOpen();
  const TestClient client = Connect();
  std::vector<std::string> texts;
  for (int i = 0; i < 30; ++i) texts.push_back("the number " + std::to_string(i) + " of cats");
  v1::EmbedResponse all, one;
  ASSERT_TRUE(IsOk(Embed(client, texts, &all)));
  ASSERT_EQ(all.embeddings_size(), 30);
  const v1::GetModelsResponse models = Models(client);
  EXPECT_EQ(all.embedder_fingerprint(), models.embedder_fingerprint());
  for (int i = 0; i < 30; ++i) {
    const auto& values = all.embeddings(i).values();
    ASSERT_EQ(static_cast<uint32_t>(values.size()), models.dimensions());
    double norm = 0;
    for (const float v : values) norm += double{v} * v;
    EXPECT_NEAR(norm, 1, 1e-3);
  }
  for (const int i : {0, 7, 8, 29}) {
    ASSERT_TRUE(IsOk(Embed(client, {texts[static_cast<size_t>(i)]}, &one)));
    EXPECT_EQ(one.embeddings(0).SerializeAsString(), all.embeddings(i).SerializeAsString()) << i;
  }
}

TEST_F(ModelsServiceTest, ATextThatTheModelDoesNotKnowHasNoVector) {
  StartAndOpen();
  const TestClient client = Connect();
  v1::EmbedResponse response;
  ASSERT_TRUE(IsOk(Embed(client, {"a cat", "", "a dog"}, &response)));
  ASSERT_EQ(response.embeddings_size(), 3);
  EXPECT_GT(response.embeddings(0).values_size(), 0);
  EXPECT_EQ(response.embeddings(1).values_size(), 0);
  EXPECT_GT(response.embeddings(2).values_size(), 0);
}

TEST_F(ModelsServiceTest, TextsHaveTheirLimits) {
  StartAndOpen();
  const TestClient client = Connect();
  v1::EmbedResponse response;
  EXPECT_TRUE(IsBadField(Embed(client, {}, &response), "texts"));
  EXPECT_TRUE(IsBadField(Embed(client, std::vector<std::string>(1001, "x"), &response), "texts"));
  EXPECT_TRUE(IsBadField(Embed(client, {"x"}, &response, static_cast<v1::TextUse>(9)), "use"));
  EXPECT_EQ(Embed(client, {std::string((1 << 20) + 1, 'x')}, &response).error_code(),
            StatusCode::INVALID_ARGUMENT);
  ASSERT_TRUE(IsOk(Embed(client, std::vector<std::string>(1000, "x"), &response)));
  EXPECT_EQ(response.embeddings_size(), 1000);
  EXPECT_TRUE(IsOk(Embed(client, {"x"}, &response, v1::TEXT_USE_QUERY)));
}

TEST_F(ModelsServiceTest, WithoutARerankerNothingIsReranked) {
  StartAndOpen();
  const TestClient client = Connect();
  const v1::GetModelsResponse models = Models(client);
  EXPECT_FALSE(models.has_reranker());
  EXPECT_FALSE(models.has_generator());
  v1::RerankResponse response;
  EXPECT_EQ(Rerank(client, "cats", {"a cat"}, &response).error_code(),
            StatusCode::FAILED_PRECONDITION);
}

TEST_F(ModelsServiceTest, ARerankerScoresEachPassageByItself) {
  const ::cairn::testing::TempDir model;
  options_.engine.reranker = ::cairn::testing::WriteEncoder(
      ::cairn::testing::EncoderReferenceNamed("bert_classifier"), model);
  StartAndOpen();
  const TestClient client = Connect();
  EXPECT_TRUE(Models(client).has_reranker());
  const std::vector<std::string> passages = {"aa ab ac", "ad", "ae af aa", "ab"};
  v1::RerankResponse all, one;
  ASSERT_TRUE(IsOk(Rerank(client, "aa ab", passages, &all)));
  ASSERT_EQ(all.scores_size(), 4);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(IsOk(Rerank(client, "aa ab", {passages[static_cast<size_t>(i)]}, &one)));
    EXPECT_NEAR(one.scores(0), all.scores(i), 1e-4) << i;
  }
  EXPECT_TRUE(IsBadField(Rerank(client, "", passages, &all), "query"));
  EXPECT_TRUE(IsBadField(Rerank(client, "aa", {}, &all), "passages"));
  EXPECT_TRUE(
      IsBadField(Rerank(client, "aa", std::vector<std::string>(1001, "aa"), &all), "passages"));
}

}  // namespace
}  // namespace cairn::services
