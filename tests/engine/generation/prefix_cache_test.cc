#include "engine/generation/prefix_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace cairn::engine {
namespace {

using Tokens = std::vector<uint32_t>;

constexpr KvLayout kLayout = {kernels::KvType::kI8, 1, 1, 2};

std::unique_ptr<KvPool> PoolOf(size_t pages) {
  return *KvPool::Create(kLayout, pages * kLayout.page_bytes());
}

KvSequence SequenceOf(KvPool* pool, size_t length) {
  KvSequence sequence(pool);
  EXPECT_TRUE(sequence.Reserve(length).ok());
  sequence.Extend(length);
  return sequence;
}

// Pages of equal tokens, one number a page.
Tokens Pages(const std::vector<uint32_t>& numbers, size_t rest = 0) {
  Tokens tokens;
  for (const uint32_t n : numbers) tokens.insert(tokens.end(), kKvPageTokens, n);
  tokens.insert(tokens.end(), rest, 0);
  return tokens;
}

TEST(PrefixCache, FindsTheLongestKnownBeginningInWholePages) {
  const auto pool = PoolOf(20);
  PrefixCache cache(20);
  const KvSequence abc = SequenceOf(pool.get(), 3 * 64 + 5);
  cache.Insert("", Pages({1, 2, 3}, 5), abc);
  EXPECT_EQ(cache.Lookup("", Pages({1, 2, 3}, 30)),
            (std::vector<KvPageRef>{abc.pages()[0], abc.pages()[1], abc.pages()[2]}));
  EXPECT_EQ(cache.Lookup("", Pages({1, 2, 4})),
            (std::vector<KvPageRef>{abc.pages()[0], abc.pages()[1]}));
  Tokens almost = Pages({1, 2});
  almost.pop_back();
  EXPECT_EQ(cache.Lookup("", almost).size(), 1u);
  almost.back() = 9;
  EXPECT_EQ(cache.CountKnown("", almost), 1u);
  // A page means something only after what came before it.
  EXPECT_TRUE(cache.Lookup("", Pages({2, 3})).empty());
  EXPECT_TRUE(cache.Lookup("", {}).empty());
  const PrefixCache::Statistics statistics = cache.statistics();
  EXPECT_EQ(statistics.hit_tokens, 6u * 64);
  EXPECT_EQ(statistics.miss_tokens, 30u + 64 + 63 + 128);
  EXPECT_EQ(statistics.pages, 3u);
}

TEST(PrefixCache, KeepsTheFirstOfEqualPages) {
  const auto pool = PoolOf(20);
  PrefixCache cache(20);
  const KvSequence first = SequenceOf(pool.get(), 128);
  const KvSequence second = SequenceOf(pool.get(), 192);
  cache.Insert("", Pages({1, 2}), first);
  cache.Insert("", Pages({1, 2, 3}), second);
  const std::vector<KvPageRef> found = cache.Lookup("", Pages({1, 2, 3}));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[1], first.pages()[1]);
  EXPECT_EQ(found[2], second.pages()[2]);
}

TEST(PrefixCache, LeastRecentlyUsedPagesGoFirstAndLeavesBeforeTheirStems) {
  const auto pool = PoolOf(20);
  PrefixCache cache(4);
  cache.Insert("", Pages({1, 2}), SequenceOf(pool.get(), 128));
  cache.Insert("", Pages({3, 4}), SequenceOf(pool.get(), 128));
  cache.Lookup("", Pages({1, 2}));
  cache.Insert("", Pages({5}), SequenceOf(pool.get(), 64));
  EXPECT_EQ(cache.CountKnown("", Pages({3, 4})), 1u);
  EXPECT_EQ(cache.CountKnown("", Pages({1, 2})), 2u);
  EXPECT_EQ(pool->pages_in_use(), 4u);
  EXPECT_EQ(cache.Evict(2), 2u);
  EXPECT_EQ(cache.CountKnown("", Pages({3})), 0u);
  EXPECT_EQ(cache.CountKnown("", Pages({1, 2})), 1u);
  EXPECT_EQ(cache.CountKnown("", Pages({5})), 1u);
  EXPECT_EQ(cache.Evict(100), 2u);
  EXPECT_EQ(pool->pages_in_use(), 0u);
  EXPECT_EQ(cache.statistics().evicted_pages, 5u);
}

TEST(PrefixCache, PagesInUseStay) {
  const auto pool = PoolOf(20);
  PrefixCache cache(1);
  KvSequence sequence = SequenceOf(pool.get(), 192);
  cache.Insert("", Pages({1, 2, 3}), sequence);
  EXPECT_EQ(cache.CountKnown("", Pages({1, 2, 3})), 3u);
  EXPECT_EQ(cache.evictable_pages(), 0u);
  EXPECT_EQ(cache.Evict(3), 0u);
  sequence.Truncate(64);
  EXPECT_EQ(cache.evictable_pages(), 2u);
  EXPECT_EQ(cache.Evict(3), 2u);
  EXPECT_EQ(cache.CountKnown("", Pages({1, 2, 3})), 1u);
}

TEST(PrefixCache, ScopesShareNoPagesButTheRoom) {
  const auto pool = PoolOf(20);
  PrefixCache cache(3);
  const KvSequence first = SequenceOf(pool.get(), 128);
  cache.Insert("a", Pages({1, 2}), first);
  EXPECT_EQ(cache.CountKnown("a", Pages({1, 2})), 2u);
  for (const char* const other : {"", "b", "aa"}) {
    EXPECT_EQ(cache.CountKnown(other, Pages({1, 2})), 0u);
    EXPECT_TRUE(cache.Lookup(other, Pages({1, 2})).empty());
  }
  EXPECT_EQ(cache.scopes(), 1u);
  const KvSequence second = SequenceOf(pool.get(), 64);
  cache.Insert("b", Pages({1}), second);
  EXPECT_EQ(cache.Lookup("b", Pages({1, 2})), second.pages());
  EXPECT_EQ(cache.Lookup("a", Pages({1, 2})), first.pages());
  EXPECT_EQ(cache.statistics().pages, 3u);
}

TEST(PrefixCache, AScopeWithoutPagesIsForgotten) {
  const auto pool = PoolOf(20);
  PrefixCache cache(2);
  cache.Insert("short", Pages({}, 63), SequenceOf(pool.get(), 63));
  EXPECT_EQ(cache.scopes(), 0u);
  cache.Insert("a", Pages({1, 2}), SequenceOf(pool.get(), 128));
  cache.Insert("b", Pages({1}), SequenceOf(pool.get(), 64));  // Costs the other a page.
  EXPECT_EQ(cache.CountKnown("a", Pages({1, 2})), 1u);
  EXPECT_EQ(cache.scopes(), 2u);
  cache.Insert("b", Pages({2}), SequenceOf(pool.get(), 64));
  EXPECT_EQ(cache.CountKnown("a", Pages({1, 2})), 0u);
  EXPECT_EQ(cache.scopes(), 1u);
  EXPECT_EQ(cache.Evict(10), 2u);
  EXPECT_EQ(cache.scopes(), 0u);
  cache.Insert("a", Pages({1}), SequenceOf(pool.get(), 64));
  EXPECT_EQ(cache.CountKnown("a", Pages({1})), 1u);
}

// Against a map of every whole-page beginning, with budgets, holders and evictions at random.
TEST(PrefixCache, BehavesAsAMapOfAllBeginnings) {
  const auto pool = PoolOf(400);
  for (uint32_t seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 rng(seed);
    PrefixCache cache(1000);
    using Beginning = std::pair<std::string, Tokens>;  // Of a scope.
    std::map<Beginning, KvPageRef> known;
    std::vector<std::vector<KvPageRef>> held;
    for (int round = 0; round < 300; ++round) {
      std::vector<uint32_t> numbers(rng() % 5);
      for (uint32_t& n : numbers) n = static_cast<uint32_t>(rng() % 3);
      const Tokens tokens = Pages(numbers, rng() % 64);
      const std::string scope = rng() % 2 == 0 ? "" : "other";
      const auto beginning = [&](size_t end) {
        return Beginning(scope,
                         Tokens(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(end)));
      };
      if (rng() % 2 == 0) {
        const KvSequence sequence = SequenceOf(pool.get(), tokens.size());
        cache.Insert(scope, tokens, sequence);
        for (size_t i = 0; i < numbers.size(); ++i) {
          known.emplace(beginning(64 * i + 64), sequence.pages()[i]);
        }
      } else {
        std::vector<KvPageRef> expected;
        for (size_t end = 64; end <= tokens.size(); end += 64) {
          const auto it = known.find(beginning(end));
          if (it == known.end()) break;
          expected.push_back(it->second);
        }
        EXPECT_EQ(cache.CountKnown(scope, tokens), expected.size());
        const std::vector<KvPageRef> found = cache.Lookup(scope, tokens);
        ASSERT_EQ(found, expected);
        if (rng() % 4 == 0) held.push_back(found);
      }
      if (rng() % 20 == 0 && !held.empty()) held.erase(held.begin());
      if (rng() % 10 == 0) {
        const size_t before = cache.statistics().pages;
        std::map<Beginning, const KvPage*> pages;
        for (const auto& [key, page] : known) pages[key] = page.get();
        known.clear();  // So that only holders and the cache hold pages.
        const size_t evicted = cache.Evict(1 + rng() % 4);
        EXPECT_EQ(cache.statistics().pages, before - evicted);
        std::set<const KvPage*> in_use;
        for (const auto& run : held) {
          for (const KvPageRef& page : run) in_use.insert(page.get());
        }
        size_t left = 0;
        for (const auto& [key, page] : pages) {
          const std::vector<KvPageRef> found = cache.Lookup(key.first, key.second);
          if (found.size() * 64 == key.second.size()) {
            known[key] = found.back();
            EXPECT_EQ(found.back().get(), page);
            ++left;
          } else {
            EXPECT_EQ(in_use.count(page), 0u) << "a page in use was evicted";
          }
        }
        EXPECT_EQ(left, before - evicted);
      }
    }
  }
  EXPECT_EQ(pool->pages_in_use(), 0u);
}

}  // namespace
}  // namespace cairn::engine
