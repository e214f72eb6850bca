// Reading members of JSON objects, with errors that name them.
#ifndef CAIRN_CHUNKING_TEXT_JSON_MEMBERS_H_
#define CAIRN_CHUNKING_TEXT_JSON_MEMBERS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "chunking/strings.h"
#include "chunking/text/vocabulary.h"
#include "simdjson.h"

namespace cairn::chunking {

// `text` fit for an error message: control characters and what is not UTF-8 escaped, and cut where
// it is long.
std::string Printable(std::string_view text);

// What Bad makes of its parts: strings may come from a file and become printable, numbers and
// literals stay.
template <typename T>
const T& MessagePart(const T& part) {
  return part;
}
inline std::string MessagePart(std::string_view part) { return Printable(part); }
inline std::string MessagePart(const std::string& part) { return Printable(part); }

// Says in `parts` what is wrong with a file.
template <typename... Parts>
absl::Status Bad(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(MessagePart(parts)...));
}

// `status`, of a file called `file`.
inline absl::Status InFile(std::string_view file, const absl::Status& status) {
  return {status.code(), absl::StrCat(AbslView(file), ": ", status.message())};
}

// The member `key` of `object`, or nothing where it is absent or null.
std::optional<simdjson::dom::element> Member(const simdjson::dom::object& object,
                                             std::string_view key);

// Reads the optional member `key` into `*out`, which keeps its value where there is none.
template <typename T>
absl::Status ReadOptional(const simdjson::dom::object& object, std::string_view key,
                          std::string_view type, T* out) {
  const std::optional<simdjson::dom::element> value = Member(object, key);
  if (!value.has_value()) return absl::OkStatus();
  T read;
  if (value->get(read) != simdjson::SUCCESS) return Bad("\"", key, "\" must be ", type);
  *out = read;
  return absl::OkStatus();
}
absl::Status ReadBool(const simdjson::dom::object& object, std::string_view key, bool* out);
absl::Status ReadString(const simdjson::dom::object& object, std::string_view key,
                        std::string* out);

// The member `key`, which must be there.
absl::StatusOr<simdjson::dom::object> ReadObject(const simdjson::dom::object& object,
                                                 std::string_view key);
absl::StatusOr<simdjson::dom::array> ReadArray(const simdjson::dom::object& object,
                                               std::string_view key);

// The JSON object that `json` is. `parser` owns it.
absl::StatusOr<simdjson::dom::object> ParseObject(std::string_view json,
                                                  simdjson::dom::parser* parser);

// Checks, one id after the other, that ids are distinct and leave no unreasonable gaps: tables
// indexed by id stay in proportion to the file.
class IdCheck {
 public:
  explicit IdCheck(size_t tokens) : tokens_(tokens), seen_(tokens * 16 + 4096) {}

  absl::Status Add(uint64_t id) {
    if (id >= seen_.size()) return Bad("id ", id, " is too large for ", tokens_, " tokens");
    if (seen_[id]) return Bad("id ", id, " is used twice");
    seen_[id] = true;
    return absl::OkStatus();
  }

 private:
  size_t tokens_;
  std::vector<bool> seen_;
};

absl::Status CheckVocabularySize(size_t tokens);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_JSON_MEMBERS_H_
