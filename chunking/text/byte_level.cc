#include "chunking/text/byte_level.h"

#include <algorithm>
#include <utility>

#include "chunking/text/utf8.h"
#include "chunking/text/word_cache.h"
#include "simdjson.h"

namespace cairn::chunking {
namespace {

// Longer tokens are not tried at load.
constexpr size_t kLongestWhole = 256;

}  // namespace

// Normalised text, and the input it stands for.
struct ByteLevelTokenizer::Source {
  std::string_view text;
  uint32_t offset = 0;                   // Of the input that `text` is, where `aligned` is null.
  const AlignedText* aligned = nullptr;  // `text` with its alignment.

  // The input that text[from, to), not empty, stands for. Ends inside a character are moved behind
  // it.
  void Span(size_t from, size_t to, uint32_t* begin, uint32_t* end) const {
    if (aligned != nullptr) {
      *begin = aligned->begin[from];
      *end = aligned->end[to - 1];
      return;
    }
    while (from < text.size() && IsUtf8Trail(text[from])) ++from;
    while (to < text.size() && IsUtf8Trail(text[to])) ++to;
    *begin = offset + static_cast<uint32_t>(from);
    *end = offset + static_cast<uint32_t>(to);
  }
};

// What is reused from word to word, and where tokens go.
struct ByteLevelTokenizer::Work {
  explicit Work(size_t text_bytes) : cache(text_bytes) {}

  std::vector<PairSymbol> symbols;
  PairMerger merger;
  WordCache cache;
  std::vector<Token>* tokens = nullptr;
  uint32_t done = 0;  // Input that tokens stand for.

  void Add(uint32_t id, uint32_t begin, uint32_t end) {
    begin = std::max(begin, done);
    done = std::max(begin, end);
    tokens->push_back({id, begin, done});
  }
};

ByteLevelTokenizer::ByteLevelTokenizer(ByteLevelDescription description)
    : VocabularyTokenizer(std::move(description.facts)),
      vocabulary_(std::move(description.tokens)),
      merges_(std::move(description.merges)),
      ignore_merges_(description.ignore_merges),
      add_prefix_space_(description.add_prefix_space),
      normalizer_(std::move(description.normalizer)),
      pre_tokenizer_(std::move(description.splits)),
      added_tokens_(description.added_tokens,
                    [this](std::string_view content) { return normalizer_.Apply(content); }) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_id_[byte] = vocabulary_.Find(&c, 1);
    if (byte_id_[byte] == Vocabulary::kNone) {
      byte_id_[byte] = unknown_id().value_or(Vocabulary::kNone);
    }
  }
  FindWholeWords();
}

void ByteLevelTokenizer::FindWholeWords() {
  Work work(0);
  vocabulary_.ForEach([&](std::string_view token, uint32_t id) {
    if (!ignore_merges_) {
      if (token.size() > kLongestWhole) return;
      MergeWord(token, &work);
      if (work.symbols.size() != 1 || work.symbols[0].id != id) return;
    }
    if (whole_.size() <= id) whole_.resize(size_t{id} + 1);
    whole_[id] = true;
  });
}

// Sets work->symbols to the tokens of `word`; Vocabulary::kNone for bytes that have none.
void ByteLevelTokenizer::MergeWord(std::string_view word, Work* work) const {
  work->symbols.clear();
  for (uint32_t at = 0; at < word.size(); ++at) {
    work->symbols.push_back({byte_id_[static_cast<uint8_t>(word[at])], at, 1});
  }
  work->merger.Merge(&work->symbols, [&](const PairSymbol& left, const PairSymbol& right) {
    return merges_.Find(left.id, right.id);
  });
}

void ByteLevelTokenizer::EncodeText(std::string_view text, ControlText control,
                                    std::vector<Token>* tokens) const {
  Work work(text.size());
  work.tokens = tokens;
  SplitAtAddedTokens(
      added_tokens_.raw(control), text,
      [&](size_t begin, size_t end) { EncodeSegment(text, begin, end, control, &work); },
      [&](const AddedTokenMatcher::Match& match) {
        work.Add(match.id, static_cast<uint32_t>(match.begin), static_cast<uint32_t>(match.end));
      });
}

void ByteLevelTokenizer::EncodeSegment(std::string_view text, size_t begin, size_t end,
                                       ControlText control, Work* work) const {
  if (begin == end) return;
  const std::string_view segment = text.substr(begin, end - begin);
  if (simdjson::validate_utf8(segment.data(), segment.size()) && normalizer_.Keeps(segment)) {
    return EncodeSource({segment, static_cast<uint32_t>(begin), nullptr}, control, work);
  }
  AlignedText aligned;
  AppendWellFormed(text, begin, end, &aligned);
  normalizer_.Apply(&aligned);
  EncodeSource({aligned.text, 0, &aligned}, control, work);
}

void ByteLevelTokenizer::EncodeSource(const Source& source, ControlText control, Work* work) const {
  SplitAtAddedTokens(
      added_tokens_.normalized(control), source.text,
      [&](size_t begin, size_t end) {
        if (begin == end) return;
        if (!add_prefix_space_ || source.text[begin] == ' ') {
          return EncodeWords(source, begin, end, work);
        }
        uint32_t from, to;
        source.Span(begin, end, &from, &to);
        AlignedText spaced;
        spaced.Append(" ", from, from);
        if (source.aligned != nullptr) {
          AppendRange(*source.aligned, begin, end, &spaced);
        } else {
          const size_t first = spaced.text.size();
          AppendWellFormed(source.text, begin, end, &spaced);
          for (size_t i = first; i < spaced.text.size(); ++i) {
            spaced.begin[i] += source.offset;
            spaced.end[i] += source.offset;
          }
        }
        EncodeWords({spaced.text, 0, &spaced}, 0, spaced.text.size(), work);
      },
      [&](const AddedTokenMatcher::Match& match) {
        uint32_t from, to;
        source.Span(match.begin, match.end, &from, &to);
        work->Add(match.id, from, to);
      });
}

void ByteLevelTokenizer::EncodeWords(const Source& source, size_t begin, size_t end,
                                     Work* work) const {
  const std::string_view text = source.text.substr(begin, end - begin);
  pre_tokenizer_.ForEachWord(text, [&](size_t word_begin, size_t word_end) {
    const std::string_view word = text.substr(word_begin, word_end - word_begin);
    uint32_t from, to;
    const uint32_t whole =
        word.size() > vocabulary_.longest() ? Vocabulary::kNone : vocabulary_.Find(word);
    if (whole < whole_.size() && whole_[whole]) {
      source.Span(begin + word_begin, begin + word_end, &from, &to);
      return work->Add(whole, from, to);
    }
    if (!work->cache.Find(word, &work->symbols)) {
      MergeWord(word, work);
      work->cache.Put(word, work->symbols);
    }
    for (const PairSymbol& symbol : work->symbols) {
      if (symbol.id == Vocabulary::kNone) continue;
      const size_t at = begin + word_begin + symbol.begin;
      source.Span(at, at + symbol.size, &from, &to);
      work->Add(symbol.id, from, to);
    }
  });
}

}  // namespace cairn::chunking
