#include "engine/eval/answer_measures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Strings = std::vector<std::string>;

TEST(AnswerWords, AreNormalisedAsSquadDoes) {
  EXPECT_THAT(AnswerWords(" The  cat's \"mat\", an-other; A.\n"),
              ElementsAre("cats", "mat", "another"));
  EXPECT_THAT(AnswerWords("Theatre an anvil"), ElementsAre("theatre", "anvil"));
  EXPECT_THAT(AnswerWords("\xC3\x89T\xC3\x89"), ElementsAre("\xC3\xA9t\xC3\xA9"));
  EXPECT_THAT(AnswerWords("the, a... an!"), IsEmpty());
}

TEST(AnswerMeasures, TakeTheBestOfTheGoldAnswers) {
  const Strings gold = {"G. Stanley Hall", "Stanley Hall"};
  EXPECT_EQ(ExactMatch("stanley hall.", gold), 1);
  EXPECT_EQ(ExactMatch("The G Stanley Hall", gold), 1);
  EXPECT_EQ(ExactMatch("Hall", gold), 0);
  EXPECT_DOUBLE_EQ(TokenF1("Hall", gold), 2.0 / 3);
  EXPECT_DOUBLE_EQ(TokenF1("It was Stanley Hall", gold), 4.0 / 6);
  EXPECT_DOUBLE_EQ(TokenF1("nobody", gold), 0);
  EXPECT_EQ(Containment("It was Stanley Hall, of course.", gold), 1);
  EXPECT_EQ(Containment("Stanley and Hall", gold), 0);
  EXPECT_EQ(Containment("Hallway", gold), 0);
  EXPECT_EQ(ExactMatch("x", {}), 0);
}

TEST(AnswerMeasures, RepeatedWordsCountAsOftenAsTheyAreGold) {
  EXPECT_DOUBLE_EQ(TokenF1("ha ha ha", Strings{"ha ha"}), 2.0 * 2 / 5);
}

TEST(AnswerMeasures, NothingEqualsNothingOnly) {
  const Strings gold = {"The"};
  EXPECT_EQ(ExactMatch("a", gold), 1);
  EXPECT_EQ(TokenF1("a", gold), 1);
  EXPECT_EQ(TokenF1("x", gold), 0);
  EXPECT_EQ(Containment("a", gold), 1);
  EXPECT_EQ(Containment("x", gold), 0);
}

AnswerRecord Answer(std::string id, std::string text, std::vector<AnsweredSentence> sentences) {
  return {std::move(id), "?", std::move(text), std::move(sentences)};
}

TEST(EvaluateAnswers, MeasuresAreThoseWorkedOutByHand) {
  const std::vector<GoldAnswer> gold = {{"q1", {"three"}, {"d1", "d2"}},
                                        {"q2", {"four"}, {"d3"}},
                                        {"q3", {"five"}, {}},
                                        {"q4", {"six"}, {"d4"}}};
  const std::vector<AnswerRecord> answers = {
      Answer("q2", "four", {{"four", false, {}}}),
      Answer("q1", "it has three hearts",
             {{"it has three hearts", true, {{"d1", 0, 1}, {"d1", 5, 9}, {"d9", 0, 1}}},
              {"or not", false, {}}}),
      Answer("q3", "", {})};
  const absl::StatusOr<AnswerEvaluation> evaluation = EvaluateAnswers(answers, gold);
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  EXPECT_EQ(evaluation->answered, 3u);
  ASSERT_EQ(evaluation->questions.size(), 4u);
  const AnswerScores& first = evaluation->questions[0].scores;
  EXPECT_EQ(evaluation->questions[0].id, "q1");
  EXPECT_EQ(first.exact_match, 0);
  EXPECT_DOUBLE_EQ(first.f1, 2.0 / 5);
  EXPECT_EQ(first.containment, 1);
  EXPECT_DOUBLE_EQ(*first.citation_precision, 0.5);
  EXPECT_DOUBLE_EQ(*first.citation_recall, 0.5);
  EXPECT_DOUBLE_EQ(*first.unsupported, 0.5);
  const AnswerScores& second = evaluation->questions[1].scores;
  EXPECT_EQ(second.exact_match, 1);
  EXPECT_EQ(*second.citation_precision, 0);
  EXPECT_EQ(*second.unsupported, 1);
  const AnswerScores& third = evaluation->questions[2].scores;
  EXPECT_FALSE(third.citation_precision.has_value());
  EXPECT_FALSE(third.unsupported.has_value());
  // Without an answer: zeros.
  EXPECT_EQ(*evaluation->questions[3].scores.citation_recall, 0);
  const AnswerScores& means = evaluation->means;
  EXPECT_DOUBLE_EQ(means.exact_match, 1.0 / 4);
  EXPECT_DOUBLE_EQ(means.f1, (2.0 / 5 + 1) / 4);
  EXPECT_DOUBLE_EQ(means.containment, 2.0 / 4);
  EXPECT_DOUBLE_EQ(*means.citation_precision, 0.5 / 3);
  EXPECT_DOUBLE_EQ(*means.citation_recall, 0.5 / 3);
  EXPECT_DOUBLE_EQ(*means.unsupported, 1.5 / 2);
}

TEST(EvaluateAnswers, AnswersToUnknownQuestionsAreRefused) {
  const absl::Status status =
      EvaluateAnswers({Answer("q7", "", {}), Answer("q8", "", {})}, {}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(status.message().find("q7"), std::string::npos);
}

TEST(EvaluateAnswers, NothingHasNoMeans) {
  const absl::StatusOr<AnswerEvaluation> evaluation = EvaluateAnswers({}, {});
  ASSERT_TRUE(evaluation.ok());
  EXPECT_EQ(evaluation->means.f1, 0);
  EXPECT_FALSE(evaluation->means.citation_precision.has_value());
}

}  // namespace
}  // namespace cairn::engine
