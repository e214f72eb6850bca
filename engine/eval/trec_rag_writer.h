// Answers in the TREC RAG track's formats (trec_rag.h).
#ifndef CAIRN_ENGINE_EVAL_TREC_RAG_WRITER_H_
#define CAIRN_ENGINE_EVAL_TREC_RAG_WRITER_H_

#include <string>

#include "engine/eval/answers.h"
#include "engine/eval/trec_rag.h"

namespace cairn::engine {

struct TrecRagRun {
  TrecRagFormat format = TrecRagFormat::k2024;
  std::string run_id = "cairn";
  std::string team_id = "cairn";   // 2025
  std::string type = "automatic";  // 2025: or "manual".
};

// What stands in the place of an answer that has no sentence: the track refuses empty answers.
extern const char* const kTrecRagNoAnswer;

// The answer as one line of JSON without its end, within the track's limits: sentences beyond
// kTrecRagMaxWords words are left out, from the first that does not fit (which is cut only where it
// is the first of all), citations of documents beyond the first kTrecRagMaxReferences as well.
// References are the documents cited, in the order of their first citation.
std::string TrecRagLine(const AnswerRecord& answer, const TrecRagRun& run);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_TREC_RAG_WRITER_H_
