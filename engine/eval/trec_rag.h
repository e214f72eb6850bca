// The TREC RAG track's answer files: one JSON object a line, one line a topic.
//
// 2024: {"run_id", "topic_id", "topic", "references", "response_length", "answer"}
// 2025: {"metadata": {"team_id", "run_id", "narrative_id", "type"}, "references", "answer"}
//
// "references" are distinct ids of documents, "answer" an array of {"text", "citations"}, citations
// being positions in the references, from 0.
#ifndef CAIRN_ENGINE_EVAL_TREC_RAG_H_
#define CAIRN_ENGINE_EVAL_TREC_RAG_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/eval/topics.h"

namespace cairn::engine {

enum class TrecRagFormat : uint8_t { k2024, k2025 };

inline constexpr size_t kTrecRagMaxReferences = 20;
// Words of all texts of an answer together, as chunking::CountWords counts them.
inline constexpr size_t kTrecRagMaxWords = 400;

struct TrecRagViolation {
  uint64_t line = 0;  // 1-based; 0: of the whole file.
  std::string what;
};

struct TrecRagReport {
  size_t answers = 0;                        // Lines.
  std::vector<TrecRagViolation> violations;  // In the file's order. At most 1,000 are kept.
  size_t violation_count = 0;                // None: the track takes the file.
};

// Lists what the track refuses, and what a program that reads the file would stumble over: anything
// but JSON objects in UTF-8, NULs, nesting or lines beyond all need, members that are missing,
// unknown or of another type, formats, runs or teams that are mixed, topics that occur twice,
// references that are empty, repeated or too many, citations that are no position or repeated,
// empty texts and answers, answers that are too long or whose length is stated wrongly. With
// `topics`: those without an answer too, and answers to others. Thread-safe.
TrecRagReport ValidateTrecRag(std::string_view file, const std::vector<Topic>* topics);

// Reads the file first: NotFound, or InvalidArgument where it is larger than 1 GiB.
absl::StatusOr<TrecRagReport> ValidateTrecRagFile(const std::string& path,
                                                  const std::vector<Topic>* topics);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_TREC_RAG_H_
