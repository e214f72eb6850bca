#include "chunking/text/unigram.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "chunking/text/utf8.h"

namespace cairn::chunking {
namespace {

// How much less probable an unknown character is than the least probable token (sentencepiece).
constexpr double kUnknownPenalty = 10.0;

// Calls visit(length, id) for each token that p[0, n) begins with.
template <typename Visit>
void ForEachPrefix(const Vocabulary& vocabulary, const char* p, size_t n, Visit visit) {
  const auto probe = [&](size_t length) {
    const uint32_t id = vocabulary.Find(p, length);
    if (id != Vocabulary::kNone) visit(length, id);
  };
  uint64_t lengths = vocabulary.PossibleLengths(p, n);
  if (lengths >> 63 != 0) {
    for (size_t size = 64; size <= std::min(n, vocabulary.longest()); ++size) probe(size);
    lengths &= ~(uint64_t{1} << 63);
  }
  for (; lengths != 0; lengths &= lengths - 1) {
    const size_t length = static_cast<size_t>(__builtin_ctzll(lengths)) + 1;
    if (length > n) break;
    probe(length);
  }
}

}  // namespace

// The best way to reach a position of the text.
struct UnigramModel::Node {
  double score = -std::numeric_limits<double>::infinity();
  uint32_t length = 0;  // Bytes of the token that ends here; 0: not reached.
  uint32_t id = 0;
};

UnigramModel::UnigramModel(UnigramVocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)),
      unknown_score_(vocabulary_.least_score - kUnknownPenalty) {}

void UnigramModel::FillLattice(std::string_view text, std::vector<Node>* nodes) const {
  nodes->assign(text.size() + 1, Node());
  (*nodes)[0].score = 0;
  size_t char_size = 0;
  for (size_t at = 0; at < text.size(); at += char_size) {
    char_size = DecodeUtf8(text.data() + at, text.data() + text.size()).size;
    const double here = (*nodes)[at].score;
    const auto reach = [&](size_t length, uint32_t id, double score) {
      Node& node = (*nodes)[at + length];
      if (node.length != 0 && here + score <= node.score) return;
      node = {here + score, static_cast<uint32_t>(length), id};
    };
    bool single = false;
    ForEachPrefix(vocabulary_.tokens, text.data() + at, text.size() - at,
                  [&](size_t length, uint32_t id) {
                    reach(length, id, vocabulary_.scores[id]);
                    single |= length == char_size;
                  });
    if (!single) reach(char_size, vocabulary_.unknown_id, unknown_score_);
  }
}

void UnigramModel::Encode(const AlignedText& text, size_t begin, size_t end,
                          std::vector<Token>* tokens) const {
  std::vector<Node> nodes;
  FillLattice(std::string_view(text.text).substr(begin, end - begin), &nodes);
  std::vector<std::pair<size_t, size_t>> path;  // Token ranges, last first; unknown ones joined.
  for (size_t at = end - begin; at > 0;) {
    const size_t from = at - nodes[at].length;
    const bool unknown = nodes[at].id == vocabulary_.unknown_id;
    if (unknown && !path.empty() && path.back().first == at &&
        nodes[path.back().second].id == vocabulary_.unknown_id) {
      path.back().first = from;
    } else {
      path.emplace_back(from, at);
    }
    at = from;
  }
  for (auto range = path.rbegin(); range != path.rend(); ++range) {
    const size_t from = begin + range->first, to = begin + range->second;
    const uint32_t id = nodes[range->second].id;
    if (id == vocabulary_.unknown_id) {
      AddUnknown(text, from, to, tokens);
    } else {
      AddToken(id, text.begin[from], text.end[to - 1], tokens);
    }
  }
}

void UnigramModel::AddUnknown(const AlignedText& text, size_t begin, size_t end,
                              std::vector<Token>* tokens) const {
  const std::string_view unknown = std::string_view(text.text).substr(begin, end - begin);
  const bool as_bytes = vocabulary_.byte_fallback && vocabulary_.bytes.HasAll(unknown);
  if (!as_bytes)
    return AddToken(vocabulary_.unknown_id, text.begin[begin], text.end[end - 1], tokens);
  for (size_t at = begin; at < end; ++at) {
    AddToken(vocabulary_.bytes.ids[static_cast<uint8_t>(text.text[at])], text.begin[at],
             text.end[at], tokens);
  }
}

}  // namespace cairn::chunking
