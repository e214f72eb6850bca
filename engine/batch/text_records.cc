#include "engine/batch/text_records.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "engine/batch/json_lines.h"
#include "engine/preparation.h"

namespace cairn::engine {

absl::StatusOr<TextRecord> ParseTextRecord(const nlohmann::json& object) {
  // Before "id", which is metadata in some collections of that layout.
  absl::StatusOr<std::string> id = TextMember(object, object.contains("_id") ? "_id" : "id");
  if (!id.ok()) return id.status();
  const auto text = object.find("text");
  if (text == object.end()) return absl::InvalidArgumentError("no \"text\"");
  if (!text->is_string()) return absl::InvalidArgumentError("\"text\" is not a string");
  TextRecord record;
  record.id = *std::move(id);
  record.text = text->get<std::string>();
  const auto title = object.find("title");
  if (title == object.end() || title->is_null()) return record;
  if (!title->is_string()) return absl::InvalidArgumentError("\"title\" is not a string");
  record.text = ChunkContext(title->get<std::string>(), {}, record.text).append(record.text);
  return record;
}

}  // namespace cairn::engine
