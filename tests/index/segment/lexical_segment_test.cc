#include "index/segment/lexical_segment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "index/lexical_search.h"
#include "index/lexical_tail.h"
#include "index/slot_set.h"
#include "kernels/top_k.h"
#include "tests/support/lexical_part.h"
#include "tests/support/zipf_collection.h"

namespace cairn::index {
namespace {

using cairn::testing::AllPostings;
using cairn::testing::LexicalPart;
using cairn::testing::MakeQuery;
using cairn::testing::TermPostings;
using cairn::testing::WriteLexicalPart;
using cairn::testing::ZipfTerms;

std::vector<ScoredSlot> Search(const PostingSource& postings, absl::Span<const uint32_t> lengths,
                               const LexicalQuery& query, size_t k, const SlotSet& allowed) {
  kernels::TopK top(k);
  SearchBlockMax(postings, lengths, query, allowed, 0, &top, k, nullptr);
  std::vector<ScoredSlot> results;
  for (const kernels::TopK::Entry& e : top.TakeSorted()) results.push_back({e.slot, e.score});
  return results;
}

// The worked example of docs/formats/segment-postings.md.
const uint32_t kExampleLengths[] = {3, 1, 4, 300, 2};
std::string ExampleBytes() {
  return WriteLexicalPart(kExampleLengths, {{7, {{0, 2}, {2, 1}, {3, 300}}}, {9, {{4, 1}}}});
}

TEST(LexicalSegment, WritesTheWorkedExampleOfItsFormat) {
  const std::string bytes = ExampleBytes();
  const std::string data(bytes);
  const auto at = [&](size_t offset, std::vector<uint8_t> expected) {
    ASSERT_LE(offset + expected.size(), data.size());
    EXPECT_EQ(std::vector<uint8_t>(data.begin() + offset, data.begin() + offset + expected.size()),
              expected)
        << "at " << offset;
  };
  at(64, {3, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0x2c, 1, 0, 0, 2, 0, 0, 0});
  at(128, {0, 0, 0, 0, 1, 8, 5, 0, 0xf8, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  at(192, {1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0,    0, 0, 0, 0,  //
           7, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0,                 //
           3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x80, 4, 0, 0, 0});
  at(256, {7, 0, 0, 0, 3, 0, 0, 0, 0x2c, 1, 0, 0});
}

TEST(LexicalSegment, ReturnsWhatWasWritten) {
  const LexicalPart part(ExampleBytes());
  ASSERT_TRUE(part.status().ok()) << part.status();
  EXPECT_TRUE(part->Check().ok()) << part->Check();
  EXPECT_EQ(part->lengths(), absl::MakeConstSpan(kExampleLengths));
  std::vector<TermId> terms = {1};
  part->AppendTerms(&terms);
  EXPECT_EQ(terms, (std::vector<TermId>{1, 7, 9}));
  std::vector<Posting> postings = {{99, 99}};
  part->Decode(7, &postings);
  EXPECT_EQ(postings, (std::vector<Posting>{{0, 2}, {2, 1}, {3, 300}}));
  part->Decode(9, &postings);
  EXPECT_EQ(postings, (std::vector<Posting>{{4, 1}}));
  EXPECT_EQ(part->Frequency(7), 3u);
  EXPECT_EQ(part->Frequency(9), 1u);
  for (TermId absent : {0u, 6u, 8u, 10u, UINT32_MAX}) {
    EXPECT_EQ(part->Frequency(absent), 0u);
    part->Decode(absent, &postings);
    EXPECT_TRUE(postings.empty());
  }
}

TEST(LexicalSegment, MayBeEmpty) {
  for (size_t slots : {0, 1, 5}) {
    const LexicalPart part(WriteLexicalPart(std::vector<uint32_t>(slots, 0), {}));
    ASSERT_TRUE(part.status().ok()) << part.status();
    EXPECT_TRUE(part->Check().ok());
    EXPECT_TRUE(AllPostings(*part).empty());
    LexicalQuery query;
    query.terms = {{0, 1}};
    EXPECT_TRUE(Search(*part, part->lengths(), query, 10, SlotSet(slots, true)).empty());
  }
}

TEST(LexicalSegment, MayHoldOneSlot) {
  const std::vector<uint32_t> lengths = {4};
  const LexicalPart part(WriteLexicalPart(lengths, {{0, {{0, 1}}}, {5, {{0, 3}}}}));
  ASSERT_TRUE(part.status().ok());
  EXPECT_TRUE(part->Check().ok());
  LexicalQuery query;
  query.terms = {{5, 1}, {0, 1}};
  query.average_length = 4;
  EXPECT_EQ(Search(*part, lengths, query, 10, SlotSet(1, true)).size(), 1u);
  EXPECT_TRUE(Search(*part, lengths, query, 10, SlotSet(1, false)).empty());
}

TEST(LexicalSegment, ReturnsListsOfEverySizeAndSpread) {
  std::mt19937 random(1);
  constexpr size_t kSlots = 400'000;
  std::vector<uint32_t> lengths(kSlots);
  for (uint32_t& length : lengths) length = random() % 70'000;
  std::vector<TermPostings> terms;
  TermId term = 0;
  const auto add = [&](size_t count, size_t span, uint32_t most) {
    std::set<Slot> slots;
    const Slot base = random() % (kSlots - span + 1);
    while (slots.size() < count) slots.insert(base + random() % span);
    TermPostings list = {term += 1 + random() % 3, {}};
    for (Slot slot : slots)
      list.postings.push_back({slot, 1 + static_cast<uint32_t>(random()) % most});
    terms.push_back(std::move(list));
  };
  for (size_t count = 1; count <= 300; ++count)
    add(count, count + random() % 5000, 1 + random() % 6);
  for (size_t count : {1, 2, 127, 128, 129, 255, 256, 257, 1000}) {
    for (size_t span : {size_t{1000}, size_t{70'000}, kSlots}) {
      for (uint32_t most : {1u, 254u, 255u, 256u, 300u, 1u << 21, UINT32_MAX}) {
        add(count, span, most);
      }
    }
  }
  const LexicalPart part(WriteLexicalPart(lengths, terms));
  ASSERT_TRUE(part.status().ok()) << part.status();
  EXPECT_TRUE(part->Check().ok()) << part->Check();
  std::vector<Posting> decoded;
  for (const TermPostings& list : terms) {
    part->Decode(list.term, &decoded);
    ASSERT_EQ(decoded, list.postings) << "term " << list.term;
    ASSERT_EQ(part->Frequency(list.term), list.postings.size());
  }
}

TEST(LexicalSegment, FindsEveryTermOfADictionaryOfAnySize) {
  std::mt19937 random(2);
  for (size_t count : {1, 63, 64, 65, 127, 128, 129, 1000, 5000}) {
    std::set<TermId> ids;
    while (ids.size() < count) {
      ids.insert(random() % 3 == 0 ? random() : static_cast<TermId>(random() % (2 * count)));
    }
    std::vector<TermPostings> terms;
    for (TermId id : ids)
      terms.push_back({id, {{static_cast<Slot>(terms.size() % 7), 1 + id % 3}}});
    const LexicalPart part(WriteLexicalPart(std::vector<uint32_t>(7, 1), terms));
    ASSERT_TRUE(part.status().ok());
    EXPECT_TRUE(part->Check().ok());
    std::vector<Posting> decoded;
    for (const TermPostings& list : terms) {
      part->Decode(list.term, &decoded);
      ASSERT_EQ(decoded, list.postings);
      for (TermId near : {list.term - 1, list.term + 1}) {
        ASSERT_EQ(part->Frequency(near), ids.count(near));
      }
    }
  }
}

TEST(LexicalSegment, RefusesAnotherNumberOfSlots) {
  const std::string bytes = ExampleBytes();
  const auto file = SectionFile::FromBytes(bytes);
  ASSERT_TRUE(file.ok());
  for (uint64_t slots : {uint64_t{0}, uint64_t{4}, uint64_t{6}, uint64_t{UINT32_MAX}, UINT64_MAX}) {
    EXPECT_EQ(LexicalSegment::Open(*file, slots).status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST(LexicalSegment, RefusesAnotherVersion) {
  std::string bytes = ExampleBytes();
  bytes[192] = 2;
  EXPECT_EQ(LexicalPart(bytes).status().code(), absl::StatusCode::kUnimplemented);
}

// A posting source with its base and what is allowed of it.
struct Part {
  std::unique_ptr<LexicalTail> tail;
  std::unique_ptr<LexicalPart> segment;  // Instead of the tail, if set.
  SlotSet allowed;
  uint32_t base = 0;
  size_t slots() const { return tail->slots(); }
  const PostingSource& postings() const {
    return segment != nullptr ? static_cast<const PostingSource&>(**segment) : tail->postings();
  }
  absl::Span<const uint32_t> lengths() const {
    return segment != nullptr ? (*segment)->lengths() : tail->lengths();
  }
};

struct SegmentedShape {
  const char* name;
  size_t slots;
  size_t terms;
  double exponent;
  uint32_t longest;
  bool equal_lengths;
};

class Segmentations : public ::testing::TestWithParam<SegmentedShape> {
 protected:
  struct Chunk {
    uint32_t length = 0;
    std::vector<TermCount> terms;
  };

  Segmentations() : rng_(GetParam().slots), zipf_(GetParam().terms, GetParam().exponent) {
    const SegmentedShape& shape = GetParam();
    for (size_t i = 0; i < shape.slots; ++i) {
      Chunk chunk;
      chunk.length = shape.equal_lengths ? shape.longest : rng_() % (shape.longest + 1);
      chunk.terms = zipf_.Chunk(chunk.length, i % 2 == 0 ? 0.4 : 0.0, rng_);
      if (!chunk.terms.empty() && rng_() % 50 == 0) {
        chunk.terms[rng_() % chunk.terms.size()].count = 250 + rng_() % 2'000'000;
      }
      whole_.Append(chunk.length, chunk.terms);
      chunks_.push_back(std::move(chunk));
    }
  }

  // Cuts at random places; `allowed` is of the whole.
  std::vector<Part> Cut(size_t parts, const SlotSet& allowed) {
    std::set<size_t> cuts = {0, chunks_.size()};
    for (size_t i = 1; i < parts; ++i) cuts.insert(rng_() % (chunks_.size() + 1));
    std::vector<Part> result;
    for (auto it = cuts.begin(); std::next(it) != cuts.end(); ++it) {
      Part part;
      part.base = static_cast<uint32_t>(*it);
      part.tail = std::make_unique<LexicalTail>();
      for (size_t i = *it; i < *std::next(it); ++i) {
        part.tail->Append(chunks_[i].length, chunks_[i].terms);
        part.allowed.Resize(i - *it + 1, allowed.Test(static_cast<Slot>(i)));
      }
      if (rng_() % 4 != 0) {
        part.segment = std::make_unique<LexicalPart>(*part.tail);
        EXPECT_TRUE(part.segment->status().ok());
        EXPECT_TRUE((*part.segment)->Check().ok()) << (*part.segment)->Check();
      }
      result.push_back(std::move(part));
    }
    return result;
  }

  LexicalQuery RandomQuery(int round) {
    std::set<TermId> picked;
    const size_t wanted = 1 + rng_() % (round % 10 == 0 ? 25 : 5);
    for (size_t i = 0; i < wanted; ++i) {
      picked.insert(round % 2 == 0 ? zipf_(rng_) : rng_() % (GetParam().terms + 5));
    }
    std::vector<TermId> terms(picked.begin(), picked.end());
    std::shuffle(terms.begin(), terms.end(), rng_);
    const Bm25Parameters bm25[] = {{0.9f, 0.4f}, {0.0f, 0.4f}, {1.2f, 0.0f}, {2.0f, 1.0f}};
    LexicalQuery query = MakeQuery(whole_, terms, bm25[rng_() % 4]);
    if (round % 7 == 0) {
      for (auto& term : query.terms) term.weight = 1;
    }
    return query;
  }

  std::mt19937 rng_;
  ZipfTerms zipf_;
  std::vector<Chunk> chunks_;
  LexicalTail whole_;
};

TEST_P(Segmentations, RankAsOneTailDoes) {
  const size_t slots = chunks_.size();
  for (int cut = 0; cut < 6; ++cut) {
    SlotSet allowed(slots);
    const unsigned one_in = std::vector<unsigned>{1, 1, 2, 10, 200, 3}[cut];
    for (Slot slot = 0; slot < slots; ++slot) {
      if (rng_() % one_in == 0) allowed.Set(slot);
    }
    const std::vector<Part> parts = Cut(1 + cut, allowed);
    for (int round = 0; round < 60; ++round) {
      const LexicalQuery query = RandomQuery(round);
      for (size_t k : {size_t{1}, size_t{2}, size_t{10}, size_t{1000}, slots, SIZE_MAX}) {
        kernels::TopK top(k);
        for (const Part& part : parts) {
          SearchBlockMax(part.postings(), part.lengths(), query, part.allowed, part.base, &top, k,
                         nullptr);
        }
        std::vector<ScoredSlot> found;
        for (const kernels::TopK::Entry& e : top.TakeSorted()) found.push_back({e.slot, e.score});
        ASSERT_EQ(found, whole_.SearchExhaustively(query, k, allowed))
            << parts.size() << " parts, round " << round << ", k " << k;
      }
    }
  }
}

TEST_P(Segmentations, MergeIntoWhatOneSegmentOfTheLiveIs) {
  const size_t slots = chunks_.size();
  SlotSet live(slots);
  for (Slot slot = 0; slot < slots; ++slot) {
    if (rng_() % 3 != 0) live.Set(slot);
  }
  LexicalTail expected;
  std::vector<Slot> renumbered(slots);
  for (Slot slot = 0; slot < slots; ++slot) {
    renumbered[slot] = static_cast<Slot>(expected.slots());
    if (live.Test(slot)) expected.Append(chunks_[slot].length, chunks_[slot].terms);
  }
  std::map<TermId, std::vector<Posting>> merged;
  for (const Part& part : Cut(4, live)) {
    for (const TermPostings& list : AllPostings(part.postings())) {
      for (const Posting& p : list.postings) {
        if (!part.allowed.Test(p.slot)) continue;
        merged[list.term].push_back({renumbered[part.base + p.slot], p.count});
      }
    }
  }
  std::vector<TermPostings> terms;
  for (auto& [term, postings] : merged) terms.push_back({term, postings});
  const std::string bytes = WriteLexicalPart(expected.lengths(), terms);
  EXPECT_EQ(bytes, WriteLexicalPart(expected.lengths(), AllPostings(expected.postings())));
  const LexicalPart part(bytes);
  ASSERT_TRUE(part.status().ok());
  EXPECT_TRUE(part->Check().ok());
  const SlotSet all(expected.slots(), true);
  for (int round = 0; round < 30; ++round) {
    const LexicalQuery query = RandomQuery(round);
    EXPECT_EQ(Search(*part, part->lengths(), query, 10, all),
              expected.SearchExhaustively(query, 10, all));
  }
}

INSTANTIATE_TEST_SUITE_P(Collections, Segmentations,
                         ::testing::Values(SegmentedShape{"Tiny", 3, 4, 1.0, 4, false},
                                           SegmentedShape{"Small", 200, 30, 1.0, 20, false},
                                           SegmentedShape{"ManyTies", 3000, 40, 0.7, 6, true},
                                           SegmentedShape{"EveryLength", 5000, 400, 1.0, 40, false},
                                           SegmentedShape{"SeveralWindows", 15'000, 200, 1.2, 12,
                                                          false}),
                         [](const auto& test) { return test.param.name; });

TEST(LexicalSegment, RanksListsThatSpanMoreThanSixteenBits) {
  LexicalTail tail;
  constexpr Slot kSlots = 300'000;
  for (Slot slot = 0; slot < kSlots; ++slot) {
    std::vector<TermCount> terms;
    if (slot % 1000 == 0) terms.push_back({0, 1 + slot / 1000 % 5});
    if (slot % 5 == 0) terms.push_back({1, 1 + slot % 4});
    if (slot % 777 == 3) terms.push_back({2, 1});
    tail.Append(1 + slot * 7919 % 31, terms);
  }
  const LexicalPart part(tail);
  ASSERT_TRUE(part.status().ok());
  EXPECT_TRUE(part->Check().ok());
  const SlotSet all(kSlots, true);
  for (size_t k : {1, 10, 400}) {
    for (const std::vector<TermId>& terms :
         {std::vector<TermId>{0}, std::vector<TermId>{0, 1}, std::vector<TermId>{1, 2, 0}}) {
      const LexicalQuery query = MakeQuery(tail, terms);
      EXPECT_EQ(Search(*part, part->lengths(), query, k, all),
                tail.SearchExhaustively(query, k, all));
    }
  }
}

TEST(LexicalSearch, AFullCollectorKeepsALaterPartUnread) {
  LexicalTail tail;
  for (int i = 0; i < 10'000; ++i) tail.Append(10, {{0, 2}, {1, 1}});
  const LexicalPart part(tail);
  const SlotSet all(10'000, true);
  const LexicalQuery query = MakeQuery(tail, {0, 1});
  kernels::TopK top(3);
  LexicalSearchStats stats;
  SearchBlockMax(tail.postings(), tail.lengths(), query, all, 0, &top, 3, &stats);
  SearchBlockMax(*part, part->lengths(), query, all, 10'000, &top, 3, &stats);
  EXPECT_EQ(stats.postings_scored, 0u) << "what ties comes too late";
  EXPECT_EQ(top.TakeSorted().back().slot, 2u);
}

TEST(LexicalSearch, ALongListIsGivenUpOnTheWay) {
  constexpr size_t kSlots = 200'000;
  LexicalTail tail;
  for (size_t i = 0; i < kSlots; ++i) tail.Append(10, {{0, 2}});
  const LexicalQuery query = MakeQuery(tail, {0});
  int asked = 0;
  const Cancellation cancellation([&] { return ++asked == 2; });
  kernels::TopK top(kSlots);
  SearchBlockMax(tail.postings(), tail.lengths(), query, SlotSet(kSlots, true), 0, &top, kSlots,
                 nullptr, &cancellation);
  EXPECT_EQ(asked, 2);
  EXPECT_GT(top.size(), 0u);
  EXPECT_LT(top.size(), kSlots);
}

TEST(LexicalSegment, TakesFewBytesPerPosting) {
  std::mt19937 rng(9);
  const ZipfTerms zipf(100'000, 1.0);
  LexicalTail tail;
  size_t postings = 0;
  for (int i = 0; i < 40'000; ++i) {
    const std::vector<TermCount> terms = zipf.Chunk(150, 0.3, rng);
    postings += terms.size();
    tail.Append(150, terms);
  }
  const std::string bytes = WriteLexicalPart(tail.lengths(), AllPostings(tail.postings()));
  EXPECT_LT(static_cast<double>(bytes.size()) / postings, 2.5);
}

// Files whose bytes are not what was written, as if their hash had not told.
class LexicalDamage : public ::testing::Test {
 protected:
  LexicalDamage() {
    std::mt19937 rng(3);
    const ZipfTerms zipf(300, 1.0);
    for (int i = 0; i < 1500; ++i) {
      std::vector<TermCount> terms = zipf.Chunk(rng() % 30, 0.3, rng);
      if (i % 40 == 0 && !terms.empty()) terms[0].count = 200 + rng() % 1000;
      tail_.Append(rng() % 100, terms);
    }
    bytes_ = WriteLexicalPart(tail_.lengths(), AllPostings(tail_.postings()));
  }

  // True if the part passes its check, and then it can be searched.
  bool Passes(const std::string& bytes) const {
    const LexicalPart part(bytes);
    if (!part.status().ok()) return false;
    const absl::Status status = part->Check();
    if (!status.ok()) {
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
      return false;
    }
    const SlotSet all(part->lengths().size(), true);
    for (const std::vector<TermId>& terms :
         {std::vector<TermId>{0}, std::vector<TermId>{3, 1, 20}}) {
      const LexicalQuery query = MakeQuery(tail_, terms);
      const size_t found = Search(*part, part->lengths(), query, 50, all).size();
      EXPECT_LE(found, 50u);
    }
    return true;
  }

  LexicalTail tail_;
  std::string bytes_;
};

TEST_F(LexicalDamage, IsNoticedOrHarmless) {
  ASSERT_TRUE(Passes(bytes_));
  std::mt19937 rng(4);
  size_t passed = 0;
  constexpr int kFlips = 3000;
  for (int i = 0; i < kFlips; ++i) {
    std::string bytes = bytes_;
    bytes[rng() % bytes.size()] ^= static_cast<char>(1 << rng() % 8);
    passed += Passes(bytes);
  }
  // Lengths, counts below their bounds, and the file's own hash may change unseen.
  EXPECT_LT(passed, kFlips * 3 / 4);
}

TEST_F(LexicalDamage, OfManyBytesIsNoticedOrHarmless) {
  std::mt19937 rng(5);
  for (int i = 0; i < 1000; ++i) {
    std::string bytes = bytes_;
    const size_t begin = 64 + rng() % (bytes.size() - 64);
    const size_t end = std::min(bytes.size(), begin + 1 + rng() % 200);
    for (size_t at = begin; at < end; ++at) bytes[at] = static_cast<char>(rng());
    Passes(bytes);
  }
}

TEST_F(LexicalDamage, OfTheDictionaryIsNoticedUnlessItMakesAnotherDictionary) {
  const LexicalPart part(bytes_);
  ASSERT_TRUE(part.status().ok());
  const std::vector<TermPostings> before = AllPostings(*part);
  const auto file = SectionFile::FromBytes(bytes_);
  ASSERT_TRUE(file.ok());
  const std::string_view terms = *(*file)->Bytes(Section::kTerms);
  const size_t begin = terms.data() - bytes_.data();
  std::mt19937 rng(6);
  for (int i = 0; i < 500; ++i) {
    std::string bytes = bytes_;
    bytes[begin + rng() % terms.size()] ^= static_cast<char>(1 << rng() % 8);
    const LexicalPart damaged(bytes);
    if (!damaged.status().ok() || !damaged->Check().ok()) continue;
    const std::vector<TermPostings> after = AllPostings(*damaged);
    ASSERT_EQ(before.size(), after.size());
    size_t different = 0;
    for (size_t t = 0; t < before.size(); ++t) {
      if (before[t].term == after[t].term && before[t].postings == after[t].postings) continue;
      ++different;
      // Another id that is still in order, or another posting of a term that has but one.
      if (before[t].term != after[t].term) {
        EXPECT_EQ(before[t].postings, after[t].postings);
      } else {
        EXPECT_EQ(before[t].postings.size(), 1u);
        EXPECT_EQ(after[t].postings.size(), 1u);
      }
    }
    EXPECT_EQ(different, 1u);
  }
}

TEST_F(LexicalDamage, TruncationIsRefused) {
  for (size_t size = 0; size < bytes_.size(); size += 37) {
    EXPECT_FALSE(LexicalPart(std::string_view(bytes_).substr(0, size)).status().ok());
  }
}

}  // namespace
}  // namespace cairn::index
