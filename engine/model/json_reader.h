// Strict, streaming JSON reading for files from outside.
#ifndef CAIRN_ENGINE_MODEL_JSON_READER_H_
#define CAIRN_ENGINE_MODEL_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"

namespace cairn::engine {

// One value of a JSON text. An object or array is reported when it opens, its members after it.
struct JsonValue {
  enum class Kind : uint8_t { kNull, kBool, kUnsigned, kNegative, kReal, kString, kObject, kArray };

  Kind kind = Kind::kNull;
  bool boolean = false;
  uint64_t number = 0;         // kUnsigned
  double real = 0;             // kUnsigned, kNegative, kReal; always finite.
  std::string_view text = {};  // kString: UTF-8, valid during the call.
};

// Where it stands: one step per enclosing container, the key in an object and "[]" in an array.
using JsonPath = absl::Span<const std::string>;

// Calls `visit` for every value of `json` in order of appearance and builds no tree.
// InvalidArgument for anything but one complete JSON value in UTF-8, for a key that occurs twice in
// an object, for containers nested deeper than `max_depth`; otherwise the first error `visit`
// returns. Recursion does not grow with the input.
absl::Status ReadJson(std::string_view json, size_t max_depth,
                      absl::FunctionRef<absl::Status(JsonPath, const JsonValue&)> visit);

// `text` (UTF-8) fit for an error message: control characters escaped, and cut where it is long.
std::string Printable(std::string_view text);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_JSON_READER_H_
