// Small JSON files from outside, as a tree.
#ifndef CAIRN_ENGINE_MODEL_JSON_DOCUMENT_H_
#define CAIRN_ENGINE_MODEL_JSON_DOCUMENT_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cairn::engine {

// As strict as ReadJson; containers nest at most 32 deep. InvalidArgument also where the value is
// no object.
absl::StatusOr<nlohmann::json> ParseJsonObject(std::string_view json);

// Reads an object's members by their types. The first error stays, and is InvalidArgument naming
// the member; members that are absent or null are as if they were not there.
class JsonObject {
 public:
  // `object` and `status` outlive this; anything but an object is as if it were empty.
  JsonObject(const nlohmann::json& object, absl::Status* status)
      : object_(object), status_(status) {}

  // Whether the member is there, and null.
  bool IsNull(const char* key) const;
  // Null where absent.
  const nlohmann::json* Find(const char* key) const;
  std::optional<uint32_t> Unsigned(const char* key) const;
  std::optional<float> Real(const char* key) const;
  std::optional<bool> Bool(const char* key) const;
  std::optional<std::string> String(const char* key) const;

  void Fail(absl::string_view what) const;

 private:
  const nlohmann::json& object_;
  absl::Status* status_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_JSON_DOCUMENT_H_
