#include "engine/model/json_document.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "engine/model/json_reader.h"

namespace cairn::engine {

using nlohmann::json;

absl::StatusOr<json> ParseJsonObject(std::string_view text) {
  // The tree's own parser would accept duplicate keys.
  const auto visit = [](JsonPath, const JsonValue&) { return absl::OkStatus(); };
  const absl::Status status = ReadJson(text, /*max_depth=*/32, visit);
  if (!status.ok()) return status;
  json tree = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!tree.is_object()) return absl::InvalidArgumentError("not a JSON object");
  return tree;
}

const json* JsonObject::Find(const char* key) const {
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool JsonObject::IsNull(const char* key) const {
  return object_.is_object() && object_.contains(key) && object_[key].is_null();
}

std::optional<uint32_t> JsonObject::Unsigned(const char* key) const {
  const json* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned()) {
    const auto number = value->get<uint64_t>();
    if (number <= std::numeric_limits<uint32_t>::max()) return static_cast<uint32_t>(number);
  }
  Fail(absl::StrCat(key, " is not an unsigned 32-bit number"));
  return std::nullopt;
}

std::optional<float> JsonObject::Real(const char* key) const {
  const json* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const auto number = value->get<double>();
    if (std::fabs(number) <= std::numeric_limits<float>::max()) return static_cast<float>(number);
  }
  Fail(absl::StrCat(key, " is not a number"));
  return std::nullopt;
}

std::optional<bool> JsonObject::Bool(const char* key) const {
  const json* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  Fail(absl::StrCat(key, " is neither true nor false"));
  return std::nullopt;
}

std::optional<std::string> JsonObject::String(const char* key) const {
  const json* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  Fail(absl::StrCat(key, " is not a string"));
  return std::nullopt;
}

void JsonObject::Fail(absl::string_view what) const {
  if (status_->ok()) *status_ = absl::InvalidArgumentError(what);
}

}  // namespace cairn::engine
