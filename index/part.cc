#include "index/part.h"

#include <algorithm>

namespace cairn::index {
namespace {

// The first i in [0, n) for which `before(i)` is false.
template <typename Before>
size_t PartitionPoint(size_t n, Before before) {
  size_t low = 0;
  size_t high = n;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (before(middle)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

size_t Part::SlotDocument(Slot slot) const {
  return PartitionPoint(documents(), [&](size_t i) { return document(i).first_slot <= slot; }) - 1;
}

std::optional<size_t> Part::FindDocument(ChunkId first_chunk) const {
  const size_t i =
      PartitionPoint(documents(), [&](size_t d) { return document(d).first_chunk < first_chunk; });
  if (i == documents() || document(i).first_chunk != first_chunk) return std::nullopt;
  return i;
}

std::optional<Slot> Part::FindSlot(ChunkId chunk) const {
  const size_t after =
      PartitionPoint(documents(), [&](size_t d) { return document(d).first_chunk <= chunk; });
  if (after == 0) return std::nullopt;
  const Document d = document(after - 1);
  if (chunk - d.first_chunk >= d.chunks) return std::nullopt;
  return static_cast<Slot>(d.first_slot + (chunk - d.first_chunk));
}

size_t Part::MemoryBytes() const {
  return live_.words().capacity() * sizeof(uint64_t) +
         dead_frequencies_.capacity() * (2 * sizeof(uint32_t) + 1);
}

uint64_t Part::DocumentFrequency(TermId term) const {
  const uint64_t all = postings().Frequency(term);
  if (dead_frequencies_.empty()) return all;
  const auto dead = dead_frequencies_.find(term);
  return dead == dead_frequencies_.end() ? all : all - std::min<uint64_t>(all, dead->second);
}

bool Part::RemoveChunk(ChunkId chunk, const ForwardRow& forward) {
  const std::optional<Slot> slot = FindSlot(chunk);
  if (!slot.has_value() || !live_.Test(*slot)) return false;
  live_.Clear(*slot);
  --live_slots_;
  live_length_ -= std::min<uint64_t>(live_length_, forward.length);
  if (document(SlotDocument(*slot)).first_chunk == chunk) --live_documents_;
  for (const TermCount& t : forward.terms) ++dead_frequencies_[t.term];
  return true;
}

void Part::AddLive(uint32_t chunks, uint64_t length) {
  live_.Resize(live_.size() + chunks, true);
  live_slots_ += chunks;
  ++live_documents_;
  live_length_ += length;
}

}  // namespace cairn::index
