#include "engine/eval/topics.h"

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/eval/line_reader.h"
#include "nlohmann/json.hpp"

namespace cairn::engine {
namespace {

constexpr size_t kMaxTopicLineBytes = size_t{1} << 24;

absl::Status ParseTsvTopic(const LineReader& reader, std::string_view line, Topic& topic) {
  const size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return reader.Error("expected `id<TAB>text`, found no tab");
  topic.id = line.substr(0, tab);
  topic.text = line.substr(tab + 1);
  return absl::OkStatus();
}

absl::Status ParseJsonTopic(const LineReader& reader, std::string_view line, Topic& topic) {
  using nlohmann::json;
  const json object = json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return reader.Error("not a JSON object");
  const auto id = object.find("_id");
  const auto text = object.find("text");
  if (id != object.end() && id->is_string()) {
    topic.id = *id->get_ptr<const json::string_t*>();
  } else if (id != object.end() && id->is_number_unsigned()) {
    topic.id = absl::StrCat(*id->get_ptr<const json::number_unsigned_t*>());
  } else {
    return reader.Error("member \"_id\" is missing or not a string");
  }
  if (text == object.end() || !text->is_string()) {
    return reader.Error("member \"text\" is missing or not a string");
  }
  topic.text = *text->get_ptr<const json::string_t*>();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Topic>> ReadTopics(std::istream& in, std::string_view name) {
  LineReader reader(in, name, kMaxTopicLineBytes);
  std::vector<Topic> topics;
  absl::flat_hash_set<std::string> ids;
  bool is_json = false;
  std::string_view line;
  while (reader.Next(line)) {
    const size_t start = line.find_first_not_of(" \t\r\v\f");
    if (start == std::string_view::npos) continue;
    if (topics.empty()) is_json = line[start] == '{';
    Topic topic;
    absl::Status parsed =
        is_json ? ParseJsonTopic(reader, line, topic) : ParseTsvTopic(reader, line, topic);
    if (!parsed.ok()) return parsed;
    if (topic.id.empty()) return reader.Error("the topic's id is empty");
    if (!ids.insert(topic.id).second) {
      return reader.Error(absl::StrCat("topic ", topic.id, " appears twice"));
    }
    topics.push_back(std::move(topic));
  }
  if (!reader.status().ok()) return reader.status();
  return topics;
}

absl::StatusOr<std::vector<Topic>> ReadTopicsFile(const std::string& path) {
  absl::StatusOr<std::ifstream> in = OpenToRead(path);
  if (!in.ok()) return in.status();
  return ReadTopics(*in, path);
}

}  // namespace cairn::engine
