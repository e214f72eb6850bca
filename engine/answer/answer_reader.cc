#include "engine/answer/answer_reader.h"

#include <algorithm>
#include <utility>

#include "chunking/text/sentence.h"
#include "engine/answer/characters.h"

namespace cairn::engine {
namespace {

bool IsSpace(char c) { return kSpaces.find(c) != std::string_view::npos; }

// The position that decides whose mark it is: of the character before it in its line, or else its
// own.
size_t Anchor(std::string_view text, size_t offset) {
  const size_t before = text.substr(0, offset).find_last_not_of(" \t");
  return before == std::string_view::npos || text[before] == '\n' ? offset : before;
}

}  // namespace

AnswerReader::AnswerReader(std::function<void(std::string_view)> on_text,
                           std::function<void(DraftSentence)> on_sentence)
    : on_text_(std::move(on_text)), on_sentence_(std::move(on_sentence)) {}

void AnswerReader::Append(std::string_view piece) {
  // Byte by byte, so that a mark is never known earlier or later than in other pieces.
  for (const char& c : piece) {
    scanner_.Append({&c, 1});
    const std::string& text = scanner_.text();
    for (; scanned_ < text.size(); ++scanned_) {
      const bool ends_word =
          scanned_ > begin_ && IsSpace(text[scanned_]) && !IsSpace(text[scanned_ - 1]);
      if (ends_word) Split(scanned_, /*final=*/false);
    }
  }
}

void AnswerReader::Finish() {
  scanner_.Finish();
  const size_t last = text().find_last_not_of(kSpaces);
  if (last != std::string::npos) Split(last + 1, /*final=*/true);
}

void AnswerReader::Split(size_t end, bool final) {
  const std::string_view rest = std::string_view(text()).substr(begin_, end - begin_);
  const size_t base = begin_;
  const std::vector<chunking::Span> spans = chunking::SplitSentences(rest);
  for (size_t i = 0; i < spans.size(); ++i) {
    const bool last = i + 1 == spans.size();
    if (last && !final) break;
    Complete(base + spans[i].begin, base + spans[i].end, final && last);
    begin_ = base + spans[i].end;
  }
  Deliver(end);
}

void AnswerReader::Deliver(size_t end) {
  if (end <= delivered_) return;
  on_text_(std::string_view(text()).substr(delivered_, end - delivered_));
  delivered_ = end;
}

void AnswerReader::Complete(size_t begin, size_t end, bool final) {
  const std::string_view whole = text();
  while (begin < end && IsSpace(whole[begin])) ++begin;
  while (end > begin && IsSpace(whole[end - 1])) --end;
  if (begin == end) return;
  Deliver(end);
  DraftSentence sentence;
  sentence.text = whole.substr(begin, end - begin);
  const std::vector<CitationMark>& marks = scanner_.marks();
  for (; marks_ < marks.size(); ++marks_) {
    if (!final && Anchor(whole, marks[marks_].offset) >= end) break;
    for (const uint32_t number : marks[marks_].numbers) {
      std::vector<uint32_t>& cited = sentence.cited;
      if (std::find(cited.begin(), cited.end(), number) == cited.end()) cited.push_back(number);
    }
  }
  on_sentence_(std::move(sentence));
}

}  // namespace cairn::engine
