#include "chunking/text/json_members.h"

#include "chunking/text/utf8.h"

namespace cairn::chunking {

namespace dom = simdjson::dom;

std::string Printable(std::string_view text) {
  constexpr size_t kLongest = 80;
  std::string printable;
  for (size_t at = 0; at < text.size();) {
    const DecodedCodePoint c = DecodeUtf8(text.data() + at, text.data() + text.size());
    if (at + c.size > kLongest) return printable + "...";
    const std::string_view bytes = text.substr(at, c.size);
    const bool ill_formed = c.size == 1 && static_cast<uint8_t>(bytes[0]) >= 0x80;
    // U+0080 to U+009F drive terminals too.
    if (ill_formed || c.value < 0x20 || (c.value >= 0x7F && c.value < 0xA0)) {
      for (const char byte : bytes) {
        absl::StrAppend(&printable, "\\x", absl::Hex(static_cast<uint8_t>(byte), absl::kZeroPad2));
      }
    } else {
      printable += bytes;
    }
    at += c.size;
  }
  return printable;
}

std::optional<dom::element> Member(const dom::object& object, std::string_view key) {
  dom::element value;
  if (object.at_key(key).get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
  return value;
}

absl::Status ReadBool(const dom::object& object, std::string_view key, bool* out) {
  return ReadOptional(object, key, "true or false", out);
}

absl::Status ReadString(const dom::object& object, std::string_view key, std::string* out) {
  std::string_view read = *out;
  absl::Status status = ReadOptional(object, key, "a string", &read);
  if (status.ok() && read.data() != out->data()) out->assign(read);
  return status;
}

absl::StatusOr<dom::object> ReadObject(const dom::object& object, std::string_view key) {
  const std::optional<dom::element> value = Member(object, key);
  dom::object read;
  if (!value.has_value()) return Bad("no \"", key, "\"");
  if (value->get(read) != simdjson::SUCCESS) return Bad("\"", key, "\" must be an object");
  return read;
}

absl::StatusOr<dom::array> ReadArray(const dom::object& object, std::string_view key) {
  const std::optional<dom::element> value = Member(object, key);
  dom::array read;
  if (value.has_value() && value->get(read) == simdjson::SUCCESS) return read;
  return Bad("\"", key, "\" must be an array");
}

absl::StatusOr<dom::object> ParseObject(std::string_view json, dom::parser* parser) {
  dom::element document;
  const simdjson::error_code error =
      parser->parse(json.data(), json.size(), /*realloc_if_needed=*/true).get(document);
  if (error != simdjson::SUCCESS) return Bad(simdjson::error_message(error));
  dom::object root;
  if (document.get(root) != simdjson::SUCCESS) return Bad("not a JSON object");
  return root;
}

absl::Status CheckVocabularySize(size_t tokens) {
  if (tokens == 0) return Bad("the vocabulary is empty");
  if (tokens <= kMaxVocabulary) return absl::OkStatus();
  return Bad("the vocabulary has more than ", kMaxVocabulary, " entries");
}

}  // namespace cairn::chunking
