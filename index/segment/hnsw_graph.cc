#include "index/segment/hnsw_graph.h"

#include <algorithm>
#include <array>
#include <string>

namespace cairn::index {
namespace {

// Nodes kept on level 1. With one, as the paper has it, many searches start in the wrong cluster,
// from where only much wider walks on level 0 find the way.
constexpr size_t kDescentWidth = 16;

constexpr uint32_t kMaxLevels = 64;  // FAISS draws fewer than 32.

absl::Status DamagedGraph(const char* what) {
  return absl::DataLossError(std::string("damaged graph: ") + what);
}

}  // namespace

absl::StatusOr<HnswGraph> HnswGraph::Open(const SectionFile& file, const VectorMeta& meta) {
  if (meta.links < 2 || 2 * uint64_t{meta.links} > kMaxRowLinks || meta.levels > kMaxLevels ||
      meta.count == 0) {
    return DamagedGraph("numbers");
  }
  HnswGraph graph;
  graph.links_ = meta.links;
  graph.entry_ = meta.entry;
  const auto level0 = file.Get<uint32_t>(Section::kGraphLevel0, meta.slots * 2 * meta.links);
  const auto offsets = file.Get<uint32_t>(Section::kGraphUpperOffsets, meta.levels + 1);
  for (const absl::Status& s : {level0.status(), offsets.status()}) {
    if (!s.ok()) return s;
  }
  if (offsets->front() != 0 || !std::is_sorted(offsets->begin(), offsets->end())) {
    return DamagedGraph("offsets");
  }
  const auto upper =
      file.Get<uint32_t>(Section::kGraphUpper, uint64_t{offsets->back()} * (kHeader + meta.links));
  if (!upper.ok()) return upper.status();
  if (meta.entry >= (meta.levels == 0 ? meta.slots : offsets->back())) return DamagedGraph("entry");
  graph.level0_links_ = *level0;
  graph.upper_offsets_ = *offsets;
  graph.upper_ = *upper;
  graph.level0_.data = level0->data();
  graph.level0_.width = 2 * meta.links;
  graph.level0_.stride = 2 * meta.links;
  graph.level0_.nodes = meta.slots;
  graph.upper_links_.data = upper->data() + kHeader;
  graph.upper_links_.width = meta.links;
  graph.upper_links_.stride = kHeader + meta.links;
  graph.upper_links_.nodes = offsets->back();
  graph.upper_links_.names = upper->data() + kNode;
  graph.upper_links_.slots = meta.slots;
  return graph;
}

// The row of the same level that no neighbour is nearer than, following the nearest ones.
uint32_t HnswGraph::GoNearer(const WalkTarget& target, uint32_t row) const {
  std::array<uint32_t, kMaxRowLinks> rows;
  std::array<Slot, kMaxRowLinks> slots;
  std::array<float, kMaxRowLinks> scores;
  const Slot slot = upper_links_.SlotOf(row);
  float best = 0;
  target.Score(&slot, 1, &best);
  for (bool moved = true; moved;) {
    moved = false;
    const uint32_t* const links = upper_links_.Row(row);
    size_t count = 0;
    for (; count < links_ && links[count] < upper_links_.nodes; ++count) {
      rows[count] = links[count];
      slots[count] = upper_links_.SlotOf(links[count]);
    }
    target.Score(slots.data(), count, scores.data());
    for (size_t i = 0; i < count; ++i) {
      if (!(scores[i] > best)) continue;  // Only ever upwards, so this ends.
      best = scores[i];
      row = rows[i];
      moved = true;
    }
  }
  return row;
}

void HnswGraph::Search(const WalkTarget& target, size_t ef, Walk* walk) const {
  // Row and slot numbers from a damaged file lead to ones that exist.
  const auto clamp = [](uint32_t value, size_t limit) { return value < limit ? value : 0; };
  uint32_t current = entry_;
  for (size_t level = upper_offsets_.size() - 1; level > 0; --level) {
    if (level > 1) {
      current = GoNearer(target, current);
    } else {
      walk->Begin(upper_links_.nodes, kDescentWidth);
      walk->Add(upper_links_, target, current);
      walk->Run(upper_links_, target);
      current = walk->found().front().node();
    }
    current = clamp(UpperRow(current)[kDown], level > 1 ? upper_links_.nodes : level0_.nodes);
  }
  walk->Begin(level0_.nodes, ef);
  walk->Add(level0_, target, current);
  walk->Run(level0_, target);
}

absl::Status HnswGraph::CheckLevel(size_t level, const SlotSet& present) const {
  const auto on_level = [&](uint32_t row, size_t l) {
    return row >= upper_offsets_[l] && row < upper_offsets_[l + 1];
  };
  for (uint32_t row = upper_offsets_[level]; row < upper_offsets_[level + 1]; ++row) {
    const uint32_t* const words = UpperRow(row);
    const uint32_t node = words[kNode];
    if (node >= present.size() || !present.Test(node)) return DamagedGraph("node without a vector");
    if (row > upper_offsets_[level] && UpperRow(row - 1)[kNode] >= node) {
      return DamagedGraph("order of nodes");
    }
    const uint32_t down = words[kDown];
    if (level == 0 ? down != node : !on_level(down, level - 1) || UpperRow(down)[kNode] != node) {
      return DamagedGraph("way down");
    }
    bool ended = false;
    for (size_t i = 0; i < links_; ++i) {
      const uint32_t link = words[kHeader + i];
      if (link != kNoLink && (ended || link == row || !on_level(link, level))) {
        return DamagedGraph("link of an upper level");
      }
      ended = link == kNoLink;
    }
  }
  return absl::OkStatus();
}

absl::Status HnswGraph::Check(const SlotSet& present) const {
  const size_t levels = upper_offsets_.size() - 1;
  if (levels == 0 ? !present.Test(entry_) : entry_ < upper_offsets_[levels - 1]) {
    return DamagedGraph("entry");
  }
  for (size_t level = 0; level < levels; ++level) {
    if (absl::Status s = CheckLevel(level, present); !s.ok()) return s;
  }
  for (Slot slot = 0; slot < present.size(); ++slot) {
    bool ended = !present.Test(slot);
    for (size_t i = 0; i < level0_.width; ++i) {
      const uint32_t link = level0_links_[slot * level0_.width + i];
      if (link != kNoLink &&
          (ended || link == slot || link >= present.size() || !present.Test(link))) {
        return DamagedGraph("link of level 0");
      }
      ended = ended || link == kNoLink;
    }
  }
  return absl::OkStatus();
}

}  // namespace cairn::index
