// Typed access to metadata.
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/model/gguf.h"
#include "engine/model/json_reader.h"

namespace cairn::engine {
namespace {

template <class T>
T Load(std::string_view bytes, uint64_t index = 0) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

std::optional<uint64_t> NotNegative(int64_t value) {
  if (value < 0) return std::nullopt;
  return static_cast<uint64_t>(value);
}

absl::Status MetadataFault(std::string_view key, absl::string_view fault) {
  return absl::InvalidArgumentError(absl::StrCat("metadata \"", Printable(key), "\": ", fault));
}

absl::Status WrongType(std::string_view key, const GgufValue& value, absl::string_view wanted) {
  return MetadataFault(key, absl::StrCat("type ", std::string(GgufTypeName(value.type)),
                                         ", or its value, is not ", wanted));
}

}  // namespace

std::string_view GgufTypeName(GgufType type) {
  constexpr std::string_view kNames[] = {"uint8",  "int8",    "uint16", "int16",  "uint32",
                                         "int32",  "float32", "bool",   "string", "array",
                                         "uint64", "int64",   "float64"};
  return kNames[static_cast<size_t>(type)];
}

std::optional<uint64_t> GgufValue::AsUnsigned() const {
  switch (type) {
    case GgufType::kU8:
      return Load<uint8_t>(bytes);
    case GgufType::kI8:
      return NotNegative(Load<int8_t>(bytes));
    case GgufType::kU16:
      return Load<uint16_t>(bytes);
    case GgufType::kI16:
      return NotNegative(Load<int16_t>(bytes));
    case GgufType::kU32:
      return Load<uint32_t>(bytes);
    case GgufType::kI32:
      return NotNegative(Load<int32_t>(bytes));
    case GgufType::kU64:
      return Load<uint64_t>(bytes);
    case GgufType::kI64:
      return NotNegative(Load<int64_t>(bytes));
    default:
      return std::nullopt;
  }
}

std::optional<double> GgufValue::AsReal() const {
  double value = 0;
  if (type == GgufType::kF32) {
    value = Load<float>(bytes);
  } else if (type == GgufType::kF64) {
    value = Load<double>(bytes);
  } else {
    return std::nullopt;
  }
  if (!std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<bool> GgufValue::AsBool() const {
  if (type != GgufType::kBool) return std::nullopt;
  return bytes[0] != 0;
}

std::optional<std::string_view> GgufValue::AsString() const {
  if (type != GgufType::kString) return std::nullopt;
  return bytes;
}

std::optional<std::vector<std::string_view>> GgufValue::AsStrings() const {
  if (type != GgufType::kArray || element != GgufType::kString) return std::nullopt;
  std::vector<std::string_view> strings;
  strings.reserve(count);
  for (std::string_view left = bytes; !left.empty();) {
    const auto length = Load<uint64_t>(left);
    strings.push_back(left.substr(8, length));
    left.remove_prefix(8 + length);
  }
  return strings;
}

std::optional<std::vector<float>> GgufValue::AsFloats() const {
  if (type != GgufType::kArray || element != GgufType::kF32) return std::nullopt;
  std::vector<float> values(count);
  if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::optional<std::vector<int32_t>> GgufValue::AsInts() const {
  if (type != GgufType::kArray) return std::nullopt;
  if (element != GgufType::kI32 && element != GgufType::kU32) return std::nullopt;
  std::vector<int32_t> values(count);
  if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
  for (int32_t value : values) {
    if (element == GgufType::kU32 && value < 0) return std::nullopt;
  }
  return values;
}

std::optional<std::vector<bool>> GgufValue::AsBools() const {
  if (type != GgufType::kArray || element != GgufType::kBool) return std::nullopt;
  std::vector<bool> values(count);
  for (uint64_t i = 0; i < count; ++i) values[i] = bytes[i] != 0;
  return values;
}

absl::StatusOr<std::optional<uint32_t>> Gguf::Unsigned(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<uint64_t> number = value->AsUnsigned();
  if (!number.has_value() || *number > std::numeric_limits<uint32_t>::max()) {
    return WrongType(key, *value, "an unsigned 32-bit number");
  }
  return static_cast<uint32_t>(*number);
}

absl::StatusOr<std::optional<float>> Gguf::Real(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  std::optional<double> number = value->AsReal();
  if (const auto whole = value->AsUnsigned(); whole.has_value()) {
    number = static_cast<double>(*whole);
  }
  if (!number.has_value() || std::fabs(*number) > std::numeric_limits<float>::max()) {
    return WrongType(key, *value, "a finite number");
  }
  return static_cast<float>(*number);
}

absl::StatusOr<std::optional<bool>> Gguf::Bool(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<bool> flag = value->AsBool();
  if (!flag.has_value()) return WrongType(key, *value, "a boolean");
  return flag;
}

absl::StatusOr<std::optional<std::string_view>> Gguf::String(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<std::string_view> text = value->AsString();
  if (!text.has_value()) return WrongType(key, *value, "a string");
  return text;
}

}  // namespace cairn::engine
