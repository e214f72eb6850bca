#include "index/posting_source.h"

namespace cairn::index {

void PostingSource::Decode(TermId term, std::vector<Posting>* out) const {
  PostingScratch scratch;
  const List list = Find(term, &scratch);
  out->clear();
  out->reserve(list.blocks.size() * LexicalTail::kBlockSize + list.rest.size);
  const auto add = [&](const PostingRun& run) {
    for (size_t i = 0; i < run.size; ++i) {
      const Slot slot = run.slot(i);
      const uint8_t byte = run.counts[i];
      out->push_back({slot, byte == kSaturatedCount ? LargeCount(term, slot) : byte});
    }
  };
  for (const PostingBlock& block : list.blocks) add(Load(block, &scratch));
  add(list.rest);
}

}  // namespace cairn::index
