#include "chunking/text/byte_pair.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "chunking/text/word_cache.h"

namespace cairn::chunking {
namespace {

std::vector<PairSymbol> Letters(const std::string& word) {
  std::vector<PairSymbol> symbols;
  for (uint32_t i = 0; i < word.size(); ++i) {
    symbols.push_back({static_cast<uint32_t>(word[i]), i, 1});
  }
  return symbols;
}

std::vector<uint32_t> Ids(const std::vector<PairSymbol>& symbols) {
  std::vector<uint32_t> ids;
  uint32_t end = 0;
  for (const PairSymbol& symbol : symbols) {
    EXPECT_EQ(symbol.begin, end);
    end += symbol.size;
    ids.push_back(symbol.id);
  }
  return ids;
}

// Merges of random pairs, of letters and of earlier merges.
MergeTable RandomMerges(std::mt19937* random, uint32_t count) {
  MergeTable table;
  std::map<std::pair<uint32_t, uint32_t>, bool> taken;
  for (uint32_t rank = 0; rank < count; ++rank) {
    const auto part = [&]() {
      return (*random)() % 2 == 0 || rank == 0 ? 'a' + static_cast<uint32_t>((*random)() % 3)
                                               : 1000 + static_cast<uint32_t>((*random)() % rank);
    };
    const uint32_t left = part(), right = part();
    if (!taken.emplace(std::make_pair(left, right), true).second) continue;
    table.Insert(left, right, {rank, 1000 + rank});
  }
  return table;
}

// The definition: look for the best pair, merge it, begin again.
std::vector<PairSymbol> MergeSlowly(const MergeTable& table, std::vector<PairSymbol> symbols) {
  for (;;) {
    PairMerge best;
    size_t at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const PairMerge merge = table.Find(symbols[i].id, symbols[i + 1].id);
      if (merge.rank < best.rank) {
        best = merge;
        at = i;
      }
    }
    if (best.rank == PairMerge::kNone) return symbols;
    symbols[at].id = best.id;
    symbols[at].size += symbols[at + 1].size;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
}

TEST(PairMerger, MergesTheBestPairFirstInShortAndLongWords) {
  std::mt19937 random(1);
  PairMerger merger;
  for (int i = 0; i < 2000; ++i) {
    const MergeTable table = RandomMerges(&random, 1 + random() % 30);
    std::string word;
    for (unsigned k = random() % 100; k > 0; --k) word += static_cast<char>('a' + random() % 3);
    std::vector<PairSymbol> symbols = Letters(word);
    const std::vector<uint32_t> expected = Ids(MergeSlowly(table, symbols));
    merger.Merge(&symbols, [&](const PairSymbol& left, const PairSymbol& right) {
      return table.Find(left.id, right.id);
    });
    ASSERT_EQ(Ids(symbols), expected) << word;
  }
}

TEST(PairMerger, TakesWordsOfMillionsOfBytes) {
  MergeTable table;
  table.Insert('a', 'a', {0, 1000});
  table.Insert(1000, 1000, {1, 1001});
  table.Insert(1001, 1001, {2, 1002});
  std::vector<PairSymbol> symbols = Letters(std::string(2'000'000, 'a'));
  PairMerger().Merge(&symbols, [&](const PairSymbol& left, const PairSymbol& right) {
    return table.Find(left.id, right.id);
  });
  EXPECT_EQ(Ids(symbols), std::vector<uint32_t>(250'000, 1002));
}

TEST(MergeTable, TheLaterOfTwoMergesOfAPairCounts) {
  MergeTable table;
  EXPECT_EQ(table.Find(1, 2).rank, PairMerge::kNone);
  for (uint32_t i = 0; i < 1000; ++i) table.Insert(i, i + 1, {i, i});
  table.Insert(5, 6, {7, 8});
  EXPECT_EQ(table.Find(5, 6).rank, 7u);
  EXPECT_EQ(table.Find(5, 6).id, 8u);
  EXPECT_EQ(table.Find(999, 1000).id, 999u);
  EXPECT_EQ(table.Find(6, 5).rank, PairMerge::kNone);
}

TEST(WordCache, GivesBackWhatFits) {
  WordCache cache(1 << 20);
  std::vector<PairSymbol> symbols = {{1, 0, 3}, {2, 3, 2}}, found;
  EXPECT_FALSE(cache.Find("hello", &found));
  cache.Put("hello", symbols);
  ASSERT_TRUE(cache.Find("hello", &found));
  EXPECT_EQ(Ids(found), (std::vector<uint32_t>{1, 2}));
  EXPECT_FALSE(cache.Find("hellO", &found));
  const std::string most(32, 'x'), more(33, 'x');
  cache.Put(most, {{1, 0, 32}});
  EXPECT_TRUE(cache.Find(most, &found));
  cache.Put(more, {{1, 0, 33}});
  EXPECT_FALSE(cache.Find(more, &found));
  cache.Put("sevenxx", Letters("sevenxx"));
  EXPECT_FALSE(cache.Find("sevenxx", &found));
}

TEST(WordCache, ShortTextsDoWithout) {
  WordCache cache(100);
  std::vector<PairSymbol> symbols = {{1, 0, 1}};
  cache.Put("a", symbols);
  EXPECT_FALSE(cache.Find("a", &symbols));
}

}  // namespace
}  // namespace cairn::chunking
