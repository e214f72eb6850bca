#include "services/passage_output.h"

#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cairn::services {
namespace {

constexpr size_t kExcerptBytes = 400;

}  // namespace

std::string Place(std::string_view document_id, size_t begin, size_t end) {
  return absl::StrCat(std::string(document_id), " bytes ", begin, "-", end);
}

std::string ForTerminal(std::string_view text, int descriptor) {
  if (::isatty(descriptor) == 0) return std::string(text);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F, which some terminals obey as well, are C2 80 to C2 9F in UTF-8.
    const bool c1 =
        c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c1) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(text[++i]));
    } else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F) {
      absl::StrAppendFormat(&out, "\\x%02x", c);
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string Excerpt(std::string_view text, size_t bytes) {
  std::string out;
  bool space = false;
  size_t last_word_end = 0;
  for (char c : text) {
    if (c == ' ' || c == '\n' || c == '\t') {
      space = true;
      continue;
    }
    if (space && !out.empty()) {
      last_word_end = out.size();
      out.push_back(' ');
    }
    space = false;
    out.push_back(c);
    if (out.size() <= bytes) continue;
    if (last_word_end > 0) {
      out.resize(last_word_end);
    } else {
      // One endless word: cut it, but not inside a character.
      while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80)
        out.pop_back();
      if (!out.empty()) out.pop_back();
    }
    return out + " ...";
  }
  return out;
}

void PrintPassage(size_t rank, const SearchHit& hit, bool full) {
  std::string heading = hit.title.empty() ? hit.document_id : hit.title;
  for (const std::string& h : hit.headings) {
    if (h != hit.title) absl::StrAppend(&heading, " > ", h);
  }
  const auto shown = [](const std::string& text) { return ForTerminal(text, STDOUT_FILENO); };
  std::printf("%zu. %s  (%.4f)\n   [%s]\n", rank, shown(heading).c_str(), hit.score,
              shown(Place(hit.document_id, hit.begin, hit.end)).c_str());
  if (full) {
    std::printf("%s\n\n", shown(hit.text).c_str());
  } else {
    std::printf("   %s\n\n", shown(Excerpt(hit.text, kExcerptBytes)).c_str());
  }
}

}  // namespace cairn::services
