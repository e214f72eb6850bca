#include "index/segment/lexical_segment.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/impact_front.h"

namespace cairn::index {
namespace {

// What a list of many postings begins with.
struct ListHead {
  const ImpactFront<8>* front = nullptr;
  absl::Span<const PostingBlock> blocks;
};

// `bytes` hold at least DirectoryBytes(blocks).
ListHead ReadHead(absl::Span<const uint8_t> bytes, size_t blocks) {
  ListHead head;
  if (blocks == 0) return head;
  head.front = reinterpret_cast<const ImpactFront<8>*>(bytes.data());
  head.blocks = {reinterpret_cast<const PostingBlock*>(bytes.data() + sizeof(ImpactFront<8>)),
                 blocks};
  return head;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LexicalSegment>> LexicalSegment::Open(
    std::shared_ptr<const SectionFile> file, uint64_t slots) {
  if (slots >= UINT32_MAX) return absl::DataLossError("a segment with too many slots");
  const auto lengths = file->Get<uint32_t>(Section::kLengths, slots);
  if (!lengths.ok()) return lengths.status();
  const auto postings = file->Get<uint8_t>(Section::kPostings);
  if (!postings.ok()) return postings.status();
  const auto large_counts = file->Get<LargeCountEntry>(Section::kLargeCounts);
  if (!large_counts.ok()) return large_counts.status();
  if (postings->size() < kPostingSlack || postings->size() % kPlaceBytes != 0) {
    return absl::DataLossError("a segment whose postings have a wrong size");
  }
  std::unique_ptr<LexicalSegment> segment(new LexicalSegment());
  segment->file_ = std::move(file);
  segment->lengths_ = *lengths;
  segment->postings_ = postings->first(postings->size() - kPostingSlack);
  segment->large_counts_ = *large_counts;
  if (absl::Status s = segment->ReadTerms(); !s.ok()) return s;
  return segment;
}

absl::Status LexicalSegment::ReadTerms() {
  const auto section = file_->Get<uint32_t>(Section::kTerms);
  if (!section.ok()) return section.status();
  constexpr size_t kHeaderWords = sizeof(TermsHeader) / sizeof(uint32_t);
  if (section->size() < kHeaderWords) return absl::DataLossError("a segment without terms");
  TermsHeader header;
  std::memcpy(static_cast<void*>(&header), section->data(), sizeof(header));
  if (header.version != kPostingsVersion) {
    return absl::UnimplementedError("postings of another version");
  }
  const size_t terms = header.terms;
  const size_t groups = (terms + kTermGroup - 1) / kTermGroup;
  const absl::Span<const uint32_t> arrays = section->subspan(kHeaderWords);
  if (arrays.size() != groups + 3 * terms) {
    return absl::DataLossError("a segment whose terms have a wrong size");
  }
  total_postings_ = header.postings;
  first_terms_ = arrays.first(groups);
  terms_ = arrays.subspan(groups, terms);
  entries_ = {reinterpret_cast<const TermEntry*>(arrays.data() + groups + terms), terms};
  return absl::OkStatus();
}

std::optional<TermEntry> LexicalSegment::Locate(TermId term) const {
  const auto next = std::upper_bound(first_terms_.begin(), first_terms_.end(), term);
  if (next == first_terms_.begin()) return std::nullopt;
  const size_t begin = (next - first_terms_.begin() - 1) * kTermGroup;
  const absl::Span<const TermId> group = terms_.subspan(begin, kTermGroup);
  const auto found = std::lower_bound(group.begin(), group.end(), term);
  if (found == group.end() || *found != term) return std::nullopt;
  return entries_[begin + (found - group.begin())];
}

// Empty when the place is none.
absl::Span<const uint8_t> LexicalSegment::PostingsFrom(uint64_t place) const {
  return place * kPlaceBytes <= postings_.size() ? postings_.subspan(place * kPlaceBytes)
                                                 : absl::Span<const uint8_t>();
}

PostingSource::List LexicalSegment::Find(TermId term, PostingScratch* scratch) const {
  List list;
  const std::optional<TermEntry> entry = Locate(term);
  if (!entry.has_value()) return list;
  if (entry->size >= TermEntry::kSingle) {
    scratch->rest[0] = entry->at;
    scratch->rest_counts[0] = static_cast<uint8_t>(entry->size);
    list.rest = {entry->at, nullptr, scratch->rest, scratch->rest_counts, 1};
    return list;
  }
  const size_t blocks = entry->size / kPostingBlock;
  const uint64_t directory = DirectoryBytes(blocks);
  const absl::Span<const uint8_t> bytes = PostingsFrom(entry->at);
  if (directory > bytes.size()) return list;
  const ListHead head = ReadHead(bytes, blocks);
  list.front = head.front;
  list.blocks = head.blocks;
  if (const uint32_t rest = entry->size % kPostingBlock; rest > 0) {
    list.rest = DecodeRest(bytes.subspan(directory), rest, scratch, nullptr);
  }
  return list;
}

PostingRun LexicalSegment::Load(const PostingBlock& block, PostingScratch* scratch) const {
  return DecodeBlock(PostingsFrom(block.data), block.first, block.last, scratch, nullptr);
}

const void* LexicalSegment::Packed(const PostingBlock& block) const {
  return postings_.data() + std::min<uint64_t>(block.data * kPlaceBytes, postings_.size());
}

uint32_t LexicalSegment::LargeCount(TermId term, Slot slot) const {
  const auto found =
      std::lower_bound(large_counts_.begin(), large_counts_.end(), std::pair(term, slot),
                       [](const LargeCountEntry& e, const std::pair<TermId, Slot>& key) {
                         return std::pair(e.term, e.slot) < key;
                       });
  const bool is_there = found != large_counts_.end() && found->term == term && found->slot == slot;
  return is_there ? found->count : kSaturatedCount;
}

void LexicalSegment::AppendTerms(std::vector<TermId>* out) const {
  out->insert(out->end(), terms_.begin(), terms_.end());
}

uint64_t LexicalSegment::Frequency(TermId term) const {
  const std::optional<TermEntry> entry = Locate(term);
  if (!entry.has_value()) return 0;
  return entry->size >= TermEntry::kSingle ? 1 : entry->size;
}

// Goes through the lists in order. Each step leaves out nothing that the next relies on.
class LexicalSegment::Checker {
 public:
  explicit Checker(const LexicalSegment& segment) : s_(segment) {}

  absl::Status Run();

 private:
  absl::Status Damaged(const char* what) const {
    return absl::DataLossError(absl::StrCat("postings of term ", term_, ": ", what));
  }
  absl::Status CheckTerm(size_t i);
  absl::Status CheckList(uint32_t size);
  absl::Status CheckRun(const PostingRun& run, const ImpactFront<4>* block_front,
                        const ImpactFront<8>* list_front);

  const LexicalSegment& s_;
  TermId term_ = 0;
  size_t at_ = 0;            // Where the next list must begin.
  uint64_t postings_ = 0;    // Seen so far.
  size_t large_counts_ = 0;  // Seen so far.
  int64_t last_slot_ = -1;   // Of the current list.
};

absl::Status LexicalSegment::Checker::Run() {
  for (size_t i = 0; i < s_.terms_.size(); ++i) {
    term_ = s_.terms_[i];
    if (i > 0 && term_ <= s_.terms_[i - 1]) return Damaged("out of order");
    if (i % kTermGroup == 0 && s_.first_terms_[i / kTermGroup] != term_) {
      return Damaged("a group that begins with another");
    }
    if (absl::Status s = CheckTerm(i); !s.ok()) return s;
  }
  if (postings_ != s_.total_postings_ || at_ != s_.postings_.size() ||
      large_counts_ != s_.large_counts_.size()) {
    return absl::DataLossError("postings of no term");
  }
  return absl::OkStatus();
}

absl::Status LexicalSegment::Checker::CheckTerm(size_t i) {
  const TermEntry& entry = s_.entries_[i];
  last_slot_ = -1;
  if (entry.size < TermEntry::kSingle) {
    if (entry.size < 2 || uint64_t{entry.at} * kPlaceBytes != at_) return Damaged("misplaced");
    return CheckList(entry.size);
  }
  const uint32_t count = entry.size - TermEntry::kSingle;
  if (count > kSaturatedCount) return Damaged("a count beyond a byte");
  const auto byte = static_cast<uint8_t>(count);
  return CheckRun({entry.at, nullptr, &entry.at, &byte, 1}, nullptr, nullptr);
}

absl::Status LexicalSegment::Checker::CheckList(uint32_t size) {
  const size_t blocks = size / kPostingBlock;
  const absl::Span<const uint8_t> bytes = s_.postings_.subspan(at_);
  const uint64_t directory = DirectoryBytes(blocks);
  if (directory > bytes.size()) return Damaged("beyond the section");
  const ListHead head = ReadHead(bytes, blocks);
  at_ += directory;
  PostingScratch scratch;
  PostingRun rest;
  size_t used = 0;
  if (const uint32_t n = size % kPostingBlock; n > 0) {
    rest = DecodeRest(s_.postings_.subspan(at_), n, &scratch, &used);
    if (used == 0) return Damaged("a broken rest");
    at_ += used;
  }
  for (const PostingBlock& block : head.blocks) {
    if (uint64_t{block.data} * kPlaceBytes != at_) return Damaged("a misplaced block");
    const PostingRun run =
        DecodeBlock(s_.postings_.subspan(at_), block.first, block.last, &scratch, &used);
    if (used == 0) return Damaged("a broken block");
    at_ += used;
    if (run.slot(0) != block.first || run.slot(kPostingBlock - 1) != block.last) {
      return Damaged("a block of other slots");
    }
    if (absl::Status s = CheckRun(run, &block.front, head.front); !s.ok()) return s;
  }
  return CheckRun(rest, nullptr, nullptr);
}

absl::Status LexicalSegment::Checker::CheckRun(const PostingRun& run,
                                               const ImpactFront<4>* block_front,
                                               const ImpactFront<8>* list_front) {
  for (size_t i = 0; i < run.size; ++i) {
    const Slot slot = run.slot(i);
    if (int64_t{slot} <= last_slot_ || slot >= s_.lengths_.size()) return Damaged("wrong slots");
    last_slot_ = slot;
    const uint8_t byte = run.counts[i];
    if (byte == 0) return Damaged("a count of 0");
    if (byte == kSaturatedCount) {
      // The large counts are in the order in which they are met.
      if (large_counts_ == s_.large_counts_.size()) return Damaged("no large count");
      const LargeCountEntry& large = s_.large_counts_[large_counts_++];
      if (large.term != term_ || large.slot != slot || large.count < kSaturatedCount) {
        return Damaged("another large count");
      }
    }
    if (block_front == nullptr) continue;
    const Impact impact = MakeImpact(byte, s_.lengths_[slot]);
    if (!Dominates(*block_front, impact) || !Dominates(*list_front, impact)) {
      return Damaged("above its bound");
    }
  }
  postings_ += run.size;
  return absl::OkStatus();
}

absl::Status LexicalSegment::Check() const { return Checker(*this).Run(); }

}  // namespace cairn::index
