#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "chunking/readers/format.h"
#include "chunking/readers/line_reader.h"
#include "chunking/readers/record_readers.h"
#include "chunking/readers/text_checks.h"
#include "chunking/text/normalize.h"
#include "simdjson.h"

namespace cairn::chunking {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kMaxMetadataDepth = 16;
constexpr size_t kMaxMetadataKeyBytes = 1024;
// A parser that has met a longer line is replaced: its buffers are several times the line's size.
constexpr size_t kKeepParserBytes = size_t{1} << 20;

static_assert(LineReader::kPadding >= simdjson::SIMDJSON_PADDING);

constexpr std::string_view kIdKeys[] = {"_id", "id", "docid", "doc_id"};
constexpr std::string_view kTextKeys[] = {"text", "contents", "content", "body"};

std::string ParseFault(simdjson::error_code error) {
  switch (error) {
    case simdjson::UTF8_ERROR:
      return "invalid UTF-8";
    case simdjson::DEPTH_ERROR:
      return "malformed JSON: nested too deeply";
    case simdjson::NUMBER_ERROR:
      return "malformed JSON: a number that is ill-formed or out of range";
    case simdjson::STRING_ERROR:
      return "malformed JSON: a string with an ill-formed escape or a lone surrogate";
    case simdjson::UNCLOSED_STRING:
      return "malformed JSON: a string that does not end";
    case simdjson::UNESCAPED_CHARS:
      return "malformed JSON: a control character (such as NUL) inside a string";
    case simdjson::MEMALLOC:
      return "not enough memory to parse this line";
    default:
      return "malformed JSON: truncated, or a wrong bracket, comma or value";
  }
}

class RecordParser {
 public:
  // The document in `line`, still to be checked and normalised. `line` is followed by
  // LineReader::kPadding readable bytes.
  absl::StatusOr<Document> Parse(std::string_view line) {
    if (parser_ == nullptr) parser_ = std::make_unique<dom::parser>();
    dom::element root;
    const simdjson::error_code error =
        parser_->parse(line.data(), line.size(), /*realloc_if_needed=*/false).get(root);
    if (error != simdjson::SUCCESS) return absl::InvalidArgumentError(ParseFault(error));
    dom::object record;
    if (root.get(record) != simdjson::SUCCESS) {
      return absl::InvalidArgumentError("not a JSON object");
    }
    absl::StatusOr<Document> document = FromObject(record);
    if (line.size() > kKeepParserBytes) parser_.reset();
    return document;
  }

 private:
  // What the known keys of a record hold. A known key that another outranks ("id" beside "_id") is
  // metadata, as any other field.
  struct Fields {
    std::optional<size_t> id, text;  // Ranks in kIdKeys, kTextKeys.
    dom::element id_value, text_value;
    std::optional<dom::element> title, metadata;
  };

  static absl::Status Duplicate(std::string_view key) {
    return absl::InvalidArgumentError(
        absl::StrCat("the key \"", AbslView(key), "\" appears twice"));
  }

  template <size_t N>
  static absl::Status Offer(const std::string_view (&keys)[N], const dom::key_value_pair& field,
                            std::optional<size_t>* rank, dom::element* value, bool* known) {
    const size_t at = std::find(keys, keys + N, field.key) - keys;
    if (at == N || field.value.is_null()) return absl::OkStatus();
    *known = true;
    if (rank->has_value() && **rank == at) return Duplicate(field.key);
    if (!rank->has_value() || at < **rank) {
      *rank = at;
      *value = field.value;
    }
    return absl::OkStatus();
  }

  static absl::StatusOr<Fields> FindFields(const dom::object& record) {
    Fields fields;
    for (const dom::key_value_pair field : record) {
      bool known = false;
      absl::Status status = Offer(kIdKeys, field, &fields.id, &fields.id_value, &known);
      if (status.ok()) status = Offer(kTextKeys, field, &fields.text, &fields.text_value, &known);
      if (!status.ok()) return status;
      if (known) continue;
      std::optional<dom::element>* slot = nullptr;
      if (field.key == "title") slot = &fields.title;
      if (field.key == "metadata") slot = &fields.metadata;
      if (slot == nullptr) continue;
      if (slot->has_value()) return Duplicate(field.key);
      *slot = field.value;
    }
    return fields;
  }

  static absl::StatusOr<std::string> IdOf(const Fields& fields) {
    if (!fields.id) return absl::InvalidArgumentError("no \"_id\"");
    const dom::element& value = fields.id_value;
    if (std::string_view text; value.get(text) == simdjson::SUCCESS) return std::string(text);
    if (int64_t number; value.get(number) == simdjson::SUCCESS) return absl::StrCat(number);
    if (uint64_t number; value.get(number) == simdjson::SUCCESS) return absl::StrCat(number);
    return absl::InvalidArgumentError(
        absl::StrCat("\"", AbslView(kIdKeys[*fields.id]), "\" is neither a string nor an integer"));
  }

  static absl::StatusOr<std::string> StringOf(const dom::element& value, std::string_view key) {
    if (std::string_view text; value.get(text) == simdjson::SUCCESS) return std::string(text);
    if (value.is_null()) return std::string();
    return absl::InvalidArgumentError(absl::StrCat("\"", AbslView(key), "\" is not a string"));
  }

  static absl::StatusOr<Document> FromObject(const dom::object& record) {
    absl::StatusOr<Fields> fields = FindFields(record);
    if (!fields.ok()) return fields.status();
    Document document;
    absl::StatusOr<std::string> id = IdOf(*fields);
    if (!id.ok()) return id.status();
    document.id = *std::move(id);
    if (fields->title) {
      absl::StatusOr<std::string> title = StringOf(*fields->title, "title");
      if (!title.ok()) return title.status();
      document.title = *std::move(title);
    }
    if (fields->text) {
      absl::StatusOr<std::string> text = StringOf(fields->text_value, kTextKeys[*fields->text]);
      if (!text.ok()) return text.status();
      document.text = *std::move(text);
    }
    absl::Status status = AddMetadata(record, *fields, &document.metadata);
    if (!status.ok()) return status;
    return document;
  }

  static absl::Status AddMetadata(const dom::object& record, const Fields& fields,
                                  Metadata* metadata) {
    for (const dom::key_value_pair field : record) {
      const bool taken = field.key == "title" || field.key == "metadata" ||
                         (fields.id && field.key == kIdKeys[*fields.id]) ||
                         (fields.text && field.key == kTextKeys[*fields.text]);
      if (taken) continue;
      // At the top level an object or a list of objects is another format's business, and no fault.
      if (field.value.is_object()) continue;
      absl::Status status = AddValue(std::string(field.key), field.value, 0, metadata);
      if (!status.ok()) return status;
    }
    if (!fields.metadata || fields.metadata->is_null()) return absl::OkStatus();
    dom::object object;
    if (fields.metadata->get(object) != simdjson::SUCCESS) {
      return absl::InvalidArgumentError("\"metadata\" is not an object");
    }
    return AddObject("", object, 0, metadata);
  }

  static absl::Status AddObject(const std::string& prefix, const dom::object& object, size_t depth,
                                Metadata* metadata) {
    if (depth > kMaxMetadataDepth) {
      return absl::InvalidArgumentError("the metadata is nested too deeply");
    }
    for (const dom::key_value_pair field : object) {
      absl::Status status = AddValue(prefix + std::string(field.key), field.value, depth, metadata);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Bounded recursion: kMaxMetadataDepth.
  static absl::Status AddValue(std::string key, const dom::element& value, size_t depth,
                               Metadata* metadata) {
    if (value.is_null()) return absl::OkStatus();
    if (key.size() > kMaxMetadataKeyBytes) {
      return absl::InvalidArgumentError("a metadata key is too long");
    }
    if (dom::object object; value.get(object) == simdjson::SUCCESS) {
      return AddObject(key + ".", object, depth + 1, metadata);
    }
    absl::StatusOr<std::string> name = Normalized(key, "a metadata key");
    if (!name.ok()) return name.status();
    if (name->empty()) return absl::InvalidArgumentError("a metadata key is empty");
    absl::StatusOr<MetadataValue> converted = Convert(*name, value);
    if (!converted.ok()) return converted.status();
    (*metadata)[*std::move(name)] = *std::move(converted);
    return absl::OkStatus();
  }

  static absl::StatusOr<std::string> Normalized(std::string_view text, std::string_view what) {
    absl::StatusOr<std::string> normalized = NormalizeText(text);
    if (!normalized.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(AbslView(what), " holds a NUL character"));
    }
    return normalized;
  }

  static absl::StatusOr<MetadataValue> Convert(const std::string& name, const dom::element& value) {
    if (bool flag; value.get(flag) == simdjson::SUCCESS) return MetadataValue(flag);
    if (int64_t number; value.get(number) == simdjson::SUCCESS) return MetadataValue(number);
    // Also unsigned integers beyond int64's range.
    if (double number; value.get(number) == simdjson::SUCCESS) return MetadataValue(number);
    const std::string what = absl::StrCat("the metadata field \"", name, "\"");
    if (dom::array array; value.get(array) == simdjson::SUCCESS) {
      std::vector<std::string> list;
      for (const dom::element item : array) {
        if (item.is_null()) continue;
        absl::StatusOr<std::string> text = ItemText(item, what);
        if (!text.ok()) return text.status();
        list.push_back(*std::move(text));
      }
      return MetadataValue(std::move(list));
    }
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) {
      return absl::InvalidArgumentError(absl::StrCat(what, " has a value of an unknown type"));
    }
    absl::StatusOr<std::string> normalized = Normalized(text, what);
    if (!normalized.ok()) return normalized.status();
    return MetadataValue(*std::move(normalized));
  }

  static absl::StatusOr<std::string> ItemText(const dom::element& item, const std::string& what) {
    if (std::string_view text; item.get(text) == simdjson::SUCCESS) return Normalized(text, what);
    if (item.is_object() || item.is_array()) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " is a list of something else than strings and numbers"));
    }
    return std::string(simdjson::minify(item));
  }

  std::unique_ptr<dom::parser> parser_;
};

}  // namespace

absl::Status DeliverRecord(Document document, uint64_t line, const ReadOptions& options,
                           DocumentHandler& handler) {
  const auto issue = [&](std::string reason) {
    return handler.OnIssue({options.source, line, std::move(reason)});
  };
  if (absl::Status status = CheckId(document.id); !status.ok())
    return issue(std::string(status.message()));
  for (const std::string* field : {&document.title, &document.text}) {
    if (std::optional<TextFault> fault = FindTextFault(*field)) {
      return issue(absl::StrCat("document ", document.id, ": ", fault->reason, " of the ",
                                field == &document.title ? "title" : "text"));
    }
  }
  document.title = OneLine(document.title);
  if (document.title.size() > kMaxTitleBytes) {
    return issue(absl::StrCat("document ", document.id, ": its title has ", document.title.size(),
                              " bytes; at most ", kMaxTitleBytes));
  }
  if (IsBlank(document.text)) {
    if (IsBlank(document.title)) {
      return issue(absl::StrCat("document ", document.id, ": no title and no text"));
    }
    document.text = document.title;
  } else {
    absl::StatusOr<std::string> text = NormalizeText(document.text);
    if (!text.ok()) return issue(std::string(text.status().message()));
    document.text = *std::move(text);
  }
  if (document.blocks.empty()) {
    AppendParagraphs(document.text, {0, document.text.size()}, BlockKind::kParagraph, 0,
                     &document.blocks);
  }
  document.source_uri = absl::StrCat(options.source, "#L", line);
  return handler.OnDocument(std::move(document));
}

absl::Status ReadJsonl(ByteSource& input, const ReadOptions& options, DocumentHandler& handler) {
  LineReader lines(input, options.max_document_bytes);
  RecordParser parser;
  LineReader::Line line;
  bool any = false;
  while (true) {
    absl::StatusOr<bool> more = lines.Next(&line);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (line.number == 1 && line.bytes.substr(0, kUtf8Bom.size()) == kUtf8Bom) {
      line.bytes.remove_prefix(kUtf8Bom.size());
    }
    absl::Status status;
    if (line.oversized) {
      status = handler.OnIssue(
          {options.source, line.number,
           absl::StrCat("line of more than ", options.max_document_bytes, " bytes")});
    } else {
      if (Trim(line.bytes).empty()) continue;
      absl::StatusOr<Document> document = parser.Parse(line.bytes);
      if (document.ok()) {
        document->media_type = MediaType(Format::kJsonl);
        status = DeliverRecord(*std::move(document), line.number, options, handler);
      } else {
        status = handler.OnIssue(
            {options.source, line.number, std::string(document.status().message())});
      }
    }
    any = true;
    if (!status.ok()) return status;
  }
  return any ? absl::OkStatus() : handler.OnIssue({options.source, 0, "empty document"});
}

}  // namespace cairn::chunking
