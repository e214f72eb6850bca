#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/services/language_model.h"
#include "tests/services/server/test_calls.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using Event = v1::AnswerResponse;

const std::vector<std::string> kAnswerTexts = {
    "Octopuses have three hearts. Two of them pump blood to the gills.",
    "The Eiffel Tower was completed in 1889. It is 330 metres tall.",
    "Compilers translate programs into machine code.",
};

class AnswerServiceTest : public ServerTest {
 protected:
  static std::vector<Event> MustAsk(const TestClient& client, const v1::AnswerRequest& request) {
    grpc::Status s;
    std::vector<Event> events = Ask(client, request, &s);
    EXPECT_TRUE(IsOk(s));
    return events;
  }

  // That events come in their order, sentences after the text that they are made of.
  static void ExpectInOrder(const std::vector<Event>& events) {
    ASSERT_GE(events.size(), 2u);
    EXPECT_TRUE(events.front().has_passages());
    EXPECT_TRUE(events.back().has_summary());
    std::string text;
    for (size_t i = 1; i + 1 < events.size(); ++i) {
      ASSERT_TRUE(events[i].event_case() == Event::kText || events[i].has_sentence()) << i;
      if (events[i].event_case() == Event::kText) {
        text += events[i].text();
      } else {
        const std::string& sentence = events[i].sentence().text();
        const size_t at = text.find(sentence);
        ASSERT_NE(at, text.npos) << sentence << " in " << text;
        text.erase(0, at + sentence.size());
      }
    }
  }
};

TEST_F(AnswerServiceTest, PassagesComeFirstThenSentencesThenTheSummary) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", kAnswerTexts);
  const std::vector<Event> events =
      MustAsk(client, Question("docs", "How many hearts do octopuses have?"));
  ExpectInOrder(events);
  const v1::AnswerSummary& summary = events.back().summary();
  EXPECT_EQ(summary.mode(), v1::ANSWER_MODE_EXTRACTIVE);
  EXPECT_EQ(summary.finish(), v1::AnswerSummary::FINISH_COMPLETE);
  EXPECT_EQ(summary.unsupported_sentences(), 0u);
  EXPECT_GT(summary.timings().total(), 0);
}

TEST_F(AnswerServiceTest, CitationsPointToWhatThePassagesSay) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", kAnswerTexts);
  const std::vector<Event> events =
      MustAsk(client, Question("docs", "How many hearts do octopuses have?"));
  ASSERT_FALSE(events.empty());
  const v1::AnswerPassages& passages = events.front().passages();
  size_t citations = 0;
  for (const Event& event : events) {
    for (const v1::Citation& c : event.sentence().citations()) {
      ++citations;
      ASSERT_LT(c.passage(), static_cast<uint32_t>(passages.passages_size()));
      const v1::Passage& passage = passages.passages(static_cast<int>(c.passage()));
      EXPECT_EQ(c.document_id(), passage.document_id());
      EXPECT_EQ(c.chunk_id(), passage.chunk_id());
      v1::Document document;
      ASSERT_TRUE(
          IsOk(GetDocument(client, "collections/docs/documents/" + c.document_id(), &document)));
      ASSERT_LE(c.span().end(), document.text().size());
      EXPECT_EQ(document.text().substr(c.span().begin(), c.span().end() - c.span().begin()),
                event.sentence().text());
      EXPECT_TRUE(event.sentence().supported());
    }
  }
  EXPECT_GE(citations, 1u);
  EXPECT_TRUE(passages.passages(0).has_scores()) << "what each search made of it";
}

TEST_F(AnswerServiceTest, WhereNothingIsFoundTheAnswerIsEmpty) {
  StartAndOpen();
  const TestClient client = Connect();
  ASSERT_TRUE(IsOk(CreateCollection(client, "empty")));
  const std::vector<Event> events = MustAsk(client, Question("empty", "How many hearts?"));
  ASSERT_EQ(events.size(), 2u);
  ASSERT_TRUE(events[0].has_passages());
  EXPECT_EQ(events[0].passages().passages_size(), 0);
  EXPECT_TRUE(events[1].has_summary());
  client.Ingest("docs", kAnswerTexts);
  v1::AnswerRequest filtered = Question("docs", "How many hearts?");
  filtered.set_filter("year = 1066");
  EXPECT_EQ(MustAsk(client, filtered).size(), 2u);
}

TEST_F(AnswerServiceTest, LimitsOfTheRequestHold) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", kAnswerTexts);
  v1::AnswerRequest request = Question("docs", "octopuses tower compilers");
  request.set_passages(2);
  request.mutable_extractive()->set_sentences(1);
  const std::vector<Event> events = MustAsk(client, request);
  EXPECT_LE(events.front().passages().passages_size(), 2);
  int sentences = 0;
  for (const Event& event : events) sentences += event.has_sentence() ? 1 : 0;
  EXPECT_EQ(sentences, 1);
}

TEST_F(AnswerServiceTest, MistakesNameTheirField) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", kAnswerTexts);
  const v1::AnswerRequest good = Question("docs", "How many hearts?");
  std::vector<std::pair<std::string, v1::AnswerRequest>> bad(8, {"", good});
  bad[0].first = "parent", bad[0].second.set_parent("docs");
  bad[1].first = "question", bad[1].second.clear_question();
  bad[2].first = "passages", bad[2].second.set_passages(-1);
  bad[3].first = "passages", bad[3].second.set_passages(1001);
  bad[4].first = "mode", bad[4].second.set_mode(static_cast<v1::AnswerMode>(9));
  bad[5].first = "extractive.sentences", bad[5].second.mutable_extractive()->set_sentences(0);
  bad[6].first = "generation.temperature";
  bad[6].second.mutable_generation()->set_temperature(std::numeric_limits<float>::quiet_NaN());
  bad[7].first = "generation.max_tokens", bad[7].second.mutable_generation()->set_max_tokens(4097);
  grpc::Status s;
  for (const auto& [field, request] : bad) {
    Ask(client, request, &s);
    EXPECT_TRUE(IsBadField(s, field)) << field;
  }
  Ask(client, Question("none", "How many hearts?"), &s);
  EXPECT_TRUE(IsError(s, StatusCode::NOT_FOUND, "COLLECTION_NOT_FOUND"));
}

TEST_F(AnswerServiceTest, WithoutAModelNothingIsGenerated) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", kAnswerTexts);
  v1::AnswerRequest request = Question("docs", "How many hearts?");
  request.set_mode(v1::ANSWER_MODE_GENERATED);
  grpc::Status s;
  Ask(client, request, &s);
  EXPECT_EQ(s.error_code(), StatusCode::FAILED_PRECONDITION) << s.error_message();
}

TEST_F(AnswerServiceTest, AModelsAnswerComesAsItIsWritten) {
  options_.engine.generator = WriteLanguageModel(dir_, 1);
  options_.engine.generator_threads = 1;
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", kAnswerTexts);
  v1::AnswerRequest request = Question("docs", "How many hearts do octopuses have?");
  request.mutable_generation()->set_max_tokens(40);
  request.mutable_generation()->set_temperature(1);
  request.mutable_generation()->set_seed(7);
  const std::vector<Event> events = MustAsk(client, request);
  ExpectInOrder(events);
  const v1::AnswerSummary& summary = events.back().summary();
  EXPECT_EQ(summary.mode(), v1::ANSWER_MODE_GENERATED) << "the server has a model";
  EXPECT_EQ(summary.finish(), v1::AnswerSummary::FINISH_LENGTH);
  EXPECT_EQ(summary.usage().generated_tokens(), 40u);
  EXPECT_GT(summary.usage().prompt_tokens(), 100u);
  std::string first, second;
  for (const Event& event : events) first += event.text();
  for (const Event& event : MustAsk(client, request)) second += event.text();
  EXPECT_NE(first, "");
  EXPECT_EQ(first, second) << "the same seed";
  request.set_mode(v1::ANSWER_MODE_EXTRACTIVE);
  EXPECT_EQ(MustAsk(client, request).back().summary().mode(), v1::ANSWER_MODE_EXTRACTIVE);
}

}  // namespace
}  // namespace cairn::services
