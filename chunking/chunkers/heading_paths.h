// The headings in force at each position of a document.
#ifndef CAIRN_CHUNKING_CHUNKERS_HEADING_PATHS_H_
#define CAIRN_CHUNKING_CHUNKERS_HEADING_PATHS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "chunking/document.h"

namespace cairn::chunking {

inline constexpr int kDeepestHeading = 6;

// `level` as Markdown and HTML know it. Bounds the length of a path, whatever a reader delivers.
int HeadingLevel(int level);

// Each heading block of a document is in force from where its own line begins (the block itself may
// begin behind the marks) until the next heading of its own or a higher level. One without text
// ends others but is never part of a path. The text is that of the block without Markdown's opening
// and closing '#' marks and underline, with white space collapsed, and no longer than 200 bytes
// (cut between characters). Thread-safe once made.
class HeadingPaths {
 public:
  explicit HeadingPaths(const Document& document);

  // Outermost first.
  std::vector<std::string> At(size_t position) const;

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);
  struct Entry {
    size_t begin;
    size_t parent;
    int level;
    std::string text;
  };
  void Add(size_t begin, int level, std::string text);

  std::vector<Entry> entries_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_CHUNKERS_HEADING_PATHS_H_
