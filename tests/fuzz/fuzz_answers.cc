// Files of answers: whatever a reader takes is sound, the validator takes what the writer makes of
// it, and citation marks do not depend on how a text is cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>

#include "chunking/text/word_count.h"
#include "engine/answer/answer_reader.h"
#include "engine/answer/citation_marks.h"
#include "engine/eval/answers.h"
#include "engine/eval/trec_rag.h"
#include "engine/eval/trec_rag_writer.h"

namespace {

using namespace cairn::engine;

void Require(bool promise) {
  if (!promise) std::abort();
}

bool Sound(const std::string& text) {
  return text.find('\0') == std::string::npos && cairn::chunking::CountWords(text) > 0;
}

// Whether it could come from a store and a file of topics.
bool Sound(const AnswerRecord& record) {
  bool sound = Sound(record.id) && Sound(record.question);
  for (const AnsweredSentence& sentence : record.sentences) {
    sound = sound && sentence.text.find('\0') == std::string::npos;
    for (const AnsweredCitation& c : sentence.citations) sound = sound && Sound(c.document);
  }
  return sound;
}

void CheckRecords(const std::string& file) {
  std::istringstream in(file);
  const auto records = ReadAnswers(in, "fuzz");
  if (!records.ok()) return;
  for (const AnswerRecord& record : *records) {
    const std::string line = AnswerLine(record);
    std::istringstream again(line);
    const auto read = ReadAnswers(again, "fuzz");
    Require(read.ok() && read->size() == 1 && AnswerLine((*read)[0]) == line);
    if (!Sound(record)) continue;
    for (const TrecRagFormat format : {TrecRagFormat::k2024, TrecRagFormat::k2025}) {
      TrecRagRun run;
      run.format = format;
      const TrecRagReport report = ValidateTrecRag(TrecRagLine(record, run), nullptr);
      Require(report.answers == 1 && report.violation_count == 0);
    }
  }
}

// Sentences and text of an answer that comes in pieces of `size` bytes.
std::string ReadInPieces(std::string_view text, size_t size) {
  std::string out;
  AnswerReader reader([&](std::string_view piece) { out.append(piece); },
                      [&](const DraftSentence& sentence) {
                        out += "<" + sentence.text;
                        for (const uint32_t n : sentence.cited) out += "|" + std::to_string(n);
                        out += ">";
                      });
  for (size_t at = 0; at < text.size(); at += size) reader.Append(text.substr(at, size));
  reader.Finish();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string file(reinterpret_cast<const char*>(data), size);
  const TrecRagReport report = ValidateTrecRag(file, nullptr);
  Require(report.violations.size() <= report.violation_count);
  CheckRecords(file);
  std::istringstream in(file);
  const auto gold = ReadGold(in, "fuzz");
  if (gold.ok()) {
    for (const GoldAnswer& question : *gold) Require(!question.answers.empty());
  }
  if (size <= 2000) {
    CitationScanner scanner;
    scanner.Append(DefuseMarks(file));
    scanner.Finish();
    Require(scanner.marks().empty());
    Require(ReadInPieces(file, 1) == ReadInPieces(file, 7));
  }
  return 0;
}
