#include "services/answer_output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/passage_output.h"

namespace cairn::services {

void AnswerPrinter::PrintText(std::string_view text) {
  // White space inside a quoted sentence is where its document breaks lines.
  const std::string shown = lines_ ? Excerpt(text, text.size()) : std::string(text);
  std::fputs(ForTerminal(shown, STDOUT_FILENO).c_str(), stdout);
  std::fflush(stdout);
}

void AnswerPrinter::PrintMarks(const AnswerSentence& sentence) {
  std::string marks = sentence.supported ? " " : " [?]";
  for (const Citation& citation : sentence.citations) {
    absl::StrAppend(&marks, "[", NumberOf(citation), "]");
  }
  std::printf("%s%s", marks.c_str(), lines_ ? "\n" : "");
  std::fflush(stdout);
}

void AnswerPrinter::PrintSources() const {
  if (!lines_) std::printf("\n");
  if (!sources_.empty()) std::printf("\n");
  for (size_t i = 0; i < sources_.size(); ++i) {
    const Citation& c = sources_[i];
    const std::string source =
        absl::StrCat(c.title, c.title.empty() ? "" : ", ", Place(c.document_id, c.begin, c.end));
    std::printf("[%zu] %s\n", i + 1, ForTerminal(source, STDOUT_FILENO).c_str());
  }
}

size_t AnswerPrinter::NumberOf(const Citation& citation) {
  const auto same = [&](const Citation& c) {
    return c.document_id == citation.document_id && c.begin == citation.begin &&
           c.end == citation.end;
  };
  const auto found = std::find_if(sources_.begin(), sources_.end(), same);
  const auto number = static_cast<size_t>(found - sources_.begin()) + 1;
  if (found == sources_.end()) sources_.push_back(citation);
  return number;
}

}  // namespace cairn::services
