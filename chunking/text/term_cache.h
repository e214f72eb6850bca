// A small cache from words to their stems.
#ifndef CAIRN_CHUNKING_TEXT_TERM_CACHE_H_
#define CAIRN_CHUNKING_TEXT_TERM_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "chunking/text/vocabulary.h"

namespace cairn::chunking {

// Direct-mapped, of fixed size (512 KiB): a word displaces the one that hashes to the same place.
// Words and stems of more than 62 bytes together are not kept. Not thread-safe.
class TermCache {
 public:
  class Entry {
   public:
    bool Holds(std::string_view word) const {
      return word_size_ == word.size() && EqualKeys(bytes_, word.data(), word.size());
    }
    std::string_view stem() const { return {bytes_ + word_size_, stem_size_}; }
    void Set(std::string_view word, std::string_view stem) {
      if (word.size() + stem.size() > sizeof(bytes_)) return;
      word_size_ = static_cast<uint8_t>(word.size());
      stem_size_ = static_cast<uint8_t>(stem.size());
      std::memcpy(bytes_, word.data(), word.size());
      std::memcpy(bytes_ + word.size(), stem.data(), stem.size());
    }

   private:
    uint8_t word_size_ = 0;
    uint8_t stem_size_ = 0;
    char bytes_[62];
  };

  // The entry where `word`, not empty, is or would be.
  Entry& At(std::string_view word) {
    return entries_[HashKey(word.data(), word.size()) % kEntries];
  }

 private:
  static constexpr size_t kEntries = 8192;
  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_TERM_CACHE_H_
