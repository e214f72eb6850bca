#include "engine/model/safetensors.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "engine/model/json_reader.h"

namespace cairn::engine {
namespace {

using Kind = JsonValue::Kind;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxRank = 64;  // Far above any tensor's; bounds what a hostile header allocates.
constexpr std::string_view kMetadata = "__metadata__";

struct TypeName {
  const char* name;
  TensorType type;
  uint64_t bytes;
};
constexpr TypeName kTensorTypes[] = {
    {"F64", TensorType::kF64, 8},   {"F32", TensorType::kF32, 4}, {"F16", TensorType::kF16, 2},
    {"BF16", TensorType::kBF16, 2}, {"I64", TensorType::kI64, 8}, {"I32", TensorType::kI32, 4},
    {"I16", TensorType::kI16, 2},   {"I8", TensorType::kI8, 1},   {"U8", TensorType::kU8, 1},
    {"BOOL", TensorType::kBool, 1},
};

const TypeName& Describe(TensorType type) {
  return *std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                       [&](const TypeName& t) { return t.type == type; });
}

// A tensor as the header describes it, nothing checked against the data yet.
struct Entry {
  const TypeName* type = nullptr;
  std::optional<std::vector<uint64_t>> shape;
  std::optional<std::vector<uint64_t>> offsets;
};
using Entries = std::map<std::string, Entry, std::less<>>;

absl::Status TensorFault(std::string_view name, absl::string_view fault) {
  return absl::InvalidArgumentError(absl::StrCat("tensor \"", Printable(name), "\": ", fault));
}

// Takes the header's values in order of appearance.
class HeaderReader {
 public:
  absl::Status Take(JsonPath path, const JsonValue& value) {
    if (path.empty()) return TakeRoot(value);
    if (path[0] == kMetadata) return TakeMetadata(path, value);
    if (path.size() == 1) return TakeTensor(path[0], value);
    if (path.size() == 2) return TakeField(path[0], path[1], value);
    return TakeNumber(path[0], path[1], value);
  }

  Entries& entries() { return entries_; }

 private:
  absl::Status TakeRoot(const JsonValue& value) {
    if (value.kind == Kind::kObject) return absl::OkStatus();
    return absl::InvalidArgumentError("header is not a JSON object");
  }

  absl::Status TakeMetadata(JsonPath path, const JsonValue& value) {
    if (value.kind == (path.size() == 1 ? Kind::kObject : Kind::kString)) return absl::OkStatus();
    return absl::InvalidArgumentError("__metadata__ must map strings to strings");
  }

  absl::Status TakeTensor(const std::string& name, const JsonValue& value) {
    if (value.kind != Kind::kObject) return TensorFault(name, "not a JSON object");
    current_ = &entries_[name];
    return absl::OkStatus();
  }

  absl::Status TakeField(const std::string& name, const std::string& field,
                         const JsonValue& value) {
    if (field == "dtype") {
      if (value.kind != Kind::kString) return TensorFault(name, "dtype is not a string");
      const auto* type = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                      [&](const TypeName& t) { return t.name == value.text; });
      if (type == std::end(kTensorTypes)) {
        return TensorFault(name, absl::StrCat("unsupported dtype \"", Printable(value.text), "\""));
      }
      current_->type = type;
      return absl::OkStatus();
    }
    if (field != "shape" && field != "data_offsets") {
      return TensorFault(name, absl::StrCat("unknown key \"", Printable(field), "\""));
    }
    if (value.kind != Kind::kArray)
      return TensorFault(name, absl::StrCat(field, " is not an array"));
    (field == "shape" ? current_->shape : current_->offsets).emplace();
    return absl::OkStatus();
  }

  absl::Status TakeNumber(const std::string& name, const std::string& field,
                          const JsonValue& value) {
    if (value.kind != Kind::kUnsigned) {
      return TensorFault(name, absl::StrCat(field, " holds something that is no unsigned integer"));
    }
    const bool is_shape = field == "shape";
    std::vector<uint64_t>& numbers = is_shape ? *current_->shape : *current_->offsets;
    if (numbers.size() == (is_shape ? kMaxRank : 2)) {
      return TensorFault(name,
                         absl::StrCat(field, " holds more than ", numbers.size(), " numbers"));
    }
    numbers.push_back(value.number);
    return absl::OkStatus();
  }

  Entries entries_;
  Entry* current_ = nullptr;  // The tensor whose object is open; map nodes do not move.
};

// Product of the sizes and the type's bytes; nothing on overflow.
std::optional<uint64_t> ByteSize(const Entry& entry) {
  uint64_t size = entry.type->bytes;
  bool overflow = false;
  for (uint64_t n : *entry.shape) {
    // A zero anywhere makes the tensor empty, but must not hide an overflow before or after it.
    overflow |= __builtin_mul_overflow(size, std::max<uint64_t>(n, 1), &size);
  }
  if (overflow) return std::nullopt;
  const bool empty = std::count(entry.shape->begin(), entry.shape->end(), 0u) > 0;
  return empty ? 0 : size;
}

absl::Status CheckEntry(const std::string& name, const Entry& entry, uint64_t data_bytes) {
  if (entry.type == nullptr) return TensorFault(name, "no dtype");
  if (!entry.shape.has_value()) return TensorFault(name, "no shape");
  if (!entry.offsets.has_value()) return TensorFault(name, "no data_offsets");
  if (entry.offsets->size() != 2)
    return TensorFault(name, "data_offsets holds fewer than 2 numbers");
  const uint64_t begin = entry.offsets->front();
  const uint64_t end = entry.offsets->back();
  if (begin > end) {
    return TensorFault(name, absl::StrCat("data_offsets run backwards, ", begin, " to ", end));
  }
  if (end > data_bytes) {
    return TensorFault(name, absl::StrCat("ends at data byte ", end, ", but the file holds ",
                                          data_bytes, " (truncated?)"));
  }
  const std::optional<uint64_t> size = ByteSize(entry);
  if (!size.has_value()) return TensorFault(name, "shape overflows 64 bits");
  if (*size != end - begin) {
    return TensorFault(
        name, absl::StrCat("shape [", absl::StrJoin(*entry.shape, ","), "] of ", entry.type->name,
                           " takes ", *size, " bytes, data_offsets give ", end - begin));
  }
  return absl::OkStatus();
}

// Every byte of the data belongs to exactly one tensor.
absl::Status CheckCoverage(const Entries& entries, uint64_t data_bytes) {
  std::vector<const Entries::value_type*> order;
  order.reserve(entries.size());
  for (const auto& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return *a->second.offsets < *b->second.offsets; });
  uint64_t covered = 0;
  for (const auto* entry : order) {
    const uint64_t begin = entry->second.offsets->front();
    if (begin < covered) return TensorFault(entry->first, "overlaps another tensor");
    if (begin > covered) {
      return TensorFault(entry->first,
                         absl::StrCat("gap of ", begin - covered, " bytes before it"));
    }
    covered = entry->second.offsets->back();
  }
  if (covered == data_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(data_bytes - covered, " bytes after the last tensor"));
}

// Splits the file into header and data.
absl::StatusOr<std::pair<std::string_view, std::string_view>> Split(std::string_view file) {
  if (file.size() < 8) {
    return absl::InvalidArgumentError(
        absl::StrCat("truncated: ", file.size(), " bytes, the header's length alone takes 8"));
  }
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(file[i]);
  file.remove_prefix(8);
  if (length > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("header length ", length, " is above the limit of ", kMaxHeaderBytes));
  }
  if (length > file.size()) {
    return absl::InvalidArgumentError(absl::StrCat("truncated: header length ", length,
                                                   ", but only ", file.size(), " bytes follow"));
  }
  const std::string_view header = file.substr(0, length);
  if (header.empty() || header[0] != '{') {
    return absl::InvalidArgumentError("header does not begin with '{'");
  }
  return std::pair(header, file.substr(length));
}

}  // namespace

uint64_t BytesPerElement(TensorType type) { return Describe(type).bytes; }
std::string_view TensorTypeName(TensorType type) { return Describe(type).name; }

uint64_t Tensor::elements() const {
  uint64_t n = 1;
  for (uint64_t size : shape) n *= size;
  return n;
}

absl::StatusOr<SafeTensors> SafeTensors::Parse(std::string_view file) {
  auto split = Split(file);
  if (!split.ok()) return split.status();
  const auto& [header, data] = *split;

  HeaderReader reader;
  // Named, because a FunctionRef must not outlive what it refers to.
  auto take = [&reader](JsonPath path, const JsonValue& value) { return reader.Take(path, value); };
  absl::Status status = ReadJson(header, /*max_depth=*/3, take);
  if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat("header: ", status.message()));

  Entries& entries = reader.entries();
  for (const auto& [name, entry] : entries) {
    status = CheckEntry(name, entry, data.size());
    if (!status.ok()) return status;
  }
  status = CheckCoverage(entries, data.size());
  if (!status.ok()) return status;

  SafeTensors result;
  for (auto& [name, entry] : entries) {
    const uint64_t begin = entry.offsets->front();
    result.tensors_.emplace_hint(result.tensors_.end(), name,
                                 Tensor{entry.type->type, std::move(*entry.shape),
                                        data.substr(begin, entry.offsets->back() - begin)});
  }
  return result;
}

absl::StatusOr<const Tensor*> SafeTensors::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return &found->second;
  return absl::NotFoundError(absl::StrCat("no tensor \"", Printable(name), "\""));
}

}  // namespace cairn::engine
