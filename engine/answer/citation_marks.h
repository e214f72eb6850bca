// Citation marks in generated text: [1], [2][3], [1, 2], [1-3].
#ifndef CAIRN_ENGINE_ANSWER_CITATION_MARKS_H_
#define CAIRN_ENGINE_ANSWER_CITATION_MARKS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::engine {

struct CitationMark {
  size_t offset = 0;              // In the text without marks: where the mark stood.
  std::vector<uint32_t> numbers;  // As written, from 0 to 999; ranges spelled out.
};

// Takes the marks out of a text that comes in pieces. A mark is a bracket around numbers of at most
// three digits, separated by commas or semicolons; "-" or an en dash between two numbers is a
// range. Any other bracket is text. Spaces before a mark go with it, and so do NULs and white space
// before the first character. Wherever the pieces are cut, the result is the same. Not thread-safe.
class CitationScanner {
 public:
  void Append(std::string_view piece);
  // What looked like the beginning of a mark is text after all.
  void Finish();

  // So far, without marks. Bytes that may yet turn out to belong to a mark are not in it.
  const std::string& text() const { return text_; }
  const std::vector<CitationMark>& marks() const { return marks_; }

 private:
  void Take(char c);
  void TakeInMark(char c);
  // Hands what is held on as text; `c` comes next.
  void Release(char c);
  void Emit(char c);

  std::string text_;
  std::vector<CitationMark> marks_;
  std::string held_;         // Spaces, and what may become a mark.
  size_t mark_begin_ = 0;    // Of the latter in held_.
  bool in_mark_ = false;     // Whether there is the latter.
  bool after_mark_ = false;  // Nothing came since the last mark.
};

// `text` with its marks in round brackets: what a document cites is not what an answer may cite.
std::string DefuseMarks(std::string_view text);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_ANSWER_CITATION_MARKS_H_
