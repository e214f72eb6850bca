#include "index/lexical_tail.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "index/posting_source.h"
#include "index/slot_set.h"
#include "tests/support/zipf_collection.h"

namespace cairn::index {
namespace {

using cairn::testing::MakeQuery;
using cairn::testing::ZipfTerms;

LexicalQuery OneTerm(TermId term, float weight, float average_length, Bm25Parameters bm25 = {}) {
  LexicalQuery query;
  query.terms = {{term, weight}};
  query.average_length = average_length;
  query.bm25 = bm25;
  return query;
}

std::vector<Slot> Slots(const std::vector<ScoredSlot>& results) {
  std::vector<Slot> slots;
  for (const ScoredSlot& r : results) slots.push_back(r.slot);
  return slots;
}

TEST(Bm25Idf, IsLucenesFormula) {
  EXPECT_FLOAT_EQ(Bm25Idf(1, 10), std::log(1 + 9.5 / 1.5));
  EXPECT_FLOAT_EQ(Bm25Idf(0, 0), std::log(2.0));
  EXPECT_GT(Bm25Idf(1'000'000, 1'000'000), 0);
}

TEST(LexicalTail, KeepsStatistics) {
  LexicalTail tail;
  EXPECT_EQ(tail.Append(5, {{0, 3}, {2, 2}}), 0u);
  EXPECT_EQ(tail.Append(4, {{2, 4}}), 1u);
  EXPECT_EQ(tail.Append(0, {}), 2u);
  EXPECT_EQ(tail.slots(), 3u);
  EXPECT_EQ(tail.total_length(), 9u);
  EXPECT_EQ(tail.lengths(), (std::vector<uint32_t>{5, 4, 0}));
  EXPECT_EQ(tail.DocumentFrequency(0), 1u);
  EXPECT_EQ(tail.DocumentFrequency(1), 0u);
  EXPECT_EQ(tail.DocumentFrequency(2), 2u);
  EXPECT_EQ(tail.DocumentFrequency(99), 0u);
}

TEST(LexicalTail, LeavesOutSlotsThatAreNotAllowed) {
  LexicalTail tail;
  tail.Append(5, {{0, 3}, {2, 2}});
  tail.Append(4, {{2, 4}});
  SlotSet live(2, true);
  const LexicalQuery query = OneTerm(2, 1, 4);
  EXPECT_EQ(Slots(tail.Search(query, 10, live)), (std::vector<Slot>{1, 0}));
  live.Clear(0);
  EXPECT_EQ(Slots(tail.Search(query, 10, live)), (std::vector<Slot>{1}));
}

TEST(LexicalTail, GivesItsPostingsBack) {
  std::mt19937 rng(12);
  const ZipfTerms zipf(500, 1.0);
  LexicalTail tail;
  std::map<TermId, std::vector<Posting>> expected;
  for (Slot slot = 0; slot < 3000; ++slot) {
    std::vector<TermCount> terms = zipf.Chunk(rng() % 40, 0.3, rng);
    if (slot % 9 == 0 && !terms.empty()) terms.back().count = 250 + rng() % 1'000'000;
    for (TermCount& t : terms) {
      t.term *= 3;  // Ids between them have no postings.
      expected[t.term].push_back({slot, t.count});
    }
    tail.Append(40, terms);
  }
  std::vector<TermId> terms;
  tail.postings().AppendTerms(&terms);
  ASSERT_EQ(terms.size(), expected.size());
  std::vector<Posting> postings = {{9, 9}};
  for (size_t i = 0; const auto& [term, list] : expected) {
    EXPECT_EQ(terms[i++], term);
    tail.postings().Decode(term, &postings);
    ASSERT_EQ(postings, list);
    EXPECT_EQ(tail.postings().Frequency(term), list.size());
  }
  tail.postings().Decode(1, &postings);
  EXPECT_TRUE(postings.empty());
  EXPECT_EQ(tail.postings().Frequency(1), 0u);
  EXPECT_EQ(tail.postings().Frequency(UINT32_MAX), 0u);
}

TEST(LexicalTail, ScoresByTheFormula) {
  LexicalTail tail;
  tail.Append(3, {{0, 1}, {1, 2}});
  tail.Append(9, {{0, 4}, {1, 5}});
  LexicalQuery query;
  query.terms = {{0, 1.5f}, {1, 0.5f}};
  query.average_length = 6;
  query.bm25 = {1.2f, 0.75f};
  const auto score = [](double weight, double tf, double length) {
    return weight * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length / 6));
  };
  const auto results = tail.Search(query, 10, SlotSet(2, true));
  ASSERT_EQ(Slots(results), (std::vector<Slot>{1, 0}));
  EXPECT_FLOAT_EQ(results[0].score, score(1.5, 4, 9) + score(0.5, 5, 9));
  EXPECT_FLOAT_EQ(results[1].score, score(1.5, 1, 3) + score(0.5, 2, 3));
}

TEST(LexicalTail, FindsNothingWithoutTermsOrSlots) {
  LexicalTail empty;
  EXPECT_TRUE(empty.Search(OneTerm(0, 1, 1), 10, SlotSet()).empty());
  EXPECT_TRUE(empty.SearchExhaustively(OneTerm(0, 1, 1), 10, SlotSet()).empty());
  LexicalTail tail;
  tail.Append(1, {{0, 1}});
  const SlotSet all(1, true);
  EXPECT_TRUE(tail.Search(LexicalQuery(), 10, all).empty());
  EXPECT_TRUE(tail.Search(OneTerm(7, 1, 1), 10, all).empty());
  EXPECT_TRUE(tail.Search(OneTerm(UINT32_MAX, 1, 1), 10, all).empty());
  EXPECT_TRUE(tail.Search(OneTerm(0, 1, 1), 0, all).empty());
  EXPECT_TRUE(tail.Search(OneTerm(0, 1, 1), 10, SlotSet(1)).empty());
  EXPECT_EQ(tail.Search(OneTerm(0, 1, 1), SIZE_MAX, all).size(), 1u);
}

TEST(LexicalTail, IgnoresUnknownTermsBesideKnownOnes) {
  LexicalTail tail;
  tail.Append(1, {{3, 1}});
  LexicalQuery query = OneTerm(0, 1, 1);
  query.terms.push_back({3, 1});
  query.terms.push_back({4000, 1});
  EXPECT_EQ(Slots(tail.Search(query, 10, SlotSet(1, true))), (std::vector<Slot>{0}));
}

TEST(LexicalTail, BreaksTiesBySlot) {
  LexicalTail tail;
  for (int i = 0; i < 1000; ++i) tail.Append(7, {{0, 2}});
  LexicalSearchStats stats;
  const auto results = tail.Search(OneTerm(0, 1, 7), 3, SlotSet(1000, true), &stats);
  EXPECT_EQ(Slots(results), (std::vector<Slot>{0, 1, 2}));
  EXPECT_GE(stats.blocks_skipped, 6u) << "later slots that tie cannot enter";
}

TEST(LexicalTail, KeepsCountsTooLargeForAByte) {
  LexicalTail tail;
  const std::vector<uint32_t> counts = {254, 255, 256, 70'000, 4'000'000'000u, 1};
  for (int repeat = 0; repeat < 50; ++repeat) {
    for (uint32_t count : counts) tail.Append(100, {{0, count}, {1, 1}});
  }
  LexicalQuery query = OneTerm(0, 1, 100, {1000.0f, 0.0f});
  const SlotSet all(tail.slots(), true);
  const auto results = tail.Search(query, 300, all);
  ASSERT_EQ(results.size(), 300u);
  EXPECT_EQ(results, tail.SearchExhaustively(query, 300, all));
  for (const ScoredSlot& r : results) {
    const double count = counts[r.slot % counts.size()];
    EXPECT_FLOAT_EQ(r.score, count * 1001 / (count + 1000));
  }
}

TEST(LexicalTail, AcceptsLengthsBeyondThoseOfItsBounds) {
  LexicalTail tail;
  for (uint32_t i = 0; i < 600; ++i) {
    const std::vector<TermCount> terms = {{0, 1 + i % 7}, {1, 1}};
    tail.Append(60'000 + 13 * (i * 7919 % 1000), terms);
  }
  const SlotSet all(600, true);
  for (size_t k : {1, 10, 600}) {
    const LexicalQuery query = MakeQuery(tail, {0, 1}, {0.9f, 1.0f});
    EXPECT_EQ(tail.Search(query, k, all), tail.SearchExhaustively(query, k, all));
  }
}

TEST(LexicalTail, AcceptsAnAverageLengthOfZero) {
  LexicalTail tail;
  tail.Append(3, {{0, 3}});
  tail.Append(0, {{0, 1}});
  const auto results = tail.Search(OneTerm(0, 1, 0), 10, SlotSet(2, true));
  EXPECT_EQ(Slots(results), (std::vector<Slot>{0, 1}));
  for (const ScoredSlot& r : results) EXPECT_TRUE(std::isfinite(r.score));
}

TEST(LexicalTail, FindsASlotByAWeightOfZero) {
  LexicalTail tail;
  tail.Append(3, {{0, 3}});
  tail.Append(3, {{1, 3}});
  LexicalQuery query = OneTerm(0, 0, 3);
  query.terms.push_back({5, 1});
  EXPECT_EQ(Slots(tail.Search(query, 10, SlotSet(2, true))), (std::vector<Slot>{0}));
  query.terms.push_back({1, 0});
  EXPECT_EQ(Slots(tail.Search(query, 10, SlotSet(2, true))), (std::vector<Slot>{0, 1}));
}

TEST(LexicalTail, SpansSlotsFurtherApartThanSixteenBits) {
  LexicalTail tail;
  constexpr Slot kSlots = 300'000;
  for (Slot slot = 0; slot < kSlots; ++slot) {
    if (slot % 1000 == 0) {
      tail.Append(1 + slot % 7, {{0, 1 + slot % 3}, {1, 1}});
    } else if (slot % 5 == 0) {
      tail.Append(2, {{1, 1 + slot % 4}});
    } else {
      tail.Append(0, {});
    }
  }
  const SlotSet all(kSlots, true);
  for (size_t k : {1, 10, 400}) {
    for (const std::vector<TermId>& terms :
         {std::vector<TermId>{0}, std::vector<TermId>{0, 1}, std::vector<TermId>{1, 0}}) {
      const LexicalQuery query = MakeQuery(tail, terms);
      EXPECT_EQ(tail.Search(query, k, all), tail.SearchExhaustively(query, k, all));
    }
  }
  EXPECT_EQ(tail.SearchExhaustively(OneTerm(0, 1, 1), SIZE_MAX, all).size(), 300u);
}

TEST(LexicalTail, MovesWithItsPostings) {
  LexicalTail tail;
  tail.Append(1, {{0, 1}});
  LexicalTail moved = std::move(tail);
  EXPECT_EQ(moved.Search(OneTerm(0, 1, 1), 1, SlotSet(1, true)).size(), 1u);
  tail = std::move(moved);
  EXPECT_EQ(tail.slots(), 1u);
}

// The formula of the header, in double, over plain maps.
class Model {
 public:
  void Append(uint32_t length, std::vector<TermCount> terms) {
    chunks_.push_back({length, std::move(terms)});
  }
  std::map<Slot, double> Scores(const LexicalQuery& query, const SlotSet& allowed) const {
    std::map<Slot, double> scores;
    const double k1 = query.bm25.k1;
    const double b = query.bm25.b;
    for (Slot slot = 0; slot < chunks_.size(); ++slot) {
      if (!allowed.Test(slot)) continue;
      for (const TermCount& t : chunks_[slot].second) {
        for (const LexicalQuery::Term& q : query.terms) {
          if (q.term != t.term) continue;
          const double norm = k1 * (1 - b + b * chunks_[slot].first / query.average_length);
          scores[slot] += q.weight * t.count * (k1 + 1) / (t.count + norm);
        }
      }
    }
    return scores;
  }

 private:
  std::vector<std::pair<uint32_t, std::vector<TermCount>>> chunks_;
};

TEST(LexicalTail, AgreesWithADirectEvaluation) {
  std::mt19937 rng(11);
  const ZipfTerms zipf(60, 0.9);
  LexicalTail tail;
  Model model;
  for (int i = 0; i < 700; ++i) {
    const uint32_t length = rng() % 30;
    const std::vector<TermCount> terms = zipf.Chunk(length, 0.3, rng);
    tail.Append(length, terms);
    model.Append(length, terms);
  }
  SlotSet allowed(700);
  for (Slot slot = 0; slot < 700; ++slot) {
    if (rng() % 3 != 0) allowed.Set(slot);
  }
  for (int i = 0; i < 50; ++i) {
    std::set<TermId> terms;
    for (size_t n = 1 + rng() % 4; terms.size() < n;) terms.insert(zipf(rng));
    const LexicalQuery query = MakeQuery(tail, {terms.begin(), terms.end()});
    const std::map<Slot, double> expected = model.Scores(query, allowed);
    const auto results = tail.Search(query, SIZE_MAX, allowed);
    ASSERT_EQ(results.size(), expected.size());
    for (const ScoredSlot& r : results) {
      ASSERT_TRUE(expected.contains(r.slot));
      EXPECT_NEAR(r.score, expected.at(r.slot), 1e-5 * (1 + expected.at(r.slot)));
    }
  }
}

struct CollectionShape {
  const char* name;
  size_t slots;
  size_t terms;
  double exponent;
  uint32_t longest;
  bool equal_lengths;
};

class LexicalTailProperty : public ::testing::TestWithParam<CollectionShape> {};

SlotSet RandomSet(size_t size, unsigned one_in, std::mt19937& rng) {
  SlotSet set(size);
  for (Slot slot = 0; slot < size; ++slot) {
    if (rng() % one_in == 0) set.Set(slot);
  }
  return set;
}

TEST_P(LexicalTailProperty, PrunedSearchEqualsExhaustiveSearch) {
  const CollectionShape& shape = GetParam();
  std::mt19937 rng(shape.slots);
  const ZipfTerms zipf(shape.terms, shape.exponent);
  LexicalTail tail;
  SlotSet live(shape.slots, true);
  for (Slot slot = 0; slot < shape.slots; ++slot) {
    const uint32_t length = shape.equal_lengths ? shape.longest : rng() % (shape.longest + 1);
    const std::vector<TermCount> terms = zipf.Chunk(length, slot % 2 == 0 ? 0.4 : 0.0, rng);
    tail.Append(length, terms);
    if (rng() % 10 == 0) live.Clear(slot);
  }
  const std::vector<SlotSet> sets = {live, SlotSet(shape.slots, true),
                                     RandomSet(shape.slots, 2, rng),
                                     RandomSet(shape.slots, 200, rng), SlotSet(shape.slots)};
  for (int round = 0; round < 150; ++round) {
    std::set<TermId> picked;
    const size_t wanted = 1 + rng() % (round % 10 == 0 ? 25 : 5);
    for (size_t i = 0; i < wanted; ++i) {
      picked.insert(round % 2 == 0 ? zipf(rng) : rng() % (shape.terms + 5));
    }
    std::vector<TermId> terms(picked.begin(), picked.end());
    std::shuffle(terms.begin(), terms.end(), rng);
    for (const Bm25Parameters bm25 : {Bm25Parameters{0.9f, 0.4f}, Bm25Parameters{0.0f, 0.4f},
                                      Bm25Parameters{1.2f, 0.0f}, Bm25Parameters{2.0f, 1.0f}}) {
      LexicalQuery query = MakeQuery(tail, terms, bm25);
      if (round % 7 == 0) {
        for (auto& term : query.terms) term.weight = 1;
      }
      for (size_t k : {size_t{1}, size_t{2}, size_t{10}, size_t{300}, shape.slots, SIZE_MAX}) {
        const SlotSet& allowed = sets[rng() % sets.size()];
        ASSERT_EQ(tail.Search(query, k, allowed), tail.SearchExhaustively(query, k, allowed))
            << "round " << round << ", k1 " << bm25.k1 << ", b " << bm25.b << ", k " << k;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Collections, LexicalTailProperty,
    ::testing::Values(CollectionShape{"Tiny", 3, 4, 1.0, 4, false},
                      CollectionShape{"Small", 200, 30, 1.0, 20, false},
                      CollectionShape{"ManyTies", 3000, 40, 0.7, 6, true},
                      CollectionShape{"EveryLength", 5000, 400, 1.0, 40, false},
                      CollectionShape{"SeveralWindows", 15'000, 200, 1.2, 12, false}),
    [](const auto& test) { return test.param.name; });

TEST(LexicalTail, PruningLeavesBlocksUnreadInASkewedCollection) {
  std::mt19937 rng(5);
  LexicalTail tail;
  constexpr size_t kSlots = 50'000;
  for (size_t i = 0; i < kSlots; ++i) {
    // Term 0 nearly everywhere, its best chunks in one place; term 1 rare.
    const uint32_t common = i < 200 ? 20 : 1 + rng() % 3;
    std::vector<TermCount> terms = {{0, common}};
    if (i % 2500 == 0) terms.push_back({1, 3});
    tail.Append(40 + rng() % 40, terms);
  }
  const SlotSet all(kSlots, true);
  const uint64_t blocks = (kSlots + LexicalTail::kBlockSize - 1) / LexicalTail::kBlockSize;

  LexicalSearchStats stats;
  const LexicalQuery common = MakeQuery(tail, {0});
  EXPECT_EQ(tail.Search(common, 10, all, &stats), tail.SearchExhaustively(common, 10, all));
  EXPECT_GT(stats.blocks_skipped, blocks * 9 / 10);
  EXPECT_LT(stats.postings_scored, kSlots / 10);

  const LexicalQuery both = MakeQuery(tail, {0, 1});
  EXPECT_EQ(tail.Search(both, 10, all, &stats), tail.SearchExhaustively(both, 10, all));
  EXPECT_GT(stats.blocks_skipped, blocks / 2);

  EXPECT_EQ(tail.Search(common, kSlots, all, &stats).size(), kSlots);
  EXPECT_EQ(stats.blocks_skipped, 0u);
  EXPECT_EQ(stats.postings_scored, kSlots);
}

TEST(LexicalTail, LeavesOutWhatTheFilterLeavesOut) {
  LexicalTail tail;
  for (int i = 0; i < 20'000; ++i) tail.Append(10, {{0, 1 + i % 5u}});
  SlotSet allowed(20'000);
  for (Slot slot : {3u, 19'000u, 19'001u}) allowed.Set(slot);
  LexicalSearchStats stats;
  const auto results = tail.Search(OneTerm(0, 1, 10), 10, allowed, &stats);
  EXPECT_EQ(Slots(results), (std::vector<Slot>{3, 19'001, 19'000}));
  EXPECT_GT(stats.blocks_skipped, 100u);
}

TEST(LexicalTail, CostsFewBytesPerPosting) {
  std::mt19937 rng(9);
  const ZipfTerms zipf(100'000, 1.0);
  LexicalTail tail;
  size_t postings = 0;
  for (int i = 0; i < 40'000; ++i) {
    const std::vector<TermCount> terms = zipf.Chunk(150, 0.3, rng);
    postings += terms.size();
    tail.Append(150, terms);
  }
  const double per_posting = static_cast<double>(tail.MemoryBytes()) / postings;
  EXPECT_LT(per_posting, 6.0);
  EXPECT_GT(per_posting, 3.0) << "less than what the postings themselves take";
}

}  // namespace
}  // namespace cairn::index
