#include "engine/eval/trec_rag.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "chunking/text/utf8.h"
#include "chunking/text/word_count.h"
#include "engine/eval/line_reader.h"
#include "engine/model/json_document.h"
#include "engine/model/json_reader.h"

namespace cairn::engine {
namespace {

using nlohmann::json;

constexpr size_t kMaxViolationsKept = 1000;
constexpr size_t kMaxRunLineBytes = size_t{1} << 20;
constexpr std::streamsize kMaxFileBytes = std::streamsize{1} << 30;

// The byte where `text` stops being UTF-8.
std::optional<size_t> InvalidUtf8(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const chunking::DecodedCodePoint c = chunking::DecodeUtf8(p, end);
    if (c.size == 1 && static_cast<uint8_t>(*p) >= 0x80) {
      return static_cast<size_t>(p - text.data());
    }
    p += c.size;
  }
  return std::nullopt;
}

bool HasNoWords(std::string_view text) { return chunking::CountWords(text) == 0; }

class Validator {
 public:
  explicit Validator(const std::vector<Topic>* topics) : topics_(topics) {
    if (topics == nullptr) return;
    for (const Topic& topic : *topics) texts_.emplace(topic.id, &topic.text);
  }

  void CheckLine(std::string_view line) {
    ++line_;
    ++report_.answers;
    if (line.size() > kMaxRunLineBytes) {
      return Refuse("the line is longer than ", kMaxRunLineBytes, " bytes");
    }
    if (line.find_first_not_of(" \t\r") == std::string_view::npos)
      return Refuse("the line is empty");
    if (const std::optional<size_t> byte = InvalidUtf8(line)) {
      return Refuse("invalid UTF-8 at byte ", *byte);
    }
    const absl::StatusOr<json> object = ParseJsonObject(line);
    if (!object.ok()) return Refuse(std::string(object.status().message()));
    const bool is_2025 = object->contains("metadata");
    if (is_2025_.value_or(is_2025) != is_2025) Refuse("another format than in the lines before");
    is_2025_ = is_2025;
    is_2025 ? Check2025(*object) : Check2024(*object);
  }

  TrecRagReport Finish() {
    line_ = 0;
    if (report_.answers == 0) Refuse("the file has no answers");
    if (topics_ == nullptr) return std::move(report_);
    for (const Topic& topic : *topics_) {
      if (!seen_.contains(topic.id)) {
        Refuse("topic ", Printable(topic.id), " has no answer");
      }
    }
    return std::move(report_);
  }

 private:
  template <typename... Parts>
  void Refuse(const Parts&... parts) {
    ++report_.violation_count;
    if (report_.violations.size() == kMaxViolationsKept) return;
    report_.violations.push_back({line_, absl::StrCat(parts...)});
  }

  void CheckMembers(const json& object, const char* of, std::initializer_list<const char*> known) {
    for (const char* key : known) {
      if (!object.contains(key)) Refuse(of, "member \"", key, "\" is missing");
    }
    for (const auto& [key, value] : object.items()) {
      const bool is_known = std::any_of(known.begin(), known.end(),
                                        [&, &name = key](const char* k) { return name == k; });
      if (!is_known) Refuse(of, "member \"", Printable(key), "\" is unknown");
    }
  }

  // The string at `key`; nothing, said or not, where there is none. Absent members have been
  // refused already.
  const std::string* String(const json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end()) return nullptr;
    const auto* const value = found->get_ptr<const json::string_t*>();
    if (value == nullptr) {
      Refuse("\"", key, "\" is not a string");
    } else if (HasNoWords(*value)) {
      Refuse("\"", key, "\" is empty");
    } else if (value->find('\0') != std::string::npos) {
      Refuse("\"", key, "\" contains a NUL");
    }
    return value;
  }

  // All lines are of one run, and of one team.
  void CheckSame(const json& object, const char* key, std::optional<std::string>* first) {
    const std::string* const value = String(object, key);
    if (value == nullptr) return;
    if (first->has_value() && **first != *value) {
      Refuse("\"", key, "\" is \"", Printable(*value), "\", in the lines before \"",
             Printable(**first), "\"");
    }
    if (!first->has_value()) *first = *value;
  }

  void CheckTopic(const std::string& id, const std::string* text) {
    if (!seen_.insert(id).second) Refuse("topic ", Printable(id), " is answered twice");
    if (topics_ == nullptr) return;
    const auto found = texts_.find(id);
    if (found == texts_.end()) return Refuse("there is no topic ", Printable(id));
    if (text != nullptr && *text != *found->second) {
      Refuse("\"topic\" is not the text of topic ", Printable(id));
    }
  }

  void Check2024(const json& object) {
    CheckMembers(object, "",
                 {"run_id", "topic_id", "topic", "references", "response_length", "answer"});
    CheckSame(object, "run_id", &run_id_);
    const std::string* const id = String(object, "topic_id");
    const std::string* const text = String(object, "topic");
    if (id != nullptr) CheckTopic(*id, text);
    const size_t words = CheckAnswer(object, CheckReferences(object));
    const auto length = object.find("response_length");
    if (length == object.end()) return;
    if (!length->is_number_unsigned()) return Refuse("\"response_length\" is not a whole number");
    if (*length->get_ptr<const json::number_unsigned_t*>() != words) {
      Refuse("\"response_length\" is ", length->dump(), ", but the answer has ", words, " words");
    }
  }

  void Check2025(const json& object) {
    CheckMembers(object, "", {"metadata", "references", "answer"});
    const json& metadata = object["metadata"];
    if (metadata.is_object()) {
      CheckMembers(metadata, "metadata: ", {"team_id", "run_id", "narrative_id", "type"});
      CheckSame(metadata, "team_id", &team_id_);
      CheckSame(metadata, "run_id", &run_id_);
      const std::string* const type = String(metadata, "type");
      if (type != nullptr && *type != "automatic" && *type != "manual") {
        Refuse("\"type\" is neither \"automatic\" nor \"manual\"");
      }
      // The track's topics have numbers, which some write as such.
      const auto id = metadata.find("narrative_id");
      if (id != metadata.end() && id->is_number_unsigned()) {
        CheckTopic(id->dump(), nullptr);
      } else if (const std::string* const name = String(metadata, "narrative_id")) {
        CheckTopic(*name, nullptr);
      }
    } else {
      Refuse("\"metadata\" is not an object");
    }
    CheckAnswer(object, CheckReferences(object));
  }

  // The number of references.
  size_t CheckReferences(const json& object) {
    const auto references = object.find("references");
    if (references == object.end()) return 0;
    if (!references->is_array()) {
      Refuse("\"references\" is not an array");
      return 0;
    }
    if (references->size() > kTrecRagMaxReferences) {
      Refuse(references->size(), " references are more than ", kTrecRagMaxReferences);
    }
    absl::flat_hash_set<std::string> seen;
    for (size_t i = 0; i < references->size(); ++i) {
      const auto* const id = (*references)[i].get_ptr<const json::string_t*>();
      if (id == nullptr) {
        Refuse("reference ", i, " is not a string");
      } else if (HasNoWords(*id)) {
        Refuse("reference ", i, " is empty");
      } else if (id->find('\0') != std::string::npos) {
        Refuse("reference ", i, " contains a NUL");
      } else if (!seen.insert(*id).second) {
        Refuse("reference ", i, " is there twice: ", Printable(*id));
      }
    }
    return references->size();
  }

  // The number of the answer's words.
  size_t CheckAnswer(const json& object, size_t references) {
    const auto answer = object.find("answer");
    if (answer == object.end()) return 0;
    if (!answer->is_array()) {
      Refuse("\"answer\" is not an array");
      return 0;
    }
    if (answer->empty()) Refuse("the answer is empty");
    size_t words = 0;
    for (size_t i = 0; i < answer->size(); ++i) words += CheckSentence((*answer)[i], i, references);
    if (words > kTrecRagMaxWords) Refuse(words, " words are more than ", kTrecRagMaxWords);
    return words;
  }

  size_t CheckSentence(const json& sentence, size_t index, size_t references) {
    const std::string of = absl::StrCat("sentence ", index, ": ");
    if (!sentence.is_object()) {
      Refuse(of, "not an object");
      return 0;
    }
    CheckMembers(sentence, of.c_str(), {"text", "citations"});
    const auto citations = sentence.find("citations");
    if (citations != sentence.end()) CheckCitations(*citations, of, references);
    const auto found = sentence.find("text");
    if (found == sentence.end()) return 0;
    const auto* const text = found->get_ptr<const json::string_t*>();
    if (text == nullptr) {
      Refuse(of, "\"text\" is not a string");
      return 0;
    }
    const size_t words = chunking::CountWords(*text);
    if (words == 0) Refuse(of, "\"text\" is empty");
    if (text->find('\0') != std::string::npos) Refuse(of, "\"text\" contains a NUL");
    return words;
  }

  void CheckCitations(const json& citations, const std::string& of, size_t references) {
    if (!citations.is_array()) return Refuse(of, "\"citations\" is not an array");
    absl::flat_hash_set<uint64_t> seen;
    for (const json& citation : citations) {
      if (!citation.is_number_integer()) {
        Refuse(of, "citation ", Printable(citation.dump()), " is not a whole number");
        continue;
      }
      const auto* const position = citation.get_ptr<const json::number_unsigned_t*>();
      if (position == nullptr || *position >= references) {
        Refuse(of, "citation ", citation.dump(), " is none of the ", references, " references");
      } else if (!seen.insert(*position).second) {
        Refuse(of, "citation ", *position, " is there twice");
      }
    }
  }

  const std::vector<Topic>* const topics_;
  absl::flat_hash_map<std::string, const std::string*> texts_;  // Of the topics, by id.
  uint64_t line_ = 0;
  std::optional<bool> is_2025_;
  std::optional<std::string> run_id_;
  std::optional<std::string> team_id_;
  absl::flat_hash_set<std::string> seen_;  // Ids of topics.
  TrecRagReport report_;
};

}  // namespace

TrecRagReport ValidateTrecRag(std::string_view file, const std::vector<Topic>* topics) {
  Validator validator(topics);
  while (!file.empty()) {
    const size_t end = std::min(file.find('\n'), file.size());
    validator.CheckLine(file.substr(0, end));
    file.remove_prefix(std::min(end + 1, file.size()));
  }
  return validator.Finish();
}

absl::StatusOr<TrecRagReport> ValidateTrecRagFile(const std::string& path,
                                                  const std::vector<Topic>* topics) {
  absl::StatusOr<std::ifstream> in = OpenToRead(path);
  if (!in.ok()) return in.status();
  std::string file;
  std::string block(size_t{1} << 20, '\0');
  while (in->read(block.data(), static_cast<std::streamsize>(block.size())) || in->gcount() > 0) {
    file.append(block.data(), static_cast<size_t>(in->gcount()));
    if (static_cast<std::streamsize>(file.size()) > kMaxFileBytes) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": larger than 1 GiB"));
    }
  }
  if (in->bad()) return absl::DataLossError(absl::StrCat(path, ": read error"));
  return ValidateTrecRag(file, topics);
}

}  // namespace cairn::engine
