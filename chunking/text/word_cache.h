// A small cache from words to what byte-pair encoding makes of them.
#ifndef CAIRN_CHUNKING_TEXT_WORD_CACHE_H_
#define CAIRN_CHUNKING_TEXT_WORD_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "chunking/text/byte_pair.h"
#include "chunking/text/vocabulary.h"

namespace cairn::chunking {

// Direct-mapped, of fixed size (256 KiB), like TermCache; made for one text and filled by it. Short
// texts do without: filling memory would cost more than it saves. Not thread-safe.
class WordCache {
 public:
  explicit WordCache(size_t text_bytes) : entries_(text_bytes < kShortText ? 0 : kEntries) {}

  // Sets `*symbols` to those of `word`, not empty, if it is known.
  bool Find(std::string_view word, std::vector<PairSymbol>* symbols) const {
    if (entries_.empty() || word.size() > kWordBytes) return false;
    const Entry& entry = entries_[Index(word)];
    if (entry.word_size != word.size()) return false;
    if (!EqualKeys(entry.word, word.data(), word.size())) return false;
    symbols->clear();
    uint32_t begin = 0;
    for (size_t i = 0; i < entry.count; ++i) {
      symbols->push_back({entry.ids[i], begin, entry.sizes[i]});
      begin += entry.sizes[i];
    }
    return true;
  }

  // Keeps a word and its symbols, unless they are too many.
  void Put(std::string_view word, const std::vector<PairSymbol>& symbols) {
    if (entries_.empty() || word.size() > kWordBytes || symbols.size() > kSymbols) return;
    Entry& entry = entries_[Index(word)];
    entry.word_size = static_cast<uint8_t>(word.size());
    entry.count = static_cast<uint8_t>(symbols.size());
    std::memcpy(entry.word, word.data(), word.size());
    for (size_t i = 0; i < symbols.size(); ++i) {
      entry.ids[i] = symbols[i].id;
      entry.sizes[i] = static_cast<uint8_t>(symbols[i].size);
    }
  }

 private:
  static constexpr size_t kEntries = 4096;
  static constexpr size_t kShortText = 16384;
  static constexpr size_t kWordBytes = 32;
  static constexpr size_t kSymbols = 6;

  struct Entry {
    uint32_t ids[kSymbols];
    char word[kWordBytes];
    uint8_t sizes[kSymbols];
    uint8_t word_size = 0;
    uint8_t count = 0;
  };
  static size_t Index(std::string_view word) {
    return HashKey(word.data(), word.size()) % kEntries;
  }

  std::vector<Entry> entries_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_WORD_CACHE_H_
