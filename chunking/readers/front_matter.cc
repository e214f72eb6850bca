#include "chunking/readers/front_matter.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "chunking/readers/text_checks.h"

namespace cairn::chunking {
namespace {

// The line at `at`, without its end; moves `at` behind it.
std::string_view TakeLine(std::string_view text, size_t* at) {
  const size_t end = std::min(text.find('\n', *at), text.size());
  const std::string_view line = text.substr(*at, end - *at);
  *at = std::min(end + 1, text.size());
  return line;
}

// A comment ends a value: " # ...".
std::string_view WithoutComment(std::string_view value) {
  if (value.starts_with("#")) return {};
  const size_t at = value.find(" #");
  return Trim(value.substr(0, at));
}

// A scalar as text, its quotes taken off. `plain` says whether there were none.
std::string ScalarText(std::string_view value, bool* plain) {
  value = Trim(value);
  *plain = true;
  if (value.empty() || (value[0] != '"' && value[0] != '\'')) {
    return std::string(WithoutComment(value));
  }
  *plain = false;
  const char quote = value[0];
  std::string text;
  for (size_t i = 1; i < value.size(); ++i) {
    const char next = i + 1 < value.size() ? value[i + 1] : '\0';
    if (quote == '"' && value[i] == '\\' && next != '\0') {
      text.push_back(next == 'n' ? '\n' : next == 't' ? '\t' : next);
      ++i;
    } else if (value[i] == quote) {
      if (quote == '"' || next != quote) break;
      text.push_back(quote);  // '' inside single quotes.
      ++i;
    } else {
      text.push_back(value[i]);
    }
  }
  return text;
}

// The items of "[a, 'b, c', d]".
std::vector<std::string> FlowList(std::string_view value) {
  std::vector<std::string> items;
  value.remove_prefix(1);
  size_t begin = 0;
  char quote = '\0';
  for (size_t i = 0; i <= value.size(); ++i) {
    const char c = i < value.size() ? value[i] : ']';
    if (quote != '\0') {
      if (c == quote) quote = '\0';
      if (i < value.size()) continue;
    }
    if ((c == '"' || c == '\'') && Trim(value.substr(begin, i - begin)).empty()) quote = c;
    if (c != ',' && c != ']') continue;
    bool plain;
    std::string item = ScalarText(value.substr(begin, i - begin), &plain);
    if (!item.empty()) items.push_back(std::move(item));
    begin = i + 1;
    if (c == ']') break;
  }
  return items;
}

std::optional<MetadataValue> Scalar(std::string_view value) {
  bool plain;
  std::string text = ScalarText(value, &plain);
  if (!plain) return MetadataValue(std::move(text));
  if (text.empty() || text == "~" || EqualsIgnoreCase(text, "null")) return std::nullopt;
  if (EqualsIgnoreCase(text, "true")) return MetadataValue(true);
  if (EqualsIgnoreCase(text, "false")) return MetadataValue(false);
  const bool numeric = IsAsciiDigit(text[0]) || text[0] == '-' || text[0] == '+' || text[0] == '.';
  if (int64_t number; numeric && absl::SimpleAtoi(text, &number)) return MetadataValue(number);
  if (double number; numeric && absl::SimpleAtod(text, &number) && std::isfinite(number)) {
    return MetadataValue(number);
  }
  return MetadataValue(std::move(text));
}

bool IsKey(std::string_view key) {
  if (key.empty() || key.size() > 256) return false;
  for (const char c : key) {
    if (!IsAsciiLetter(c) && !IsAsciiDigit(c) && c != '_' && c != '-' && c != '.' && c != ' ' &&
        static_cast<unsigned char>(c) < 0x80) {
      return false;
    }
  }
  return true;
}

class PairReader {
 public:
  explicit PairReader(Metadata* metadata) : metadata_(*metadata) {}

  void OnLine(std::string_view line) {
    const std::string_view content = Trim(line);
    if (content.empty() || content[0] == '#') return;
    if (content.starts_with("- ") && !list_key_.empty()) {
      bool plain;
      std::string item = ScalarText(content.substr(2), &plain);
      auto [slot, added] =
          metadata_.try_emplace(list_key_, std::in_place_type<std::vector<std::string>>);
      auto* list = std::get_if<std::vector<std::string>>(&slot->second);
      if (list != nullptr && !item.empty()) list->push_back(std::move(item));
      return;
    }
    if (IsAsciiSpace(line[0])) return;  // The inside of a structure that is passed over.
    list_key_.clear();
    const size_t colon = content.find(':');
    if (colon == std::string_view::npos) return;
    bool plain;
    const std::string key = ScalarText(content.substr(0, colon), &plain);
    const std::string_view value = Trim(content.substr(colon + 1));
    if (!IsKey(key)) return;
    metadata_.erase(key);
    if (value.empty()) {
      list_key_ = key;
    } else if (value[0] == '[') {
      metadata_[key] = FlowList(value);
    } else if (value[0] != '{' && value[0] != '|' && value[0] != '>' && value[0] != '&') {
      if (std::optional<MetadataValue> scalar = Scalar(value)) metadata_[key] = *std::move(scalar);
    }
  }

 private:
  Metadata& metadata_;
  std::string list_key_;  // A key without a value: list items may follow.
};

}  // namespace

size_t ParseFrontMatter(std::string_view text, Metadata* metadata) {
  size_t at = 0;
  const std::string_view first = TakeLine(text, &at);
  if (!first.starts_with("---") || Trim(first) != "---") return 0;
  Metadata found;
  PairReader reader(&found);
  while (at < text.size()) {
    const std::string_view line = TakeLine(text, &at);
    if (Trim(line) == "---" || Trim(line) == "...") {
      if (found.empty()) return 0;  // Text between two thematic breaks.
      *metadata = std::move(found);
      return at;
    }
    if (!line.empty()) reader.OnLine(line);
  }
  return 0;
}

}  // namespace cairn::chunking
