#include "engine/model/model_config.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/model/json_reader.h"

namespace cairn::engine {
namespace {

using Kind = JsonValue::Kind;

constexpr size_t kMaxDepth = 32;

// One value of the "cairn" object.
absl::Status TakeAdvice(std::string_view key, const JsonValue& value, FusionAdvice* advice) {
  if (key == "fusion") {
    if (value.kind == Kind::kString && value.text == "convex") return absl::OkStatus();
    return absl::InvalidArgumentError("cairn.fusion is not \"convex\"");
  }
  if (key == "normalization") {
    advice->min_max = value.text == "min-max";
    if (value.kind == Kind::kString && (advice->min_max || value.text == "theoretical")) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        "cairn.normalization is neither \"theoretical\" nor \"min-max\"");
  }
  if (key == "alpha") {
    const bool number = value.kind == Kind::kUnsigned || value.kind == Kind::kReal;
    if (!number || !(value.real >= 0 && value.real <= 1)) {
      return absl::InvalidArgumentError("cairn.alpha is not a number from 0 to 1");
    }
    advice->alpha = static_cast<float>(value.real);
    advice->given = true;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FusionAdvice> ParseFusionAdvice(std::string_view config_json) {
  FusionAdvice advice;
  auto take = [&advice](JsonPath path, const JsonValue& value) {
    if (path.empty() && value.kind != Kind::kObject) {
      return absl::InvalidArgumentError("not a JSON object");
    }
    if (path.empty() || path[0] != "cairn") return absl::OkStatus();
    if (path.size() == 1 && value.kind != Kind::kObject) {
      return absl::InvalidArgumentError("cairn is not a JSON object");
    }
    return path.size() == 2 ? TakeAdvice(path[1], value, &advice) : absl::OkStatus();
  };
  const absl::Status status = ReadJson(config_json, kMaxDepth, take);
  if (!status.ok()) return status;
  return advice;
}

}  // namespace cairn::engine
