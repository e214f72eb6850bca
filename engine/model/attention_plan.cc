#include "engine/model/attention_plan.h"

#include <algorithm>

#include "kernels/attention.h"

namespace cairn::engine {
namespace {

// Tiles that one job takes a few rows through, so that others can take the rest: 512 tokens.
constexpr uint32_t kSplitTiles = 8;
// Sequences with at least this many groups of rows have jobs enough without splitting.
constexpr size_t kUnsplitGroups = 4;

class Planner {
 public:
  Planner(size_t rows, size_t group, size_t window)
      : window_(window), rows_per_job_(std::max<size_t>(1, kernels::kAttentionRows / group)) {
    plan_.rows.resize(rows);
  }

  void AddSequence(const PlannedSequence& sequence) {
    for (size_t i = 0; i < sequence.slots.size(); ++i) {
      AttentionRow& row = plan_.rows[sequence.first_row + i];
      row.limit = sequence.slots[i] + 1;
      row.first =
          window_ != 0 && row.limit > window_ ? row.limit - static_cast<uint32_t>(window_) : 0;
    }
    if (sequence.slots.size() == 1) {
      single_.push_back(&sequence);
      return;
    }
    const size_t groups = (sequence.slots.size() + rows_per_job_ - 1) / rows_per_job_;
    std::vector<uint32_t> rows;
    for (size_t i = 0; i < sequence.slots.size(); i += rows_per_job_) {
      rows.clear();
      const size_t end = std::min(sequence.slots.size(), i + rows_per_job_);
      for (size_t r = i; r < end; ++r)
        rows.push_back(static_cast<uint32_t>(sequence.first_row + r));
      const uint32_t tiles = sequence.slots[end - 1] / kernels::kKvTileTokens + 1;
      AddJobs(sequence.pages, rows, 0, tiles, groups < kUnsplitGroups);
    }
  }

  AttentionPlan Finish() {
    if (!single_.empty()) AddShared(single_, 0);
    for (AttentionRow& row : plan_.rows) {
      row.base = static_cast<uint32_t>(plan_.partials);
      if (row.partials > 1) plan_.partials += row.partials;
    }
    return std::move(plan_);
  }

 private:
  static uint32_t TilesOf(const PlannedSequence& sequence) {
    return sequence.slots[0] / kernels::kKvTileTokens + 1;
  }

  // Sequences of one row each that share their pages before `depth`.
  void AddShared(std::vector<const PlannedSequence*> sequences, uint32_t depth) {
    while (!sequences.empty()) {
      if (sequences.size() == 1) {
        AddRows(sequences, depth, TilesOf(*sequences[0]), /*split=*/true);
        return;
      }
      // As far as the first one's pages are everyone's; its last page is its own.
      uint32_t end = depth;
      const PlannedSequence& first = *sequences[0];
      const auto shares = [&](const PlannedSequence* other) {
        return end + 1 < TilesOf(*other) && other->pages[end] == first.pages[end];
      };
      while (std::all_of(sequences.begin(), sequences.end(), shares)) ++end;
      if (end > depth) AddRows(sequences, depth, end, /*split=*/true);
      depth = end;
      // Those that go the first one's way, then the others.
      const auto others = std::stable_partition(
          sequences.begin(), sequences.end(), [&](const PlannedSequence* other) {
            return other == &first || (depth + 1 < TilesOf(*other) && depth + 1 < TilesOf(first) &&
                                       other->pages[depth] == first.pages[depth]);
          });
      AddShared({sequences.begin(), others}, depth);
      sequences.erase(sequences.begin(), others);
    }
  }

  void AddRows(const std::vector<const PlannedSequence*>& sequences, uint32_t begin, uint32_t end,
               bool split) {
    std::vector<uint32_t> rows;
    for (size_t i = 0; i < sequences.size(); ++i) {
      rows.push_back(static_cast<uint32_t>(sequences[i]->first_row));
      if (rows.size() < rows_per_job_ && i + 1 < sequences.size()) continue;
      AddJobs(sequences[i]->pages, rows, begin, end, split);
      rows.clear();
    }
  }

  void AddJobs(const std::byte* const* pages, const std::vector<uint32_t>& rows, uint32_t begin,
               uint32_t end, bool split) {
    uint32_t first = plan_.rows[rows[0]].first, limit = 0;
    for (uint32_t r : rows) {
      first = std::min(first, plan_.rows[r].first);
      limit = std::max(limit, plan_.rows[r].limit);
    }
    constexpr auto kTile = static_cast<uint32_t>(kernels::kKvTileTokens);
    begin = std::max(begin, first / kTile);
    end = std::min(end, (limit + kTile - 1) / kTile);
    const uint32_t step = split ? kSplitTiles : std::max(end, 1u);
    for (uint32_t from = begin; from < end; from += step) {
      AttentionJob job = {.pages = pages,
                          .first_part = static_cast<uint32_t>(plan_.parts.size()),
                          .parts = static_cast<uint32_t>(rows.size()),
                          .tile_begin = from,
                          .tile_end = std::min(end, from + step)};
      for (uint32_t r : rows) plan_.parts.push_back({r, plan_.rows[r].partials++});
      plan_.jobs.push_back(job);
    }
  }

  const size_t window_;
  const size_t rows_per_job_;
  AttentionPlan plan_;
  std::vector<const PlannedSequence*> single_;
};

}  // namespace

AttentionPlan PlanAttention(absl::Span<const PlannedSequence> sequences, size_t rows, size_t group,
                            size_t window) {
  Planner planner(rows, group, window);
  for (const PlannedSequence& sequence : sequences) planner.AddSequence(sequence);
  return planner.Finish();
}

}  // namespace cairn::engine
