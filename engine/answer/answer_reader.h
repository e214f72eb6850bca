// Generated text to sentences, each with what it cites, as it comes.
#ifndef CAIRN_ENGINE_ANSWER_ANSWER_READER_H_
#define CAIRN_ENGINE_ANSWER_ANSWER_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/answer/citation_marks.h"

namespace cairn::engine {

struct DraftSentence {
  std::string text;             // Without marks and without white space around it.
  std::vector<uint32_t> cited;  // Numbers of passages in the order of the marks, each once.
};

// Takes the marks out (CitationScanner) and cuts the rest into sentences (SplitSentences). A
// sentence ends for certain when the first word after it has ended. A mark belongs to the sentence
// of the character before it in its line ("one. [1] Two" cites for "one."), where there is none to
// the one after it. Wherever the pieces are cut, the sentences are the same. Not thread-safe.
class AnswerReader {
 public:
  // `on_text` gets the text without marks, word by word; `on_sentence` each sentence once its text
  // has been handed out and before any of the next one's. Both are set.
  AnswerReader(std::function<void(std::string_view)> on_text,
               std::function<void(DraftSentence)> on_sentence);

  void Append(std::string_view piece);
  // Ends the last sentence, complete or not.
  void Finish();

  // So far.
  const std::string& text() const { return scanner_.text(); }

 private:
  // Splits what follows the last complete sentence up to `end`, and hands on what is complete.
  void Split(size_t end, bool final);
  void Deliver(size_t end);
  void Complete(size_t begin, size_t end, bool final);

  const std::function<void(std::string_view)> on_text_;
  const std::function<void(DraftSentence)> on_sentence_;
  CitationScanner scanner_;
  size_t scanned_ = 0;    // Of the text, looked at for ends of words.
  size_t begin_ = 0;      // Of the first incomplete sentence.
  size_t delivered_ = 0;  // Of the text.
  size_t marks_ = 0;      // Given to sentences.
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_ANSWER_ANSWER_READER_H_
