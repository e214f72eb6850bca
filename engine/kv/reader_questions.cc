#include "engine/kv/reader_questions.h"

#include <cerrno>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/generation/prompt_encoding.h"
#include "engine/model/json_document.h"

namespace cairn::engine {
namespace {

using Json = nlohmann::json;
using Chunks = std::vector<std::vector<uint32_t>>;

// Reads one line's object. The first error stays.
class LineParser {
 public:
  // `shared`: documents of lines before, by number.
  LineParser(const Json& object, const chunking::Tokenizer& tokenizer,
             std::map<uint64_t, Chunks>* shared)
      : object_(object), tokenizer_(tokenizer), shared_(*shared) {}

  bool is_document() const { return object_.contains("document"); }

  absl::Status ReadDocument() {
    const Json& number = object_["document"];
    const Json* chunks = Find("chunks");
    if (!number.is_number_unsigned()) {
      Fail("\"document\" is no number");
    } else if (chunks != nullptr) {
      Chunks read = ChunksOf(*chunks);
      if (status_.ok() && !shared_.emplace(number.get<uint64_t>(), std::move(read)).second) {
        Fail(absl::StrCat("there is a document ", number.get<uint64_t>(), " already"));
      }
    }
    return status_;
  }

  absl::StatusOr<ReaderQuestion> ReadQuestion() {
    ReaderQuestion question;
    question.kind = Text("kind");
    question.setting = Text("setting");
    const chunking::SpecialTokens& special = tokenizer_.special_tokens();
    if (special.bos.has_value()) question.preface.push_back(*special.bos);
    const std::vector<uint32_t> preface = Encode(Text("preface"));
    question.preface.insert(question.preface.end(), preface.begin(), preface.end());
    question.question = Encode(Text("question"));
    const std::string answer = Text("answer");
    const std::vector<uint32_t> answer_tokens = Encode(answer);
    if (object_.contains("documents")) ReadOwnDocuments();
    if (object_.contains("gold")) PlacesOf("gold");
    AddContext(PlacesOf("context"), &question);
    if (!status_.ok()) return status_;
    if (question.question.empty()) return absl::InvalidArgumentError("the question is empty");
    if (answer_tokens.size() != 1) {
      return absl::InvalidArgumentError(absl::StrCat("the answer \"", answer, "\" is ",
                                                     answer_tokens.size(), " tokens, not one"));
    }
    question.answer = answer_tokens.front();
    return question;
  }

 private:
  void Fail(absl::string_view what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(what);
  }
  const Json* Find(const char* key) {
    const auto found = object_.find(key);
    if (found != object_.end()) return &*found;
    Fail(absl::StrCat("\"", key, "\" is missing"));
    return nullptr;
  }
  std::string Text(const char* key) {
    const Json* value = Find(key);
    if (value != nullptr && value->is_string()) return value->get<std::string>();
    if (value != nullptr) Fail(absl::StrCat("\"", key, "\" is no text"));
    return "";
  }
  std::vector<uint32_t> Encode(std::string_view text) const {
    return EncodeText(tokenizer_, text, chunking::ControlText::kAsText);
  }

  Chunks ChunksOf(const Json& document) {
    Chunks chunks;
    if (!document.is_array()) Fail("a document is no list of texts");
    for (const Json& chunk : document) {
      if (!chunk.is_string()) {
        Fail("a document is no list of texts");
        break;
      }
      chunks.push_back(Encode(chunk.get<std::string>()));
      if (chunks.back().empty()) Fail("a chunk is empty");
    }
    return chunks;
  }

  // These hide those of other lines.
  void ReadOwnDocuments() {
    has_own_ = true;
    const Json& documents = object_["documents"];
    if (!documents.is_array()) return Fail("\"documents\" is no list");
    for (size_t d = 0; d < documents.size(); ++d) own_[d] = ChunksOf(documents[d]);
  }

  std::vector<ChunkPlace> PlacesOf(const char* key) {
    std::vector<ChunkPlace> places;
    const Json* list = Find(key);
    if (list == nullptr || !status_.ok()) return places;
    const auto is_number = [](const Json& value) { return value.is_number_unsigned(); };
    bool right = list->is_array();
    for (size_t i = 0; right && i < list->size(); ++i) {
      const Json& place = (*list)[i];
      right = place.is_array() && place.size() == 2 && is_number(place[0]) && is_number(place[1]);
      if (!right) break;
      const ChunkPlace at = {place[0].get<size_t>(), place[1].get<size_t>()};
      const auto document = documents().find(at.document);
      if (document == documents().end() || at.chunk >= document->second.size()) {
        Fail(absl::StrCat("\"", key, "\" names chunk ", at.chunk, " of document ", at.document,
                          ", which there is none of"));
        return places;
      }
      places.push_back(at);
    }
    if (!right) Fail(absl::StrCat("\"", key, "\" is no list of [document, chunk]"));
    return places;
  }

  // The question gets the documents that its context is from, numbered as they come.
  void AddContext(const std::vector<ChunkPlace>& context, ReaderQuestion* question) {
    std::map<size_t, size_t> numbers;
    for (const ChunkPlace& place : context) {
      const auto [number, is_new] = numbers.emplace(place.document, numbers.size());
      if (is_new) question->documents.push_back(documents().at(place.document));
      question->context.push_back({number->second, place.chunk});
    }
  }

  const std::map<uint64_t, Chunks>& documents() const { return has_own_ ? own_ : shared_; }

  const Json& object_;
  const chunking::Tokenizer& tokenizer_;
  std::map<uint64_t, Chunks>& shared_;
  std::map<uint64_t, Chunks> own_;
  bool has_own_ = false;
  absl::Status status_;
};

}  // namespace

size_t ReaderQuestion::context_tokens() const {
  size_t tokens = 0;
  for (const ChunkPlace& place : context) tokens += documents[place.document][place.chunk].size();
  return tokens;
}

absl::StatusOr<std::vector<ReaderQuestion>> ReadReaderQuestions(
    const std::string& path, const chunking::Tokenizer& tokenizer) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  std::vector<ReaderQuestion> questions;
  std::map<uint64_t, Chunks> documents;
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const absl::StatusOr<Json> object = ParseJsonObject(line);
    absl::Status status = object.status();
    if (object.ok()) {
      LineParser parser(*object, tokenizer, &documents);
      if (parser.is_document()) {
        status = parser.ReadDocument();
      } else {
        absl::StatusOr<ReaderQuestion> question = parser.ReadQuestion();
        status = question.status();
        if (question.ok()) questions.push_back(*std::move(question));
      }
    }
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":", number, ": ", status.message()));
    }
  }
  // A directory opens, and then cannot be read.
  if (in.bad()) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  if (questions.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": no questions"));
  return questions;
}

}  // namespace cairn::engine
