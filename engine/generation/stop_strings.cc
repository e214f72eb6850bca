#include "engine/generation/stop_strings.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "chunking/text/utf8.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxStrings = 64;
constexpr size_t kMaxStopStringBytes = 1024;

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const chunking::DecodedCodePoint c =
        chunking::DecodeUtf8(text.data() + i, text.data() + text.size());
    if (c.value == chunking::kReplacementCharacter && c.size == 1) return false;
    i += c.size;
  }
  return true;
}

}  // namespace

absl::Status CheckStopStrings(const std::vector<std::string>& strings) {
  if (strings.size() > kMaxStrings) {
    return absl::InvalidArgumentError(
        absl::StrCat(strings.size(), " stop strings are more than ", kMaxStrings));
  }
  for (const std::string& s : strings) {
    if (s.empty()) return absl::InvalidArgumentError("a stop string is empty");
    if (s.size() > kMaxStopStringBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("a stop string has ", s.size(), " bytes, more than ", kMaxStopStringBytes));
    }
    if (!IsUtf8(s)) return absl::InvalidArgumentError("a stop string is not UTF-8");
  }
  return absl::OkStatus();
}

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {}

std::string StopStrings::Append(std::string_view text) {
  if (stopped()) return "";
  std::string joined = std::exchange(pending_, "");
  joined += text;
  size_t begin = 0, end = joined.size() + 1;  // Of the match.
  for (size_t i = 0; i < strings_.size(); ++i) {
    const std::string& s = strings_[i];
    const size_t at = joined.find(s);
    if (at == std::string::npos) continue;
    if (at + s.size() < end || (at + s.size() == end && at < begin)) {
      begin = at;
      end = at + s.size();
      matched_ = i;
    }
  }
  if (stopped()) {
    joined.resize(begin);
    return joined;
  }
  size_t keep = 0;
  for (const std::string& s : strings_) {
    for (size_t n = std::min(s.size() - 1, joined.size()); n > keep; --n) {
      if (std::string_view(joined).ends_with(std::string_view(s).substr(0, n))) keep = n;
    }
  }
  pending_ = joined.substr(joined.size() - keep);
  joined.resize(joined.size() - keep);
  return joined;
}

std::string StopStrings::Finish() { return std::exchange(pending_, ""); }

}  // namespace cairn::engine
