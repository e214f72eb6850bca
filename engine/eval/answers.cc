#include "engine/eval/answers.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/eval/line_reader.h"
#include "engine/model/json_document.h"

namespace cairn::engine {
namespace {

using nlohmann::json;

constexpr size_t kMaxAnswerLineBytes = size_t{1} << 24;

absl::Status MemberFault(const char* key, const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("member \"", key, "\" is missing or ", what));
}

absl::Status ReadString(const json& object, const char* key, std::string* value) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return MemberFault(key, "not a string");
  *value = *found->get_ptr<const json::string_t*>();
  return absl::OkStatus();
}

absl::Status ReadPosition(const json& object, const char* key, uint64_t* value) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) {
    return MemberFault(key, "not an unsigned integer");
  }
  *value = *found->get_ptr<const json::number_unsigned_t*>();
  return absl::OkStatus();
}

absl::Status ReadStrings(const json& object, const char* key, std::vector<std::string>* values) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array())
    return MemberFault(key, "not an array of strings");
  for (const json& value : *found) {
    if (!value.is_string()) return MemberFault(key, "not an array of strings");
    values->push_back(*value.get_ptr<const json::string_t*>());
  }
  return absl::OkStatus();
}

// Calls `read` with each object of the array `key`.
template <typename Read>
absl::Status ReadObjects(const json& object, const char* key, Read read) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return MemberFault(key, "not an array");
  for (const json& value : *found) {
    if (!value.is_object()) return MemberFault(key, "has something else than objects");
    if (absl::Status s = read(value); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status ReadCitation(const json& object, AnsweredCitation* citation) {
  absl::Status status = ReadString(object, "document", &citation->document);
  if (status.ok()) status = ReadPosition(object, "begin", &citation->begin);
  if (status.ok()) status = ReadPosition(object, "end", &citation->end);
  if (status.ok() && citation->end < citation->begin) {
    status = absl::InvalidArgumentError("a citation ends before it begins");
  }
  return status;
}

absl::Status ReadSentence(const json& object, AnsweredSentence* sentence) {
  absl::Status status = ReadString(object, "text", &sentence->text);
  if (!status.ok()) return status;
  const auto supported = object.find("supported");
  if (supported == object.end() || !supported->is_boolean()) {
    return MemberFault("supported", "neither true nor false");
  }
  sentence->supported = *supported->get_ptr<const json::boolean_t*>();
  return ReadObjects(object, "citations", [&](const json& citation) {
    return ReadCitation(citation, &sentence->citations.emplace_back());
  });
}

absl::Status ReadRecord(const json& object, AnswerRecord* record) {
  absl::Status status = ReadString(object, "id", &record->id);
  if (status.ok()) status = ReadString(object, "question", &record->question);
  if (status.ok()) status = ReadString(object, "answer", &record->answer);
  if (!status.ok()) return status;
  return ReadObjects(object, "sentences", [&](const json& sentence) {
    return ReadSentence(sentence, &record->sentences.emplace_back());
  });
}

absl::Status ReadRecord(const json& object, GoldAnswer* gold) {
  absl::Status status = ReadString(object, object.contains("_id") ? "_id" : "id", &gold->id);
  if (status.ok()) status = ReadStrings(object, "answers", &gold->answers);
  if (status.ok() && gold->answers.empty()) status = MemberFault("answers", "empty");
  if (status.ok()) status = ReadStrings(object, "gold", &gold->gold);
  return status;
}

template <typename Record>
absl::StatusOr<std::vector<Record>> ReadRecords(std::istream& in, std::string_view name) {
  LineReader reader(in, name, kMaxAnswerLineBytes);
  std::vector<Record> records;
  absl::flat_hash_set<std::string> ids;
  std::string_view line;
  while (reader.Next(line)) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Record record;
    absl::StatusOr<json> object = ParseJsonObject(line);
    absl::Status status = object.ok() ? ReadRecord(*object, &record) : object.status();
    if (status.ok() && record.id.empty()) status = absl::InvalidArgumentError("the id is empty");
    if (status.ok() && !ids.insert(record.id).second) {
      status = absl::InvalidArgumentError(absl::StrCat("id ", record.id, " appears twice"));
    }
    if (!status.ok()) return reader.Error(std::string(status.message()));
    records.push_back(std::move(record));
  }
  if (!reader.status().ok()) return reader.status();
  return records;
}

template <typename Record>
absl::StatusOr<std::vector<Record>> ReadRecordsFile(const std::string& path) {
  absl::StatusOr<std::ifstream> in = OpenToRead(path);
  if (!in.ok()) return in.status();
  return ReadRecords<Record>(*in, path);
}

}  // namespace

std::string AnswerLine(const AnswerRecord& record) {
  using Json = nlohmann::ordered_json;
  Json sentences = Json::array();
  for (const AnsweredSentence& s : record.sentences) {
    Json citations = Json::array();
    for (const AnsweredCitation& c : s.citations) {
      citations.push_back({{"document", c.document}, {"begin", c.begin}, {"end", c.end}});
    }
    sentences.push_back(
        {{"text", s.text}, {"supported", s.supported}, {"citations", std::move(citations)}});
  }
  const Json line = {{"id", record.id},
                     {"question", record.question},
                     {"answer", record.answer},
                     {"sentences", std::move(sentences)}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<std::vector<AnswerRecord>> ReadAnswers(std::istream& in, std::string_view name) {
  return ReadRecords<AnswerRecord>(in, name);
}

absl::StatusOr<std::vector<AnswerRecord>> ReadAnswersFile(const std::string& path) {
  return ReadRecordsFile<AnswerRecord>(path);
}

absl::StatusOr<std::vector<GoldAnswer>> ReadGold(std::istream& in, std::string_view name) {
  return ReadRecords<GoldAnswer>(in, name);
}

absl::StatusOr<std::vector<GoldAnswer>> ReadGoldFile(const std::string& path) {
  return ReadRecordsFile<GoldAnswer>(path);
}

}  // namespace cairn::engine
