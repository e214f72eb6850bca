#include "engine/model/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/model/gguf_types.h"
#include "engine/model/json_reader.h"

namespace cairn::engine {
namespace {

constexpr std::string_view kGgufMagic = "GGUF";
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxKeyBytes = 65'535;  // The format's own limits.
constexpr uint64_t kMaxNameBytes = 64;
constexpr uint32_t kMaxDims = 4;
// The least that an entry or a tensor takes: an empty name's length, type, one byte; an empty
// name's length, dimensions, one dimension, format, offset.
constexpr uint64_t kMinEntryBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;

absl::Status Invalid(absl::string_view what) { return absl::InvalidArgumentError(what); }

// Bytes of a scalar; 0 for strings and arrays, nothing for types there are none of.
std::optional<uint64_t> ScalarBytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return std::nullopt;
}

template <class T>
T Load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Walks over the header.
class Cursor {
 public:
  explicit Cursor(std::string_view file) : file_(file) {}

  uint64_t position() const { return at_; }
  uint64_t left() const { return file_.size() - at_; }

  absl::StatusOr<std::string_view> Take(uint64_t bytes, absl::string_view what) {
    if (bytes > left()) {
      return Invalid(absl::StrCat("truncated: ", what, " takes ", bytes, " bytes at byte ", at_,
                                  ", ", left(), " are left"));
    }
    const std::string_view taken = file_.substr(at_, bytes);
    at_ += bytes;
    return taken;
  }

  template <class T>
  absl::StatusOr<T> Number(absl::string_view what) {
    auto bytes = Take(sizeof(T), what);
    if (!bytes.ok()) return bytes.status();
    return Load<T>(bytes->data());
  }

  // Passes a string of an array; false where it does not fit.
  bool SkipString() {
    if (left() < 8) return false;
    const auto length = Load<uint64_t>(file_.data() + at_);
    if (length > left() - 8) return false;
    at_ += 8 + length;
    return true;
  }

  absl::StatusOr<std::string_view> String(absl::string_view what) {
    auto length = Number<uint64_t>(absl::StrCat(what, "'s length"));
    if (!length.ok()) return length.status();
    return Take(*length, what);
  }

 private:
  std::string_view file_;
  uint64_t at_ = 0;
};

absl::StatusOr<std::string_view> SkipStrings(uint64_t count, std::string_view file,
                                             absl::string_view what, Cursor* in) {
  if (count > in->left() / 8) {
    return Invalid(
        absl::StrCat(what, ": ", count, " strings do not fit into ", in->left(), " bytes"));
  }
  const uint64_t begin = in->position();
  for (uint64_t i = 0; i < count; ++i) {
    if (!in->SkipString()) {
      return Invalid(absl::StrCat("truncated: ", what, ", string ", i, " does not fit into ",
                                  in->left(), " bytes"));
    }
  }
  return file.substr(begin, in->position() - begin);
}

absl::StatusOr<GgufValue> TakeArray(std::string_view file, absl::string_view what, Cursor* in) {
  auto element = in->Number<uint32_t>(absl::StrCat(what, "'s element type"));
  if (!element.ok()) return element.status();
  auto count = in->Number<uint64_t>(absl::StrCat(what, "'s count"));
  if (!count.ok()) return count.status();

  GgufValue value = {GgufType::kArray, static_cast<GgufType>(*element), *count, {}};
  const std::optional<uint64_t> size = ScalarBytes(value.element);
  if (!size.has_value()) {
    return Invalid(absl::StrCat(what, ": unknown element type ", *element));
  }
  if (value.element == GgufType::kArray) return Invalid(absl::StrCat(what, ": nested array"));
  if (value.element == GgufType::kString) {
    auto bytes = SkipStrings(*count, file, what, in);
    if (!bytes.ok()) return bytes.status();
    value.bytes = *bytes;
    return value;
  }
  if (*count > in->left() / *size) {
    return Invalid(absl::StrCat(what, ": ", *count, " elements of ", *size,
                                " bytes do not fit into ", in->left(), " bytes"));
  }
  auto bytes = in->Take(*count * *size, what);
  if (!bytes.ok()) return bytes.status();
  value.bytes = *bytes;
  return value;
}

absl::StatusOr<GgufValue> TakeValue(std::string_view file, absl::string_view what, Cursor* in) {
  auto number = in->Number<uint32_t>(absl::StrCat(what, "'s type"));
  if (!number.ok()) return number.status();
  const auto type = static_cast<GgufType>(*number);
  const std::optional<uint64_t> size = ScalarBytes(type);
  if (!size.has_value()) return Invalid(absl::StrCat(what, ": unknown type ", *number));
  if (type == GgufType::kArray) return TakeArray(file, what, in);
  auto bytes = type == GgufType::kString ? in->String(what) : in->Take(*size, what);
  if (!bytes.ok()) return bytes.status();
  if (type == GgufType::kBool && static_cast<unsigned char>((*bytes)[0]) > 1) {
    return Invalid(absl::StrCat(what, ": a boolean that is neither 0 nor 1"));
  }
  return GgufValue{type, GgufType::kU8, 1, *bytes};
}

absl::StatusOr<GgufEntry> TakeEntry(std::string_view file, uint64_t index, Cursor* in) {
  auto key = in->String(absl::StrCat("metadata key ", index));
  if (!key.ok()) return key.status();
  if (key->empty() || key->size() > kMaxKeyBytes) {
    return Invalid(absl::StrCat("metadata key ", index, " has ", key->size(), " bytes"));
  }
  auto value = TakeValue(file, absl::StrCat("metadata \"", Printable(*key), "\""), in);
  if (!value.ok()) return value.status();
  return GgufEntry{*key, *value};
}

// What the header says of a tensor, and where its data begins in the file's data.
struct TensorInfo {
  GgufTensor tensor;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

absl::Status TensorInfoFault(std::string_view name, absl::string_view fault) {
  return Invalid(absl::StrCat("tensor \"", Printable(name), "\": ", fault));
}

// Fills the shape, row-major, and the bytes it takes.
absl::Status SetShape(const std::vector<uint64_t>& sizes, TensorInfo* info) {
  TensorView& view = info->tensor.view;
  const kernels::BlockShape block = kernels::ShapeOf(view.format);
  uint64_t values = 1;
  for (uint64_t size : sizes) {
    if (size == 0) return TensorInfoFault(info->tensor.name, "a dimension of 0");
    if (__builtin_mul_overflow(values, size, &values) || values > uint64_t{1} << 55) {
      return TensorInfoFault(info->tensor.name, "its dimensions' product overflows");
    }
  }
  if (sizes[0] % block.values != 0) {
    return TensorInfoFault(info->tensor.name,
                           absl::StrCat("rows of ", sizes[0], " values are no whole blocks of ",
                                        std::string(kernels::BlockFormatName(view.format)),
                                        ", which have ", block.values));
  }
  view.shape.assign(sizes.rbegin(), sizes.rend());
  info->bytes = kernels::FormatBytes(view.format, values);
  return absl::OkStatus();
}

absl::StatusOr<TensorInfo> TakeTensor(uint64_t index, Cursor* in) {
  auto name = in->String(absl::StrCat("the name of tensor ", index));
  if (!name.ok()) return name.status();
  if (name->empty() || name->size() > kMaxNameBytes) {
    return Invalid(absl::StrCat("the name of tensor ", index, " has ", name->size(), " bytes"));
  }
  TensorInfo info;
  info.tensor.name = *name;
  auto dims = in->Number<uint32_t>("a tensor's number of dimensions");
  if (!dims.ok()) return TensorInfoFault(*name, dims.status().message());
  if (*dims == 0 || *dims > kMaxDims) {
    return TensorInfoFault(*name,
                           absl::StrCat(*dims, " dimensions, 1 to ", kMaxDims, " are possible"));
  }
  std::vector<uint64_t> sizes;
  for (uint32_t d = 0; d < *dims; ++d) {
    auto size = in->Number<uint64_t>("a dimension");
    if (!size.ok()) return TensorInfoFault(*name, size.status().message());
    sizes.push_back(*size);
  }
  auto type = in->Number<uint32_t>("a tensor's format");
  if (!type.ok()) return TensorInfoFault(*name, type.status().message());
  const std::optional<kernels::BlockFormat> format = FormatOfGgmlType(*type);
  if (!format.has_value()) {
    return TensorInfoFault(
        *name, absl::StrCat("format ", *type, " (", GgmlTypeName(*type), ") is not supported"));
  }
  info.tensor.view.format = *format;
  auto offset = in->Number<uint64_t>("a tensor's offset");
  if (!offset.ok()) return TensorInfoFault(*name, offset.status().message());
  info.offset = *offset;
  const absl::Status shaped = SetShape(sizes, &info);
  if (!shaped.ok()) return shaped;
  return info;
}

// The bytes of every tensor, none outside `data` or shared.
absl::Status PlaceTensors(std::string_view data, uint64_t alignment,
                          std::vector<TensorInfo>* tensors) {
  for (TensorInfo& info : *tensors) {
    const std::string_view name = info.tensor.name;
    if (info.offset % alignment != 0) {
      return TensorInfoFault(
          name, absl::StrCat("offset ", info.offset, " is not a multiple of ", alignment));
    }
    if (info.offset > data.size() || info.bytes > data.size() - info.offset) {
      return TensorInfoFault(
          name, absl::StrCat(info.bytes, " bytes at offset ", info.offset, " lie outside the ",
                             data.size(), " bytes of data"));
    }
    info.tensor.view.bytes = data.substr(info.offset, info.bytes);
  }
  std::vector<const TensorInfo*> order;
  order.reserve(tensors->size());
  for (const TensorInfo& info : *tensors) order.push_back(&info);
  std::sort(order.begin(), order.end(),
            [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i]->offset < order[i - 1]->offset + order[i - 1]->bytes) {
      return TensorInfoFault(
          order[i]->tensor.name,
          absl::StrCat("overlaps tensor \"", Printable(order[i - 1]->tensor.name), "\""));
    }
  }
  return absl::OkStatus();
}

// Indices of `items` in ascending order of `name_of`; an error where a name occurs twice.
template <class Item, class NameOf>
absl::StatusOr<std::vector<uint32_t>> SortByName(const std::vector<Item>& items,
                                                 absl::string_view what, NameOf name_of) {
  std::vector<uint32_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint32_t>(i);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return name_of(items[a]) < name_of(items[b]); });
  for (size_t i = 1; i < order.size(); ++i) {
    const std::string_view name = name_of(items[order[i]]);
    if (name == name_of(items[order[i - 1]])) {
      return Invalid(absl::StrCat("duplicate ", what, " \"", Printable(name), "\""));
    }
  }
  return order;
}

template <class Item, class NameOf>
const Item* FindByName(const std::vector<Item>& items, const std::vector<uint32_t>& order,
                       std::string_view name, NameOf name_of) {
  const auto at =
      std::lower_bound(order.begin(), order.end(), name,
                       [&](uint32_t i, std::string_view n) { return name_of(items[i]) < n; });
  return at != order.end() && name_of(items[*at]) == name ? &items[*at] : nullptr;
}

std::string_view KeyOf(const GgufEntry& entry) { return entry.key; }
std::string_view NameOf(const GgufTensor& tensor) { return tensor.name; }

absl::StatusOr<uint32_t> TakeVersion(Cursor* in) {
  auto magic = in->Take(kGgufMagic.size(), "the magic number");
  if (!magic.ok()) return magic.status();
  if (*magic != kGgufMagic) return Invalid("not a GGUF file: it does not begin with \"GGUF\"");
  auto version = in->Number<uint32_t>("the version");
  if (!version.ok()) return version.status();
  if (*version != 0 && (*version & 0xffff) == 0) {
    return Invalid("a big-endian GGUF file, which is not supported");
  }
  if (*version != 2 && *version != 3) {
    return Invalid(absl::StrCat("GGUF version ", *version, " is not supported (2 and 3 are)"));
  }
  return *version;
}

absl::Status CheckCounts(uint64_t tensors, uint64_t entries, const Cursor& in) {
  if (entries > in.left() / kMinEntryBytes) {
    return Invalid(
        absl::StrCat(entries, " metadata entries do not fit into ", in.left(), " bytes"));
  }
  if (tensors > in.left() / kMinTensorBytes) {
    return Invalid(absl::StrCat(tensors, " tensors do not fit into ", in.left(), " bytes"));
  }
  // Indices are 32 bits wide.
  if (std::max(entries, tensors) > std::numeric_limits<uint32_t>::max()) {
    return Invalid("more than 2^32 tensors or metadata entries");
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> AlignmentOf(const GgufValue* value) {
  if (value == nullptr) return kDefaultAlignment;
  const std::optional<uint64_t> alignment = value->AsUnsigned();
  if (!alignment.has_value() || *alignment == 0 || (*alignment & (*alignment - 1)) != 0 ||
      *alignment > uint64_t{1} << 31) {
    return Invalid("general.alignment is not a power of two");
  }
  return *alignment;
}

}  // namespace

absl::StatusOr<Gguf> Gguf::Parse(std::string_view file) {
  Cursor in(file);
  auto version = TakeVersion(&in);
  if (!version.ok()) return version.status();
  auto tensor_count = in.Number<uint64_t>("the number of tensors");
  if (!tensor_count.ok()) return tensor_count.status();
  auto entry_count = in.Number<uint64_t>("the number of metadata entries");
  if (!entry_count.ok()) return entry_count.status();
  absl::Status status = CheckCounts(*tensor_count, *entry_count, in);
  if (!status.ok()) return status;

  Gguf result;
  result.version_ = *version;
  for (uint64_t i = 0; i < *entry_count; ++i) {
    auto entry = TakeEntry(file, i, &in);
    if (!entry.ok()) return entry.status();
    result.metadata_.push_back(*entry);
  }
  auto by_key = SortByName(result.metadata_, "metadata key", KeyOf);
  if (!by_key.ok()) return by_key.status();
  result.by_key_ = *std::move(by_key);
  auto alignment = AlignmentOf(result.Find("general.alignment"));
  if (!alignment.ok()) return alignment.status();
  result.alignment_ = *alignment;

  std::vector<TensorInfo> tensors;
  for (uint64_t i = 0; i < *tensor_count; ++i) {
    auto tensor = TakeTensor(i, &in);
    if (!tensor.ok()) return tensor.status();
    tensors.push_back(*std::move(tensor));
  }
  result.header_ = file.substr(0, in.position());
  // The padding may lack where no data follows.
  const uint64_t padding = (*alignment - in.position() % *alignment) % *alignment;
  status =
      PlaceTensors(file.substr(in.position() + std::min(padding, in.left())), *alignment, &tensors);
  if (!status.ok()) return status;
  for (TensorInfo& info : tensors) result.tensors_.push_back(std::move(info.tensor));
  auto by_name = SortByName(result.tensors_, "tensor", NameOf);
  if (!by_name.ok()) return by_name.status();
  result.by_name_ = *std::move(by_name);
  return result;
}

const GgufValue* Gguf::Find(std::string_view key) const {
  const GgufEntry* entry = FindByName(metadata_, by_key_, key, KeyOf);
  return entry == nullptr ? nullptr : &entry->value;
}

const GgufTensor* Gguf::FindTensor(std::string_view name) const {
  return FindByName(tensors_, by_name_, name, NameOf);
}

}  // namespace cairn::engine
