#include "engine/answer/passage_selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PassageSelection : public ::testing::Test {
 protected:
  void Add(std::string text, float score) {
    SearchHit& hit = hits_.emplace_back();
    hit.text = std::move(text);
    hit.score = score;
    tokens_.push_back(10);
  }
  std::vector<size_t> Select(size_t budget = 1000) const {
    return SelectPassages(*analyzer_, hits_, tokens_, budget);
  }

  const std::unique_ptr<chunking::Analyzer> analyzer_ = *chunking::MakeAnalyzer("english");
  std::vector<SearchHit> hits_;
  std::vector<size_t> tokens_;
};

TEST_F(PassageSelection, KeepsTheOrderOfPassagesThatDoNotRepeatEachOther) {
  EXPECT_THAT(Select(), IsEmpty());
  Add("apples", 0.9f);
  Add("bridges", 0.8f);
  Add("candles", 0.7f);
  Add("dragons", 0.6f);
  EXPECT_THAT(Select(), ElementsAre(0, 1, 2, 3));
}

TEST_F(PassageSelection, ASteepDropEndsTheListButNotBeforeTheMinimum) {
  Add("apples", 0.9f);
  Add("bridges", 0.2f);
  Add("candles", 0.19f);
  Add("dragons", 0.18f);
  EXPECT_THAT(Select(), ElementsAre(0, 1, 2, 3));
  hits_[1].score = 0.85f;
  hits_[2].score = 0.8f;
  EXPECT_THAT(Select(), ElementsAre(0, 1, 2));
  // Whatever the scale: logits may be negative.
  for (SearchHit& hit : hits_) hit.score = hit.score * 10 - 100;
  EXPECT_THAT(Select(), ElementsAre(0, 1, 2));
}

TEST_F(PassageSelection, RepetitionComesLaterAndDuplicatesNotAtAll) {
  Add("apples bridges candles dragons", 0.9f);
  Add("apples bridges candles emeralds", 0.85f);
  Add("feathers gardens", 0.8f);
  Add("Candles, dragons, apples, bridges.", 0.75f);
  Add("hammers", 0.6f);
  EXPECT_THAT(Select(), ElementsAre(0, 2, 1, 4));
}

TEST_F(PassageSelection, WhatDoesNotFitIsPassedOver) {
  Add("apples", 0.9f);
  Add("bridges", 0.8f);
  Add("candles", 0.7f);
  tokens_ = {10, 50, 20};
  EXPECT_THAT(Select(30), ElementsAre(0, 2));
  EXPECT_THAT(Select(29), ElementsAre(0));
  EXPECT_THAT(Select(9), IsEmpty());
}

}  // namespace
}  // namespace cairn::engine
