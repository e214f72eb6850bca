// Texts with ids, as JSON lines hold them.
#ifndef CAIRN_ENGINE_BATCH_TEXT_RECORDS_H_
#define CAIRN_ENGINE_BATCH_TEXT_RECORDS_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/statusor.h"

namespace cairn::engine {

struct TextRecord {
  std::string id;
  std::string text;  // With the title before it, as a chunk's text is embedded.
};

// {"id" or "_id", "text"[, "title"]}; further members are ignored. InvalidArgument naming what is
// missing or of another type.
absl::StatusOr<TextRecord> ParseTextRecord(const nlohmann::json& object);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_BATCH_TEXT_RECORDS_H_
