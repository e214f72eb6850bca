// The lexical sections of a segment, as if the file's hash had not told. An even first byte: the
// rest is a file. An odd one: the rest are edits (offset:u16 xor:u8) of a file that is sound, since
// hardly any other bytes get beyond the container.
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "index/lexical_search.h"
#include "index/lexical_tail.h"
#include "index/slot_set.h"
#include "kernels/top_k.h"
#include "tests/support/lexical_part.h"
#include "tests/support/zipf_collection.h"

namespace {

using cairn::index::LexicalQuery;
using cairn::index::LexicalTail;
using cairn::index::SlotSet;
using cairn::index::TermId;
using cairn::testing::LexicalPart;
using cairn::testing::TermPostings;

// Lists with and without blocks, narrow and wide ones, large counts.
std::string SoundFile() {
  std::mt19937 random(1);
  const cairn::testing::ZipfTerms zipf(60, 1.0);
  LexicalTail tail;
  for (int i = 0; i < 600; ++i) {
    const uint32_t length = random() % 12;
    auto terms = zipf.Chunk(length, 0.3, random);
    if (i % 60 == 0 && !terms.empty()) terms.back().count = 250 + random() % 1000;
    tail.Append(length, terms);
  }
  return cairn::testing::WriteLexicalPart(tail.lengths(),
                                          cairn::testing::AllPostings(tail.postings()));
}

// What passed its check must be consistent.
void Use(const LexicalPart& part) {
  std::vector<TermId> some;
  for (const TermPostings& list : cairn::testing::AllPostings(*part)) {
    if (list.postings.size() != part->Frequency(list.term)) std::abort();
    if (some.size() < 5) some.push_back(list.term);
  }
  LexicalQuery query;
  for (TermId term : some) query.terms.push_back({term, 1.0f});
  const size_t slots = part->lengths().size();
  cairn::kernels::TopK top(3);
  cairn::index::SearchBlockMax(*part, part->lengths(), query, SlotSet(slots, true), 0, &top, 3,
                               nullptr);
  for (const auto& entry : top.TakeSorted()) {
    if (entry.slot >= slots) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string& sound = *new std::string(SoundFile());
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 1) {
    bytes = sound;
    for (size_t i = 1; i + 3 <= size; i += 3) {
      const size_t offset = data[i] | data[i + 1] << 8;
      bytes[offset % bytes.size()] ^= static_cast<char>(data[i + 2]);
    }
  }
  const LexicalPart part(bytes);
  if (part.status().ok() && part->Check().ok()) Use(part);
  return 0;
}
