#include "engine/answer/citation_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cairn::engine {
namespace {

using ::testing::UnorderedElementsAre;

class SupportTest : public ::testing::Test {
 protected:
  Support Check(std::string_view sentence, size_t passage = 0) const {
    return SupportChecker(*analyzer_, passages_).Check(sentence, passage);
  }
  std::string Window(const Support& support, size_t passage = 0) const {
    return std::string(passages_[passage].text.substr(support.begin, support.end - support.begin));
  }

  const std::unique_ptr<chunking::Analyzer> analyzer_ = *chunking::MakeAnalyzer("english");
  std::vector<SupportChecker::Passage> passages_ = {
      {"Octopuses have three hearts. Two pump blood to the gills.  The third serves the body.\n\n"
       "They live for two years.",
       "Octopus"},
      {"The Eiffel Tower was completed in 1889. It is 330 metres tall and cost 7,799,401 francs.",
       "Paris"},
  };
};

TEST_F(SupportTest, ASentenceSaidInOtherFormsIsSupportedByTheSentenceThatSaysIt) {
  const Support support = Check("The hearts that octopuses have: three!");
  EXPECT_TRUE(support.enough());
  EXPECT_FLOAT_EQ(support.share, 1);
  EXPECT_EQ(Window(support), "Octopuses have three hearts.");
}

TEST_F(SupportTest, ASentenceMayComeFromSeveralInARow) {
  const Support support = Check("Two hearts pump blood to the gills, the third serves the body.");
  EXPECT_TRUE(support.enough());
  EXPECT_EQ(Window(support),
            "Octopuses have three hearts. Two pump blood to the gills.  The third serves the "
            "body.");
}

TEST_F(SupportTest, ANameInThePlaceOfAnotherIsNotSupported) {
  EXPECT_TRUE(Check("The Eiffel Tower was completed in 1889.", 1).enough());
  EXPECT_FALSE(Check("The Brooklyn Bridge was completed in 1889.", 1).enough());
  EXPECT_FALSE(Check("The Eiffel Tower was completed in 1889.", 0).enough());
}

TEST_F(SupportTest, NumbersMustBeThere) {
  const Support wrong = Check("The Eiffel Tower was completed in 1898.", 1);
  EXPECT_FALSE(wrong.numbers);
  EXPECT_FALSE(wrong.enough());
  EXPECT_TRUE(Check("It is 330 metres tall and cost 7799401 francs, the tower.", 1).numbers);
  EXPECT_FALSE(Check("It is 33 metres tall.", 1).numbers);
}

TEST_F(SupportTest, WhatTheTitleSaysCountsNeitherForNorAgainst) {
  passages_ = {{"He was born in Warsaw in 1867.", "Marie Curie"}};
  EXPECT_FLOAT_EQ(Check("Marie Curie was born in Warsaw.").share, 1);
  EXPECT_FLOAT_EQ(Check("Marie Curie.").share, 0);
  EXPECT_FALSE(Check("Marie Curie.").enough());
  passages_[0].title = "Births of 1867 in Warsaw";
  passages_[0].text = "She was a daughter of teachers.";
  EXPECT_TRUE(Check("In 1867 a daughter of teachers was born.").numbers);
}

TEST_F(SupportTest, WithoutTermsThereIsNoSupport) {
  EXPECT_FALSE(Check("It is.").enough());
  EXPECT_FALSE(Check("").enough());
  passages_ = {{"", ""}, {" \n ", ""}};
  EXPECT_FALSE(Check("Octopuses have hearts.", 0).enough());
  EXPECT_FALSE(Check("Octopuses have hearts.", 1).enough());
}

TEST_F(SupportTest, RareTermsWeighMore) {
  passages_ = {
      {"The bank is open. The bank is closed. The bank is old. The bank sells tulips.", ""},
      {"Nothing to see.", ""}};
  // Each lacks one of two terms; what is missing is everywhere, or in one sentence.
  const float without_common = Check("tulips unheard").share;
  const float without_rare = Check("bank unheard").share;
  EXPECT_GT(without_common, without_rare);
}

TEST(NumbersIn, FindsThemAsTheyAreMeant) {
  EXPECT_THAT(NumbersIn("In 1,200 cases, 3.5% or $7. From 1867-1934, the 20th; 1,a 2."),
              UnorderedElementsAre("1200", "3.5", "7", "1867", "1934", "20", "1", "2"));
  EXPECT_TRUE(NumbersIn("none, here.").empty());
}

}  // namespace
}  // namespace cairn::engine
