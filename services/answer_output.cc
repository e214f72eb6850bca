#include "services/answer_output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/passage_output.h"
#include "services/progress_bar.h"

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

void PrintTimings(const AskResponse& answer) {
  const AskTimings& t = answer.timings;
  const auto say = [](const std::string& line) {
    std::fprintf(stderr, "%s\n", ForTerminal(line, STDERR_FILENO).c_str());
  };
  if (answer.mode == AskMode::kExtractive) {
    say(absl::StrFormat("retrieve %.1f ms, select sentences %.1f ms, check %.1f ms; total %.1f ms",
                        t.retrieve / 1e3, t.select / 1e3, t.check / 1e3, t.total / 1e3));
    return;
  }
  const AskUsage& usage = answer.usage;
  const ReuseReport& reuse = usage.reuse;
  say(absl::StrFormat("prompt: %d tokens, %d exact, %d reused, %d recomputed, %d fresh; %s loaded",
                      usage.prompt_tokens, reuse.exact_tokens, reuse.reused_tokens,
                      reuse.recomputed_tokens, reuse.fresh_tokens,
                      HumanBytes(static_cast<double>(reuse.loaded_bytes))));
  if (!reuse.method.empty()) {
    const std::string share =
        reuse.share > 0 ? absl::StrFormat(", %.0f%% to compute again", 100 * reuse.share) : "";
    const std::string reason = reuse.reason.empty() ? "" : absl::StrCat(" (", reuse.reason, ")");
    say(absl::StrCat("method: ", reuse.method, share, reason));
  }
  // What of the prefill is none of the three: planning, and the first token's logits and draw.
  const double rest = std::max(0.0, t.prefill - reuse.load - reuse.select - reuse.compute);
  say(
      absl::StrFormat("first token after %.1f ms: retrieve %.1f, select passages %.1f, load %.1f, "
                      "select rows %.1f, compute %.1f, first token %.1f",
                      (t.retrieve + t.select + t.prefill) / 1e3, t.retrieve / 1e3, t.select / 1e3,
                      reuse.load / 1e3, reuse.select / 1e3, reuse.compute / 1e3, rest / 1e3));
  say(absl::StrFormat("decode %.1f ms for %d tokens, check %.1f ms; total %.1f ms", t.decode / 1e3,
                      usage.generated_tokens, t.check / 1e3, t.total / 1e3));
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
