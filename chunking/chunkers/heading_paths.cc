#include "chunking/chunkers/heading_paths.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace cairn::chunking {
namespace {

constexpr size_t kLongestHeading = 200;

std::string_view StripAsciiSpace(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// CommonMark: up to six opening marks before white space, any number of closing ones after it.
std::string_view StripHashes(std::string_view text) {
  const size_t opening = std::min(text.find_first_not_of('#'), text.size());
  const bool marks = opening > 0 && opening <= static_cast<size_t>(kDeepestHeading) &&
                     (opening == text.size() || text[opening] == ' ' || text[opening] == '\t');
  if (!marks) return text;
  text = StripAsciiSpace(text.substr(opening));
  const size_t last = text.find_last_not_of('#');
  if (last == std::string_view::npos) return {};
  if (last + 1 < text.size() && (text[last] == ' ' || text[last] == '\t')) {
    text = StripAsciiSpace(text.substr(0, last));
  }
  return text;
}

// Setext headings: the line of '=' or '-' below the text.
std::string_view StripUnderline(std::string_view text) {
  const size_t line = text.rfind('\n');
  if (line == std::string_view::npos) return text;
  const std::string_view underline = StripAsciiSpace(text.substr(line));
  if (underline.find_first_not_of(underline.empty() ? '=' : underline[0]) !=
      std::string_view::npos) {
    return text;
  }
  const bool marks = !underline.empty() && (underline[0] == '=' || underline[0] == '-');
  return marks ? StripAsciiSpace(text.substr(0, line)) : text;
}

std::string HeadingText(std::string_view block) {
  const std::string_view text = StripUnderline(StripHashes(StripAsciiSpace(block)));
  std::string clean;
  bool pending_space = false;
  for (size_t i = 0; i < text.size();) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(text.data()) + i;
    const auto available = static_cast<int32_t>(std::min<size_t>(4, text.size() - i));
    int32_t length = 0;
    UChar32 code_point = 0;
    U8_NEXT_OR_FFFD(bytes, length, available, code_point);
    if (u_isUWhiteSpace(code_point)) {
      pending_space = !clean.empty();
    } else {
      const auto size = static_cast<size_t>(length);
      if (clean.size() + size + (pending_space ? 1 : 0) > kLongestHeading) break;
      if (pending_space) clean.push_back(' ');
      pending_space = false;
      clean.append(text.substr(i, size));
    }
    i += static_cast<size_t>(length);
  }
  return clean;
}

}  // namespace

int HeadingLevel(int level) { return std::clamp(level, 1, kDeepestHeading); }

void HeadingPaths::Add(size_t begin, int level, std::string text) {
  level = HeadingLevel(level);
  size_t parent = entries_.empty() ? kNone : entries_.size() - 1;
  while (parent != kNone && entries_[parent].level >= level) parent = entries_[parent].parent;
  entries_.push_back({begin, parent, level, std::move(text)});
}

HeadingPaths::HeadingPaths(const Document& document) {
  const std::string_view text = document.text;
  size_t done = 0;
  for (const Block& block : document.blocks) {
    const size_t begin = std::clamp(block.span.begin, done, text.size());
    const size_t end = std::clamp(block.span.end, begin, text.size());
    if (block.kind == BlockKind::kHeading) {
      const size_t line = text.substr(done, begin - done).rfind('\n');
      const size_t line_begin = line == std::string_view::npos ? done : done + line + 1;
      Add(line_begin, block.level, HeadingText(text.substr(begin, end - begin)));
    }
    done = end;
  }
}

std::vector<std::string> HeadingPaths::At(size_t position) const {
  const auto after =
      std::upper_bound(entries_.begin(), entries_.end(), position,
                       [](size_t wanted, const Entry& entry) { return wanted < entry.begin; });
  std::vector<std::string> path;
  if (after == entries_.begin()) return path;
  for (auto i = static_cast<size_t>(after - entries_.begin()) - 1; i != kNone;
       i = entries_[i].parent) {
    if (!entries_[i].text.empty()) path.push_back(entries_[i].text);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

}  // namespace cairn::chunking
