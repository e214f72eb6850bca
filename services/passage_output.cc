#include "services/passage_output.h"

#include <cstdio>

#include "absl/strings/str_cat.h"

namespace cairn::services {
namespace {

constexpr size_t kExcerptBytes = 400;

}  // namespace

std::string Place(std::string_view document_id, size_t begin, size_t end) {
  return absl::StrCat(std::string(document_id), " bytes ", begin, "-", end);
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
  std::printf("%zu. %s  (%.4f)\n   [%s]\n", rank, heading.c_str(), hit.score,
              Place(hit.document_id, hit.begin, hit.end).c_str());
  if (full) {
    std::printf("%s\n\n", hit.text.c_str());
  } else {
    std::printf("   %s\n\n", Excerpt(hit.text, kExcerptBytes).c_str());
  }
}

}  // namespace cairn::services
