// Lexical sections in memory, written and opened as a segment's.
#ifndef CAIRN_TESTS_SUPPORT_LEXICAL_PART_H_
#define CAIRN_TESTS_SUPPORT_LEXICAL_PART_H_

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/lexical_tail.h"
#include "index/posting_source.h"
#include "index/segment/lexical_segment.h"
#include "index/segment/lexical_writer.h"
#include "index/segment/section_file.h"
#include "tests/support/temp_dir.h"

namespace cairn::testing {

struct TermPostings {
  index::TermId term = 0;
  std::vector<index::Posting> postings;
};

// The bytes of a segment file with these sections alone. Aborts where it cannot be written.
inline std::string WriteLexicalPart(absl::Span<const uint32_t> lengths,
                                    const std::vector<TermPostings>& terms,
                                    float average_length = 10) {
  const TempDir dir;
  auto out = index::SectionWriter::Create(dir.file("part"), nullptr);
  if (!out.ok()) std::abort();
  index::LexicalWriter writer(out->get(), lengths, average_length);
  for (const TermPostings& t : terms) writer.Add(t.term, t.postings);
  if (!writer.Finish().ok() || !(*out)->Finish().ok()) std::abort();
  std::ifstream in(dir.file("part"), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// All postings of a source.
inline std::vector<TermPostings> AllPostings(const index::PostingSource& source) {
  std::vector<index::TermId> terms;
  source.AppendTerms(&terms);
  std::vector<TermPostings> all;
  for (index::TermId term : terms) {
    all.push_back({term, {}});
    source.Decode(term, &all.back().postings);
  }
  return all;
}

// An opened part that keeps its bytes, in memory of exactly their size.
class LexicalPart {
 public:
  // `slots` is what the lengths have room for.
  explicit LexicalPart(std::string_view bytes)
      : size_(bytes.size()),
        bytes_(static_cast<char*>(::operator new[](size_, std::align_val_t{kAlignment}))) {
    if (size_ > 0) std::memcpy(bytes_.get(), bytes.data(), size_);
    auto file = index::SectionFile::FromBytes(absl::MakeConstSpan(bytes_.get(), size_));
    status_ = file.status();
    if (!file.ok()) return;
    const auto lengths = (*file)->Get<uint32_t>(index::Section::kLengths);
    status_ = lengths.status();
    if (!lengths.ok()) return;
    auto opened = index::LexicalSegment::Open(*file, lengths->size());
    status_ = opened.status();
    if (opened.ok()) segment_ = *std::move(opened);
  }
  explicit LexicalPart(const index::LexicalTail& tail)
      : LexicalPart(WriteLexicalPart(tail.lengths(), AllPostings(tail.postings()))) {}

  const absl::Status& status() const { return status_; }
  const index::LexicalSegment* operator->() const { return segment_.get(); }
  const index::LexicalSegment& operator*() const { return *segment_; }

 private:
  static constexpr size_t kAlignment = 64;
  struct Deleter {
    void operator()(char* p) const { ::operator delete[](p, std::align_val_t{kAlignment}); }
  };

  size_t size_;
  std::unique_ptr<char[], Deleter> bytes_;
  absl::Status status_;
  std::unique_ptr<const index::LexicalSegment> segment_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_LEXICAL_PART_H_
