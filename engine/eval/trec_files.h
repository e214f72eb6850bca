// Runs and relevance judgements in TREC's and BEIR's file formats.
//
// Readers take a stream and the name to use in errors, or a path; they read line by line and keep
// only what they return. Lines that begin with '#' and blank lines are skipped. Every parse error
// is InvalidArgumentError "file:line: reason"; a path that cannot be opened is NotFoundError.
#ifndef CAIRN_ENGINE_EVAL_TREC_FILES_H_
#define CAIRN_ENGINE_EVAL_TREC_FILES_H_

#include <cstdint>
#include <istream>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn::engine {

struct ScoredDocument {
  std::string id;
  float score = 0;  // single precision, as trec_eval ranks
};

struct RunTopic {
  std::string id;
  std::vector<ScoredDocument> documents;  // each id once
};

// What a system returned: for each topic its documents. The readers order topics by id and
// documents as trec_eval does: by score descending, equal scores by id descending (bytewise).
struct TrecRun {
  std::string tag;
  std::vector<RunTopic> topics;
};

struct Judgment {
  std::string document;
  int32_t level = 0;  // negative: in the pool, but not judged
};

struct JudgmentGroup {
  std::string name;                 // empty in QrelsFormat::kPlain
  std::vector<Judgment> judgments;  // each document once
};

struct QrelsTopic {
  std::string id;
  std::vector<JudgmentGroup> groups;  // exactly one in QrelsFormat::kPlain
};

enum class QrelsFormat {
  kPlain,   // one judgement for a topic and document; the second column is ignored
  kGroups,  // the second column names an assessor; each judges on their own (trec_eval's qrels_jg)
};

// Relevance judgements. The readers order topics by id and groups by name.
struct Qrels {
  QrelsFormat format = QrelsFormat::kPlain;
  std::vector<QrelsTopic> topics;
};

// Reads lines `qid Q0 docid rank score tag`, separated by white space. The second and fourth column
// are ignored, as is anything after the sixth; the first line's tag is the run's. Errors: fewer
// than six fields, a score that is not a number, a document twice for a topic.
absl::StatusOr<TrecRun> ReadRun(std::istream& in, std::string_view name);
absl::StatusOr<TrecRun> ReadRunFile(const std::string& path);

// Reads TREC judgements, lines `qid 0 docid level`, or, where the first line has three columns,
// BEIR's tab-separated `query-id corpus-id score` with or without that header. Errors: missing
// fields, a level that is not a whole number, a document twice for a topic (and group).
absl::StatusOr<Qrels> ReadQrels(std::istream& in, std::string_view name,
                                QrelsFormat format = QrelsFormat::kPlain);
absl::StatusOr<Qrels> ReadQrelsFile(const std::string& path,
                                    QrelsFormat format = QrelsFormat::kPlain);

// Puts topics and documents in the order the readers give them.
void SortRun(TrecRun& run);

// Writes a run in the format ReadRun takes, documents in the given order with ranks from 1, scores
// in the shortest form that reads back exactly. InvalidArgumentError, before anything is written,
// if a topic, document or tag is empty or holds white space or NUL, or a score is NaN;
// DataLossError if the stream fails.
absl::Status WriteRun(const TrecRun& run, std::ostream& out);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_TREC_FILES_H_
