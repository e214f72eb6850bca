// Topics (queries) for evaluation.
#ifndef CAIRN_ENGINE_EVAL_TOPICS_H_
#define CAIRN_ENGINE_EVAL_TOPICS_H_

#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace cairn::engine {

struct Topic {
  std::string id;
  std::string text;
};

// Reads topics in file order: lines `id<TAB>text`, or, where the first line that is not blank
// begins with '{', BEIR's JSON lines {"_id": ..., "text": ...} (further members are ignored; a
// number serves as an id too). Errors are InvalidArgumentError "file:line: reason": no tab, an
// empty id, invalid JSON, a missing member, an id seen before. A path that cannot be opened is
// NotFoundError.
absl::StatusOr<std::vector<Topic>> ReadTopics(std::istream& in, std::string_view name);
absl::StatusOr<std::vector<Topic>> ReadTopicsFile(const std::string& path);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_TOPICS_H_
