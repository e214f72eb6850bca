#include "engine/model/attention_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "kernels/attention.h"

namespace cairn::engine {
namespace {

// Pages are only compared, so any addresses do.
const std::byte* Page(size_t number) {
  return reinterpret_cast<const std::byte*>((number + 1) * 4096);
}

struct Sequence {
  std::vector<const std::byte*> pages;
  std::vector<uint32_t> slots;
};

AttentionPlan Plan(const std::vector<Sequence>& sequences, size_t group, size_t window) {
  std::vector<PlannedSequence> planned;
  size_t rows = 0;
  for (const Sequence& s : sequences) {
    planned.push_back({s.pages.data(), rows, s.slots});
    rows += s.slots.size();
  }
  return PlanAttention(planned, rows, group, window);
}

// Every row meets each tile that it sees exactly once, on its own sequence's page.
void ExpectComplete(const std::vector<Sequence>& sequences, const AttentionPlan& plan, size_t group,
                    size_t window) {
  std::map<std::pair<uint32_t, uint32_t>, const std::byte*> met;  // (row, tile) to page.
  std::map<uint32_t, std::set<uint32_t>> ordinals;
  for (const AttentionJob& job : plan.jobs) {
    EXPECT_LT(job.tile_begin, job.tile_end);
    EXPECT_LE(job.parts, std::max<size_t>(1, kernels::kAttentionRows / group));
    for (uint32_t p = job.first_part; p < job.first_part + job.parts; ++p) {
      EXPECT_TRUE(ordinals[plan.parts[p].row].insert(plan.parts[p].ordinal).second);
      for (uint32_t t = job.tile_begin; t < job.tile_end; ++t) {
        const AttentionRow& row = plan.rows[plan.parts[p].row];
        if (t * 64 >= row.limit) continue;  // Others of the job see it, this one is masked.
        EXPECT_TRUE(met.emplace(std::pair(plan.parts[p].row, t), job.pages[t]).second);
      }
    }
  }
  uint32_t row = 0, partials = 0;
  for (const Sequence& s : sequences) {
    for (uint32_t slot : s.slots) {
      const AttentionRow& planned = plan.rows[row];
      EXPECT_EQ(planned.limit, slot + 1);
      EXPECT_EQ(planned.first, window != 0 && slot + 1 > window ? slot + 1 - window : 0);
      for (uint32_t t = planned.first / 64; t <= slot / 64; ++t) {
        const auto found = met.find({row, t});
        ASSERT_NE(found, met.end()) << "row " << row << " misses tile " << t;
        EXPECT_EQ(found->second, s.pages[t]);
      }
      EXPECT_EQ(ordinals[row].size(), planned.partials);
      EXPECT_EQ(*ordinals[row].rbegin() + 1, planned.partials);
      if (planned.partials > 1) {
        EXPECT_EQ(planned.base, partials);
        partials += planned.partials;
      }
      ++row;
    }
  }
  EXPECT_EQ(plan.partials, partials);
}

TEST(AttentionPlan, APrefillAndADecodeMeetEveryTileOnce) {
  Sequence prefill, decode;
  for (size_t i = 0; i < 40; ++i) {
    prefill.pages.push_back(Page(i));
    decode.pages.push_back(Page(100 + i));
  }
  for (uint32_t i = 500; i < 1000; ++i) prefill.slots.push_back(i);
  decode.slots = {2000};
  for (size_t group : {1u, 4u, 7u, 80u}) {
    for (size_t window : {0u, 100u, 1500u}) {
      const std::vector<Sequence> sequences = {prefill, decode};
      ExpectComplete(sequences, Plan(sequences, group, window), group, window);
    }
  }
}

TEST(AttentionPlan, SharedPagesAreOneJobForAllWhoShareThem) {
  std::vector<Sequence> sequences(8);
  for (size_t i = 0; i < 8; ++i) {
    for (size_t p = 0; p < 4; ++p) sequences[i].pages.push_back(Page(p));
    sequences[i].pages.push_back(Page(10 + i));
    sequences[i].slots = {static_cast<uint32_t>(4 * 64 + i)};
  }
  const AttentionPlan plan = Plan(sequences, 4, 0);
  ExpectComplete(sequences, plan, 4, 0);
  const auto shared = std::find_if(plan.jobs.begin(), plan.jobs.end(),
                                   [](const AttentionJob& job) { return job.parts == 8; });
  ASSERT_NE(shared, plan.jobs.end());
  EXPECT_EQ(shared->tile_begin, 0u);
  EXPECT_EQ(shared->tile_end, 4u);
  EXPECT_EQ(plan.jobs.size(), 9u);
}

TEST(AttentionPlan, RandomTreesOfPrefixesAreComplete) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<Sequence> sequences(1 + random() % 12);
    size_t next = 0;
    for (size_t i = 0; i < sequences.size(); ++i) {
      Sequence& s = sequences[i];
      if (i > 0 && random() % 4 != 0) {  // Branches off an earlier one.
        const Sequence& from = sequences[random() % i];
        s.pages.assign(
            from.pages.begin(),
            from.pages.begin() + static_cast<std::ptrdiff_t>(random() % (from.pages.size() + 1)));
      }
      for (size_t more = 1 + random() % 20; more > 0; --more) s.pages.push_back(Page(next++));
      const auto tokens = static_cast<uint32_t>(s.pages.size() * 64 - random() % 64);
      const uint32_t rows = random() % 3 == 0 ? 1 + random() % tokens : 1;
      for (uint32_t r = tokens - rows; r < tokens; ++r) {
        if (rows == 1 || random() % 2 == 0 || r + 1 == tokens) s.slots.push_back(r);
      }
    }
    const size_t group = 1 + random() % 9, window = random() % 2 == 0 ? 0 : 1 + random() % 900;
    ExpectComplete(sequences, Plan(sequences, group, window), group, window);
  }
}

}  // namespace
}  // namespace cairn::engine
