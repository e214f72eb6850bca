#include "chunking/text/character_pair.h"

#include <algorithm>
#include <map>
#include <utility>

#include "chunking/text/utf8.h"
#include "chunking/text/word_cache.h"

namespace cairn::chunking {
namespace {

// Longer tokens are not looked up as whole words.
constexpr size_t kLongestWord = 64;

// The end of the word at `begin`: before the first mark that follows another character.
size_t MarkedWordEnd(std::string_view text, size_t begin, size_t end) {
  while (begin < end && text.compare(begin, kSpaceMark.size(), kSpaceMark) == 0) {
    begin += kSpaceMark.size();
  }
  const size_t mark = text.find(kSpaceMark, begin);
  return std::min(mark, end);
}

}  // namespace

// Reused from word to word.
struct CharacterPairModel::Work {
  explicit Work(size_t text_bytes) : cache(text_bytes) {}

  std::vector<PairSymbol> symbols;
  PairMerger merger;
  WordCache cache;
  // How the merges that gave unused tokens were made: token to the size of its left part.
  std::map<std::string, uint32_t, std::less<>> parts;
};

CharacterPairModel::CharacterPairModel(CharacterPairVocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)) {
  FindWholeWords();
}

void CharacterPairModel::FindWholeWords() {
  Work work(0);
  vocabulary_.tokens.ForEach([&](std::string_view token, uint32_t id) {
    if (MarkedWordEnd(token, 0, token.size()) != token.size()) splits_at_marks_ = false;
    if (token.size() > kLongestWord) return;
    EncodeWord(token, &work);
    if (work.symbols.size() != 1 || work.symbols[0].id != id) return;
    if (whole_.size() <= id) whole_.resize(size_t{id} + 1);
    whole_[id] = true;
  });
}

void CharacterPairModel::MergeBySpelling(std::string_view word, Work* work) const {
  const std::vector<bool>& unused = vocabulary_.unused;
  work->merger.Merge(&work->symbols, [&](const PairSymbol& left, const PairSymbol& right) {
    const size_t size = size_t{left.size} + right.size;
    if (size > vocabulary_.tokens.longest()) return PairMerge();
    const uint32_t id = vocabulary_.tokens.Find(word.data() + left.begin, size);
    if (id == Vocabulary::kNone) return PairMerge();
    if (id < unused.size() && unused[id]) {
      work->parts[std::string(word.substr(left.begin, size))] = left.size;
    }
    return PairMerge{vocabulary_.ranks[id], id};
  });
}

void CharacterPairModel::UndoUnused(std::string_view word, Work* work) const {
  std::vector<PairSymbol> pending(work->symbols.rbegin(), work->symbols.rend());
  work->symbols.clear();
  while (!pending.empty()) {
    const PairSymbol symbol = pending.back();
    pending.pop_back();
    const std::string_view spelling = word.substr(symbol.begin, symbol.size);
    const bool unused = symbol.id < vocabulary_.unused.size() && vocabulary_.unused[symbol.id];
    const auto parts = unused ? work->parts.find(spelling) : work->parts.end();
    if (parts == work->parts.end()) {
      work->symbols.push_back(symbol);
      continue;
    }
    const uint32_t left = parts->second;
    const std::string_view right = spelling.substr(left);
    pending.push_back({vocabulary_.tokens.Find(right), symbol.begin + left, symbol.size - left});
    pending.push_back({vocabulary_.tokens.Find(spelling.substr(0, left)), symbol.begin, left});
  }
}

// Sets work->symbols to the tokens of `word`; characters that have none keep Vocabulary::kNone.
void CharacterPairModel::EncodeWord(std::string_view word, Work* work) const {
  std::vector<PairSymbol>& symbols = work->symbols;
  symbols.clear();
  const char* const stop = word.data() + word.size();
  for (uint32_t at = 0; at < word.size();) {
    const uint32_t size = DecodeUtf8(word.data() + at, stop).size;
    symbols.push_back({vocabulary_.tokens.Find(word.data() + at, size), at, size});
    at += size;
  }
  if (vocabulary_.ranks.empty()) {
    work->merger.Merge(&symbols, [&](const PairSymbol& left, const PairSymbol& right) {
      return vocabulary_.merges.Find(left.id, right.id);
    });
    return;
  }
  work->parts.clear();
  MergeBySpelling(word, work);
  if (!vocabulary_.unused.empty()) UndoUnused(word, work);
}

void CharacterPairModel::EmitUnknown(const AlignedText& text, size_t begin, size_t end, bool* fuse,
                                     std::vector<Token>* tokens) const {
  const std::string_view unknown = std::string_view(text.text).substr(begin, end - begin);
  if (vocabulary_.byte_fallback && vocabulary_.bytes.HasAll(unknown)) {
    *fuse = false;
    for (size_t at = begin; at < end; ++at) {
      AddToken(vocabulary_.bytes.ids[static_cast<uint8_t>(text.text[at])], text.begin[at],
               text.end[at], tokens);
    }
    return;
  }
  if (!vocabulary_.unknown_id.has_value()) return;
  if (*fuse && vocabulary_.fuse_unknown) {
    tokens->back().end = std::max(tokens->back().end, text.end[end - 1]);
  } else {
    AddToken(*vocabulary_.unknown_id, text.begin[begin], text.end[end - 1], tokens);
  }
  *fuse = true;
}

void CharacterPairModel::Encode(const AlignedText& text, size_t begin, size_t end,
                                std::vector<Token>* tokens) const {
  Work work(end - begin);
  bool fuse = false;  // Whether the last token is an unknown one.
  while (begin < end) {
    const std::string_view all = text.text;
    const size_t word_end = splits_at_marks_ ? MarkedWordEnd(all, begin, end) : end;
    const std::string_view word = all.substr(begin, word_end - begin);
    const uint32_t whole =
        word.size() > kLongestWord ? Vocabulary::kNone : vocabulary_.tokens.Find(word);
    if (whole < whole_.size() && whole_[whole]) {
      AddToken(whole, text.begin[begin], text.end[word_end - 1], tokens);
      fuse = false;
      begin = word_end;
      continue;
    }
    if (!work.cache.Find(word, &work.symbols)) {
      EncodeWord(word, &work);
      work.cache.Put(word, work.symbols);
    }
    for (const PairSymbol& symbol : work.symbols) {
      const size_t from = begin + symbol.begin, to = from + symbol.size;
      if (symbol.id == Vocabulary::kNone) {
        EmitUnknown(text, from, to, &fuse, tokens);
      } else {
        AddToken(symbol.id, text.begin[from], text.end[to - 1], tokens);
        fuse = false;
      }
    }
    begin = word_end;
  }
}

}  // namespace cairn::chunking
