#include "engine/batch/json_lines.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/model/json_document.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxRecordBytes = size_t{64} << 20;

}  // namespace

JsonLines::JsonLines(chunking::ByteSource& input, std::string name, bool skip_bad)
    : lines_(input, kMaxRecordBytes), name_(std::move(name)), skip_bad_(skip_bad) {}

absl::StatusOr<bool> JsonLines::Next(absl::FunctionRef<absl::Status(nlohmann::json)> parse) {
  chunking::LineReader::Line line;
  while (true) {
    absl::StatusOr<bool> more = lines_.Next(&line);
    if (!more.ok()) {
      return absl::Status(more.status().code(), absl::StrCat(name_, ": ", more.status().message()));
    }
    if (!*more) return false;
    bytes_ += line.bytes.size() + 1;
    if (line.number == 1 && line.bytes.substr(0, 3) == "\xEF\xBB\xBF") line.bytes.remove_prefix(3);
    const bool blank = line.bytes.find_first_not_of(" \t\r") == std::string_view::npos;
    if (blank && !line.oversized) continue;
    absl::Status s;
    if (line.oversized) {
      s = absl::InvalidArgumentError("longer than 64 MiB");
    } else {
      absl::StatusOr<nlohmann::json> object = ParseJsonObject(line.bytes);
      s = object.ok() ? parse(*std::move(object)) : object.status();
    }
    if (s.ok()) return true;
    if (!skip_bad_) {
      return absl::InvalidArgumentError(absl::StrCat(name_, ":", line.number, ": ", s.message()));
    }
    ++skipped_;
  }
}

absl::StatusOr<std::string> TextMember(const nlohmann::json& object, const char* key) {
  const auto member = object.find(key);
  if (member == object.end()) return absl::InvalidArgumentError(absl::StrCat("no \"", key, "\""));
  if (member->is_string()) return member->get<std::string>();
  if (member->is_number_integer()) return member->dump();
  return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" is not a string"));
}

double Shortest(float value) {
  char digits[32];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof(digits), value);
  double shortest = value;
  std::from_chars(digits, end.ptr, shortest);
  return shortest;
}

}  // namespace cairn::engine
