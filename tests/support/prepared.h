// Documents ready to be written, without analysers or models.
#ifndef CAIRN_TESTS_SUPPORT_PREPARED_H_
#define CAIRN_TESTS_SUPPORT_PREPARED_H_

#include <cmath>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "index/collection.h"

namespace cairn::testing {

inline constexpr uint32_t kTestDim = 8;

// A unit vector that depends on the text.
inline std::vector<float> TextVector(std::string_view text) {
  std::vector<float> v(kTestDim, 0.01f);
  for (char c : text) v[static_cast<unsigned char>(c) % kTestDim] += 1;
  double norm = 0;
  for (float x : v) norm += static_cast<double>(x) * x;
  for (float& x : v) x = static_cast<float>(x / std::sqrt(norm));
  return v;
}

// Terms are the words between spaces.
inline index::TermBag WordBag(std::string_view text) {
  index::TermBag bag;
  std::istringstream in{std::string(text)};
  for (std::string word; in >> word;) {
    ++bag.length;
    bool known = false;
    for (auto& e : bag.entries) {
      if (bag.term(e) != word) continue;
      ++e.count;
      known = true;
    }
    if (known) continue;
    bag.entries.push_back(
        {static_cast<uint32_t>(bag.bytes.size()), static_cast<uint32_t>(word.size()), 1});
    bag.bytes += word;
  }
  return bag;
}

// One chunk for each line of `text`.
inline index::PreparedDocument Prepare(std::string id, std::string text,
                                       chunking::Metadata metadata = {}) {
  index::PreparedDocument p;
  p.document.id = std::move(id);
  p.document.text = std::move(text);
  p.document.metadata = std::move(metadata);
  p.content_hash = index::ContentHash(p.document);
  const std::string& t = p.document.text;
  for (size_t begin = 0; begin < t.size();) {
    size_t end = t.find('\n', begin);
    if (end == std::string::npos) end = t.size();
    if (end > begin) {
      index::PreparedDocument::Chunk c;
      c.chunk.span = {begin, end};
      const std::string_view line = std::string_view(t).substr(begin, end - begin);
      c.terms = WordBag(line);
      c.vector = TextVector(line);
      p.chunks.push_back(std::move(c));
    }
    begin = end + 1;
  }
  return p;
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_PREPARED_H_
