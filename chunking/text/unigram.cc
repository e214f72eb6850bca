#include "chunking/text/unigram.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <utility>

namespace cairn::chunking {
namespace {

// How much less probable an unknown character is than the least probable token (sentencepiece).
constexpr double kUnknownPenalty = 10.0;

bool SpaceAt(std::string_view text, size_t at, size_t* size) {
  const DecodedCodePoint c = DecodeUtf8(text.data() + at, text.data() + text.size());
  *size = c.size;
  return u_isUWhiteSpace(static_cast<UChar32>(c.value));
}

// Appends text[begin, end) of `from` with its alignment.
void AppendRange(const AlignedText& from, size_t begin, size_t end, AlignedText* out) {
  out->text.append(from.text, begin, end - begin);
  out->begin.insert(out->begin.end(), from.begin.begin() + begin, from.begin.begin() + end);
  out->end.insert(out->end.end(), from.end.begin() + begin, from.end.begin() + end);
}

AlignedText Slice(const AlignedText& from, size_t begin, size_t end) {
  AlignedText out;
  AppendRange(from, begin, end, &out);
  return out;
}

// Rewrites the text through `append_next(at, out)`, which appends what the character (or run) at
// `at` becomes and returns the position after it.
template <typename AppendNext>
void Rewrite(AlignedText* text, AppendNext append_next) {
  AlignedText out;
  out.text.reserve(text->text.size());
  for (size_t at = 0; at < text->text.size();) at = append_next(at, &out);
  *text = std::move(out);
}

void ApplyBert(const BertNormalizer& normalizer, AlignedText* text) {
  AlignedText once;
  normalizer.Append(text->text, 0, &once);
  // `once` is aligned to text->text; compose the two alignments.
  for (size_t i = 0; i < once.text.size(); ++i) {
    once.begin[i] = text->begin[once.begin[i]];
    once.end[i] = text->end[once.end[i] - 1];
  }
  *text = std::move(once);
}

void ReplaceBytes(const NormalizerStep& step, AlignedText* text) {
  Rewrite(text, [&](size_t at, AlignedText* out) {
    const uint8_t byte = static_cast<uint8_t>(text->text[at]);
    if (byte < 0x80 && step.bytes[byte].has_value()) {
      out->Append(*step.bytes[byte], text->begin[at], text->end[at]);
    } else {
      AppendRange(*text, at, at + 1, out);
    }
    return at + 1;
  });
}

void ReplaceAll(std::string_view pattern, std::string_view content, AlignedText* text) {
  Rewrite(text, [&](size_t at, AlignedText* out) {
    const size_t found = std::min(text->text.find(pattern, at), text->text.size());
    AppendRange(*text, at, found, out);
    if (found == text->text.size()) return found;
    const size_t end = found + pattern.size();
    out->Append(content, text->begin[found], text->end[end - 1]);
    return end;
  });
}

void ReplaceSpaces(std::string_view content, AlignedText* text) {
  Rewrite(text, [&](size_t at, AlignedText* out) {
    size_t end = at, size = 0;
    while (end < text->text.size() && SpaceAt(text->text, end, &size)) end += size;
    if (end > at) {
      out->Append(content, text->begin[at], text->end[end - 1]);
      return end;
    }
    AppendRange(*text, at, at + size, out);
    return at + size;
  });
}

void Strip(bool left, bool right, AlignedText* text) {
  size_t first = text->text.size(), last = 0, size = 0;
  for (size_t at = 0; at < text->text.size(); at += size) {
    if (SpaceAt(text->text, at, &size)) continue;
    first = std::min(first, at);
    last = at + size;
  }
  if (!left) first = 0;
  if (!right) last = text->text.size();
  *text = Slice(*text, first, std::max(first, last));
}

std::vector<AddedToken> Select(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> selected;
  for (const AddedToken& token : tokens) {
    if (token.normalized == normalized) selected.push_back(token);
  }
  return selected;
}

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

void AddToken(uint32_t id, uint32_t begin, uint32_t end, std::vector<Token>* tokens) {
  if (!tokens->empty()) begin = std::max(begin, tokens->back().end);
  tokens->push_back({id, begin, std::max(begin, end)});
}

}  // namespace

// The best way to reach a position of the text.
struct UnigramTokenizer::Node {
  double score = -std::numeric_limits<double>::infinity();
  uint32_t length = 0;  // Bytes of the token that ends here; 0: not reached.
  uint32_t id = 0;
};

UnigramTokenizer::UnigramTokenizer(UnigramModel model)
    : vocabulary_(std::move(model.vocabulary)),
      scores_(std::move(model.scores)),
      unknown_score_(*std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty),
      id_limit_(model.id_limit),
      unknown_id_(model.unknown_id),
      steps_(std::move(model.normalizer)),
      metaspace_(std::move(model.metaspace)),
      byte_fallback_(model.byte_fallback),
      raw_tokens_(Select(model.added_tokens, false)),
      normalized_tokens_(Normalized(Select(model.added_tokens, true))) {
  for (int i = 0; i < 256; ++i) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", i);
    byte_id_[i] = vocabulary_.Find(name);
  }
}

std::vector<AddedToken> UnigramTokenizer::Normalized(std::vector<AddedToken> tokens) const {
  for (AddedToken& token : tokens) {
    AlignedText content;
    content.Append(token.content, 0, 0);
    Normalize(&content);
    token.content = std::move(content.text);
  }
  return tokens;
}

void UnigramTokenizer::Normalize(AlignedText* text) const {
  for (const NormalizerStep& step : steps_) {
    switch (step.kind) {
      case NormalizerStep::Kind::kBert:
        ApplyBert(BertNormalizer(step.bert, &characters_), text);
        break;
      case NormalizerStep::Kind::kReplaceBytes:
        ReplaceBytes(step, text);
        break;
      case NormalizerStep::Kind::kReplace:
        ReplaceAll(step.pattern, step.content, text);
        break;
      case NormalizerStep::Kind::kReplaceSpaces:
        ReplaceSpaces(step.content, text);
        break;
      case NormalizerStep::Kind::kStrip:
        Strip(step.strip_left, step.strip_right, text);
        break;
    }
  }
}

void UnigramTokenizer::Encode(std::string_view text, std::vector<Token>* tokens) const {
  std::vector<Token> encoded;
  size_t done = 0;
  AddedTokenMatcher::Match match;
  while (raw_tokens_.Next(text, done, &match)) {
    EncodeSegment(text, done, match.begin, &encoded);
    AddToken(match.id, static_cast<uint32_t>(match.begin), static_cast<uint32_t>(match.end),
             &encoded);
    done = match.end;
  }
  EncodeSegment(text, done, text.size(), &encoded);
  tokens->insert(tokens->end(), encoded.begin(), encoded.end());
}

size_t UnigramTokenizer::CountTokens(std::string_view text) const {
  std::vector<Token> tokens;
  Encode(text, &tokens);
  return tokens.size();
}

void UnigramTokenizer::EncodeSegment(std::string_view text, size_t begin, size_t end,
                                     std::vector<Token>* tokens) const {
  if (begin == end) return;
  AlignedText aligned;
  const char* const stop = text.data() + end;
  for (size_t at = begin; at < end;) {
    const DecodedCodePoint c = DecodeUtf8(text.data() + at, stop);
    const bool ill_formed = c.size == 1 && static_cast<uint8_t>(text[at]) >= 0x80;
    const uint32_t from = static_cast<uint32_t>(at);
    if (!ill_formed) aligned.Append(text.substr(at, c.size), from, from + c.size);
    at += c.size;
  }
  Normalize(&aligned);
  size_t done = 0;
  AddedTokenMatcher::Match match;
  while (normalized_tokens_.Next(aligned.text, done, &match)) {
    EncodeNormalized(Slice(aligned, done, match.begin), begin == 0 && done == 0, tokens);
    AddToken(match.id, aligned.begin[match.begin], aligned.end[match.end - 1], tokens);
    done = match.end;
  }
  EncodeNormalized(Slice(aligned, done, aligned.text.size()), begin == 0 && done == 0, tokens);
}

void UnigramTokenizer::EncodeNormalized(AlignedText text, bool first,
                                        std::vector<Token>* tokens) const {
  if (text.text.empty()) return;
  if (!metaspace_.has_value()) return EncodePiece(text, 0, text.text.size(), tokens);
  const std::string& mark = metaspace_->replacement;
  ReplaceAll(" ", mark, &text);
  const bool prepend = metaspace_->prepend == Metaspace::Prepend::kAlways ||
                       (metaspace_->prepend == Metaspace::Prepend::kFirst && first);
  if (prepend && text.text.compare(0, mark.size(), mark) != 0) {
    AlignedText marked;
    marked.Append(mark, text.begin[0], text.begin[0]);
    AppendRange(text, 0, text.text.size(), &marked);
    text = std::move(marked);
  }
  size_t begin = 0;
  while (metaspace_->split && begin < text.text.size()) {
    const size_t next = text.text.find(mark, begin + mark.size());
    if (next == std::string::npos) break;
    EncodePiece(text, begin, next, tokens);
    begin = next;
  }
  EncodePiece(text, begin, text.text.size(), tokens);
}

void UnigramTokenizer::FillLattice(std::string_view text, std::vector<Node>* nodes) const {
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
    ForEachPrefix(vocabulary_, text.data() + at, text.size() - at, [&](size_t length, uint32_t id) {
      reach(length, id, scores_[id]);
      single |= length == char_size;
    });
    if (!single) reach(char_size, unknown_id_, unknown_score_);
  }
}

void UnigramTokenizer::EncodePiece(const AlignedText& text, size_t begin, size_t end,
                                   std::vector<Token>* tokens) const {
  if (begin == end) return;
  std::vector<Node> nodes;
  FillLattice(std::string_view(text.text).substr(begin, end - begin), &nodes);
  std::vector<std::pair<size_t, size_t>> path;  // Token ranges, last first; unknown ones joined.
  for (size_t at = end - begin; at > 0;) {
    const size_t from = at - nodes[at].length;
    const bool unknown = nodes[at].id == unknown_id_;
    if (unknown && !path.empty() && path.back().first == at &&
        nodes[path.back().second].id == unknown_id_) {
      path.back().first = from;
    } else {
      path.emplace_back(from, at);
    }
    at = from;
  }
  for (auto range = path.rbegin(); range != path.rend(); ++range) {
    const size_t from = begin + range->first, to = begin + range->second;
    const uint32_t id = nodes[range->second].id;
    if (id == unknown_id_) {
      AddUnknown(text, from, to, tokens);
    } else {
      AddToken(id, text.begin[from], text.end[to - 1], tokens);
    }
  }
}

void UnigramTokenizer::AddUnknown(const AlignedText& text, size_t begin, size_t end,
                                  std::vector<Token>* tokens) const {
  const auto known = [&](char c) { return byte_id_[static_cast<uint8_t>(c)] != Vocabulary::kNone; };
  const bool as_bytes =
      byte_fallback_ && std::all_of(text.text.begin() + begin, text.text.begin() + end, known);
  if (!as_bytes) return AddToken(unknown_id_, text.begin[begin], text.end[end - 1], tokens);
  for (size_t at = begin; at < end; ++at) {
    AddToken(byte_id_[static_cast<uint8_t>(text.text[at])], text.begin[at], text.end[at], tokens);
  }
}

}  // namespace cairn::chunking
