#include "index/segment/lexical_writer.h"

#include <cassert>

namespace cairn::index {
namespace {}  // namespace

LexicalWriter::LexicalWriter(SectionWriter* out, absl::Span<const uint32_t> lengths,
                             float average_length)
    : out_(out), lengths_(lengths), average_length_(average_length) {
  out_->Put(Section::kLengths, lengths);
  out_->Begin(Section::kPostings);
}

void LexicalWriter::Add(TermId term, absl::Span<const Posting> postings) {
  assert(!postings.empty() && postings.back().slot < lengths_.size());
  assert(terms_.empty() || terms_.back() < term);
  if (postings.size() >= TermEntry::kSingle) full_ = true;
  if (full_) return;
  terms_.push_back(term);
  postings_ += postings.size();
  for (const Posting& p : postings) {
    assert(p.count > 0);
    if (p.count >= kSaturatedCount) large_counts_.push_back({term, p.slot, p.count});
  }
  if (postings.size() == 1) {
    const Posting& posting = postings.front();
    entries_.push_back({TermEntry::kSingle + CountByte(posting.count), posting.slot});
    return;
  }
  entries_.push_back({static_cast<uint32_t>(postings.size()), Place(out_->section_bytes())});
  AddList(postings);
}

void LexicalWriter::AddList(absl::Span<const Posting> postings) {
  const size_t blocks = postings.size() / kPostingBlock;
  const uint64_t data_begin = out_->section_bytes() + DirectoryBytes(blocks);
  directory_.clear();
  data_.clear();
  if (const auto rest = postings.subspan(blocks * kPostingBlock); !rest.empty()) {
    AppendRest(rest, &data_);
  }
  for (size_t b = 0; b < blocks; ++b) {
    AddBlock(postings.subspan(b * kPostingBlock, kPostingBlock), data_begin);
  }
  if (blocks > 0) {
    out_->Append(&front_, sizeof(front_));
    out_->AppendSpan(absl::MakeConstSpan(directory_));
  }
  out_->AppendSpan(absl::MakeConstSpan(data_));
}

void LexicalWriter::AddBlock(absl::Span<const Posting> postings, uint64_t data_begin) {
  ImpactSet impacts;
  for (const Posting& p : postings) {
    impacts.Add(MakeImpact(CountByte(p.count), lengths_[p.slot]));
  }
  PostingBlock block;
  block.first = postings.front().slot;
  block.last = postings.back().slot;
  block.data = Place(data_begin + data_.size());
  block.front = impacts.Shorten<4>(average_length_);
  if (!directory_.empty()) impacts.AddAll(front_);
  front_ = impacts.Shorten<8>(average_length_);
  directory_.push_back(block);
  AppendBlock(postings, &data_);
}

uint32_t LexicalWriter::Place(uint64_t byte) {
  assert(byte % kPlaceBytes == 0);
  if (byte / kPlaceBytes > UINT32_MAX) full_ = true;
  return static_cast<uint32_t>(byte / kPlaceBytes);
}

absl::Status LexicalWriter::Finish() {
  const uint8_t slack[kPostingSlack] = {};
  out_->Append(slack, sizeof(slack));
  if (full_) return absl::ResourceExhaustedError("more postings than a segment can hold");

  std::vector<TermId> first;
  for (size_t i = 0; i < terms_.size(); i += kTermGroup) first.push_back(terms_[i]);
  TermsHeader header;
  header.terms = static_cast<uint32_t>(terms_.size());
  header.postings = postings_;
  out_->Begin(Section::kTerms);
  out_->Append(&header, sizeof(header));
  out_->AppendSpan(absl::MakeConstSpan(first));
  out_->AppendSpan(absl::MakeConstSpan(terms_));
  out_->AppendSpan(absl::MakeConstSpan(entries_));
  out_->Put(Section::kLargeCounts, absl::MakeConstSpan(large_counts_));
  return out_->status();
}

}  // namespace cairn::index
