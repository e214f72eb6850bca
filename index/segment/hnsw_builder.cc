#include "index/segment/hnsw_builder.h"

#include <faiss/impl/HNSW.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "absl/types/span.h"
#include "index/segment/hnsw_walk.h"
#include "index/segment/huge_pages.h"

namespace cairn::index {
namespace {

using Link = faiss::HNSW::storage_idx_t;
constexpr Link kNone = -1;  // Reads as kNoLink.
static_assert(static_cast<uint32_t>(kNone) == kNoLink);

// A candidate is left out only for one that is this much nearer to it than the target, in squared
// distance (Subramanya et al., DiskANN, 2019, call it alpha). Walks that keep a third fewer nodes
// reach the same recall; much larger values fill rows where all distances are alike, and cost.
constexpr size_t kNodesPerReport = 256;
constexpr float kDiversity = 1.05f;

// Nodes kept on the levels that lead down to a new node's: with one, as the paper has it, descents
// between clusters often end in the wrong one, and so do the links.
constexpr size_t kBuildDescentWidth = 8;

// Encoded equal vectors are nearer to each other than this, in half the squared distance.
constexpr float kEqualWithin = 0.05f;

// A new node gets at least this part of its links even where they are not diverse: in the middle of
// a dense cluster hardly any are, and a node with few links is easily missed.
constexpr int kLeastShare = 4;

bool EqualRows(const EncodedRowsView& rows, Slot a, Slot b) {
  return rows.Scale(a) == rows.Scale(b) &&
         std::memcmp(rows.Row(a), rows.Row(b), EncodedRowBytes(rows.dim(), rows.encoding())) == 0;
}

// Keeps of `candidates` (unmarked), nearest to the target first, those that are nearer to the
// target than to any kept before (algorithm 4 of the paper, with kDiversity), at most `max` of
// them; where fewer than `least` are, the nearest of the others too. At most kMaxRowLinks + 1
// candidates. Scores each kept one against all that remain in one call, equal ones once:
// collections do hold thousands of equal vectors, which would cost a full row of scores for each
// link.
void KeepDiverse(const EncodedRowsView& rows, size_t least, size_t max,
                 std::vector<WalkEntry>* candidates) {
  std::array<Slot, kMaxRowLinks> ids;
  std::array<float, kMaxRowLinks> scores;
  std::array<WalkEntry, kMaxRowLinks> others;
  size_t other_count = 0;
  size_t kept = 0;
  size_t left = candidates->size();  // Candidates [kept, left) are undecided.
  while (kept < left && kept < max) {
    // A marked one is equal to one kept before: it would leave out no other.
    const bool seen = (*candidates)[kept].marked();
    const Slot chosen = (*candidates)[kept++].node();
    if (seen || kept == max) continue;
    for (size_t i = kept; i < left; ++i) ids[i - kept] = (*candidates)[i].node();
    const WalkTarget target = {&rows, rows.Row(chosen), rows.Scale(chosen)};
    target.Score(ids.data(), left - kept, scores.data());
    size_t undecided = kept;
    for (size_t i = kept; i < left; ++i) {
      WalkEntry candidate = (*candidates)[i];
      // Half the squared distances. Rounding may take those of equal vectors below 0.
      const float apart = std::max(1 - scores[i - kept], 0.0f);
      if (kDiversity * apart >= 1 - candidate.score()) {
        if (apart < kEqualWithin && EqualRows(rows, chosen, candidate.node())) candidate.Mark();
        (*candidates)[undecided++] = candidate;
      } else {
        others[other_count++] = candidate;
      }
    }
    left = undecided;
  }
  candidates->resize(kept);
  if (kept >= least) return;
  const size_t added = std::min(least - kept, other_count);
  std::partial_sort(others.begin(), others.begin() + added, others.begin() + other_count,
                    std::greater<>());
  candidates->insert(candidates->end(), others.begin(), others.begin() + added);
}

}  // namespace

struct HnswBuilder::Impl {
  Impl(const EncodedRowsView& view, int m, int ef)
      : rows(view), links(m), ef_construction(std::max(ef, m)), graph(m) {}

  LinkRows Level(int level) const {
    LinkRows result;
    result.data = reinterpret_cast<const uint32_t*>(graph.neighbors.data());
    result.width = graph.nb_neighbors(level);
    result.nodes = rows.size();
    result.offsets = graph.offsets.data();
    result.skip = graph.cum_nb_neighbors(level);
    return result;
  }
  WalkTarget Target(Slot slot) const { return {&rows, rows.Row(slot), rows.Scale(slot)}; }
  absl::Span<Link> MutableRow(Slot slot, int level) {
    return absl::MakeSpan(graph.neighbors)
        .subspan(graph.offsets[slot] + graph.cum_nb_neighbors(level), graph.nb_neighbors(level));
  }
  int LevelOf(Slot slot) const { return graph.levels[slot] - 1; }

  std::vector<Slot> InsertionOrder(const SlotSet& present) const;
  void Insert(Slot slot);
  void Connect(Slot slot, int level);
  void LinkBack(Slot from, WalkEntry to, int level);

  const EncodedRowsView rows;
  const int links;
  const int ef_construction;
  faiss::HNSW graph;
  Walk walk;
  std::vector<WalkEntry> neighbours;
  std::vector<WalkEntry> candidates;
  // Slots of levels 1, 2, ..., each ascending; set by Build.
  std::vector<std::vector<Slot>> upper;
};

// The nodes of the highest levels first, so that the entry never changes; in random order on each
// level, for neighbouring slots are often alike, and a graph that grows subject by subject is
// worse.
std::vector<Slot> HnswBuilder::Impl::InsertionOrder(const SlotSet& present) const {
  std::vector<Slot> order;
  for (Slot slot = 0; slot < rows.size(); ++slot) {
    if (present.Test(slot)) order.push_back(slot);
  }
  std::mt19937 rng(rows.size());
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng() % i]);
  std::stable_sort(order.begin(), order.end(),
                   [&](Slot a, Slot b) { return LevelOf(a) > LevelOf(b); });
  return order;
}

// The entry is on every level that `slot` is on.
void HnswBuilder::Impl::Insert(Slot slot) {
  const WalkTarget target = Target(slot);
  const int level = LevelOf(slot);
  Slot nearest = static_cast<Slot>(graph.entry_point);
  for (int l = graph.max_level; l >= 0; --l) {
    const LinkRows level_links = Level(l);
    walk.Begin(rows.size(), l > level ? kBuildDescentWidth : ef_construction);
    walk.Add(level_links, target, nearest);
    walk.Run(level_links, target);
    nearest = walk.found().front().node();
    if (l <= level) Connect(slot, l);
  }
}

// Links `slot` with a diverse choice of what the walk found.
void HnswBuilder::Impl::Connect(Slot slot, int level) {
  neighbours.clear();
  for (const WalkEntry& found : walk.found().subspan(0, kMaxRowLinks)) {
    neighbours.emplace_back(found.score(), found.node());  // Without the walk's mark.
  }
  KeepDiverse(rows, links / kLeastShare, links, &neighbours);
  const absl::Span<Link> row = MutableRow(slot, level);
  for (size_t i = 0; i < neighbours.size(); ++i) row[i] = static_cast<Link>(neighbours[i].node());
  for (const WalkEntry& neighbour : neighbours) {
    LinkBack(neighbour.node(), WalkEntry(neighbour.score(), slot), level);
  }
}

// Adds a link; to a full row by choosing again among its links and the new one.
void HnswBuilder::Impl::LinkBack(Slot from, WalkEntry to, int level) {
  const absl::Span<Link> row = MutableRow(from, level);
  // Links lie in front.
  const auto end =
      std::lower_bound(row.begin(), row.end(), 0, [](Link link, int) { return link != kNone; });
  if (end != row.end()) {
    *end = static_cast<Link>(to.node());
    return;
  }
  std::array<float, kMaxRowLinks> scores;
  Target(from).Score(reinterpret_cast<const Slot*>(row.data()), row.size(), scores.data());
  candidates.assign(1, to);
  for (size_t i = 0; i < row.size(); ++i) {
    candidates.emplace_back(scores[i], static_cast<Slot>(row[i]));
  }
  std::sort(candidates.begin(), candidates.end(), std::greater<>());
  KeepDiverse(rows, 0, row.size(), &candidates);
  for (size_t i = 0; i < row.size(); ++i) {
    row[i] = i < candidates.size() ? static_cast<Link>(candidates[i].node()) : kNone;
  }
}

HnswBuilder::HnswBuilder(const EncodedRowsView& rows, int links, int ef_construction)
    : impl_(std::make_unique<Impl>(rows, links, ef_construction)) {
  assert(links >= 2 && 2 * links <= static_cast<int>(kMaxRowLinks));
}
HnswBuilder::~HnswBuilder() = default;

absl::Status HnswBuilder::Build(const SlotSet& present, const WorkControl& control) {
  faiss::HNSW& graph = impl_->graph;
  const size_t n = impl_->rows.size();
  // A row of level 0 for each node, and above it M / (M - 1) - 1 rows of M links on average.
  const size_t m = impl_->links;
  graph.neighbors.reserve(n * 2 * m + n * m / (m - 1) + n * m / (m - 1) / 4);
  UseHugePages(graph.neighbors.data(), graph.neighbors.capacity() * sizeof(Link));
  graph.prepare_level_tab(n);
  const std::vector<Slot> order = impl_->InsertionOrder(present);
  if (order.empty()) return absl::OkStatus();
  graph.entry_point = static_cast<Link>(order.front());
  graph.max_level = impl_->LevelOf(order.front());
  for (size_t i = 1; i < order.size(); ++i) {
    if (control.stopped()) return control.Check();
    if (i % kNodesPerReport == 0) {
      control.Report(static_cast<double>(i) / static_cast<double>(order.size()));
    }
    impl_->Insert(order[i]);
  }
  impl_->upper.resize(graph.max_level);
  for (Slot slot = 0; slot < n; ++slot) {
    if (!present.Test(slot)) continue;
    for (int l = 1; l <= impl_->LevelOf(slot); ++l) impl_->upper[l - 1].push_back(slot);
  }
  return absl::OkStatus();
}

uint32_t HnswBuilder::levels() const { return static_cast<uint32_t>(impl_->upper.size()); }

uint32_t HnswBuilder::entry() const {
  const Slot node = static_cast<Slot>(impl_->graph.entry_point);
  if (impl_->upper.empty()) return node;
  uint32_t row = 0;
  for (size_t l = 0; l + 1 < impl_->upper.size(); ++l) {
    row += static_cast<uint32_t>(impl_->upper[l].size());
  }
  const std::vector<Slot>& top = impl_->upper.back();
  return row + static_cast<uint32_t>(std::lower_bound(top.begin(), top.end(), node) - top.begin());
}

void HnswBuilder::Write(SectionWriter* out) const {
  out->Begin(Section::kGraphLevel0);
  for (Slot slot = 0; slot < impl_->rows.size(); ++slot) {
    out->AppendSpan(absl::Span<const Link>(impl_->MutableRow(slot, 0)));
  }
  std::vector<uint32_t> offsets = {0};
  for (const std::vector<Slot>& level : impl_->upper) {
    offsets.push_back(offsets.back() + static_cast<uint32_t>(level.size()));
  }
  out->Put(Section::kGraphUpperOffsets, absl::MakeConstSpan(offsets));
  out->Begin(Section::kGraphUpper);
  // A slot's row on a level of `upper`.
  const auto row_of = [&](size_t level, Slot slot) {
    const std::vector<Slot>& slots = impl_->upper[level];
    return offsets[level] + static_cast<uint32_t>(
                                std::lower_bound(slots.begin(), slots.end(), slot) - slots.begin());
  };
  std::vector<uint32_t> row(2 + impl_->links);
  for (size_t level = 0; level < impl_->upper.size(); ++level) {
    for (const Slot slot : impl_->upper[level]) {
      row[0] = slot;
      row[1] = level == 0 ? slot : row_of(level - 1, slot);
      const absl::Span<const Link> links = impl_->MutableRow(slot, static_cast<int>(level) + 1);
      for (size_t i = 0; i < links.size(); ++i) {
        row[2 + i] = links[i] == kNone ? kNoLink : row_of(level, static_cast<Slot>(links[i]));
      }
      out->AppendSpan(absl::MakeConstSpan(row));
    }
  }
}

}  // namespace cairn::index
