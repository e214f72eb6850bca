#include "chunking/text/wordpiece.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace cairn::chunking {
namespace {

// Text without ASCII spaces or symbols (Chinese) is normalised in pieces of about this size.
constexpr size_t kComplexBytes = size_t{1} << 16;

std::string Normalized(const BertNormalizer& normalizer, std::string_view text) {
  AlignedText normalized;
  normalizer.Append(text, 0, &normalized);
  return std::move(normalized.text);
}

// Where tokens go. Mark and Rewind take back the pieces of a word that turns out to be unknown.
class TokenSink {
 public:
  explicit TokenSink(std::vector<Token>* tokens) : tokens_(tokens), first_(tokens->size()) {}

  size_t Mark() const { return tokens_->size(); }
  void Rewind(size_t mark) { tokens_->resize(mark); }
  void Add(uint32_t id, uint32_t begin, uint32_t end) { tokens_->push_back({id, begin, end}); }
  // As Add, where the span may overlap the previous token's: it then begins where that one ends.
  void AddAfterLast(uint32_t id, uint32_t begin, uint32_t end) {
    if (tokens_->size() > first_) begin = std::max(begin, tokens_->back().end);
    Add(id, begin, std::max(begin, end));
  }

 private:
  std::vector<Token>* tokens_;
  size_t first_;
};

class CountingSink {
 public:
  size_t Mark() const { return count_; }
  void Rewind(size_t mark) { count_ = mark; }
  void Add(uint32_t, uint32_t, uint32_t) { ++count_; }
  void AddAfterLast(uint32_t, uint32_t, uint32_t) { ++count_; }
  size_t count() const { return count_; }

 private:
  size_t count_ = 0;
};

// The longest entry of `vocabulary` that p[0, n) begins with; kNone where there is none.
uint32_t LongestPiece(const Vocabulary& vocabulary, const char* p, size_t n, size_t* length) {
  uint64_t lengths = vocabulary.PossibleLengths(p, n);
  if (n < 64) {
    lengths &= (uint64_t{1} << n) - 1;
  } else if (lengths >> 63 != 0) {
    for (size_t size = std::min(n, vocabulary.longest()); size >= 64; --size) {
      const uint32_t id = vocabulary.Find(p, size);
      if (id == Vocabulary::kNone) continue;
      *length = size;
      return id;
    }
  }
  lengths &= ~(uint64_t{1} << 63);
  while (lengths != 0) {
    const int bit = 63 - __builtin_clzll(lengths);
    *length = static_cast<size_t>(bit) + 1;
    const uint32_t id = vocabulary.Find(p, *length);
    if (id != Vocabulary::kNone) return id;
    lengths &= ~(uint64_t{1} << bit);
  }
  return Vocabulary::kNone;
}

}  // namespace

// A normalised word and where it comes from.
struct WordPieceTokenizer::Word {
  const char* text = nullptr;
  size_t size = 0;
  size_t chars = 0;
  uint32_t offset = 0;              // Of the first input byte, where begin is null.
  const uint32_t* begin = nullptr;  // Input range of each byte; null: they follow each other.
  const uint32_t* end = nullptr;
};

WordPieceTokenizer::WordPieceTokenizer(WordPieceModel model)
    : VocabularyTokenizer(std::move(model.facts)),
      initial_(std::move(model.initial)),
      continuing_(std::move(model.continuing)),
      unknown_id_(*unknown_id()),
      max_chars_(std::min(model.max_input_chars_per_word, WordPieceModel::kLongestWord)),
      normalizer_(model.normalizer, &characters_),
      added_tokens_(model.added_tokens,
                    [this](std::string_view content) { return Normalized(normalizer_, content); }) {
  InitBytes();
}

void WordPieceTokenizer::InitBytes() {
  byte_class_.fill(ByteClass::kComplex);
  folded_.fill(0);
  symbol_id_.fill(unknown_id_);
  for (int c = 1; c < 0x80; ++c) {
    const uint8_t flags = characters_[static_cast<char32_t>(c)];
    const char byte = static_cast<char>(c);
    if (normalizer_.options().clean_text && (flags & BertCharacters::kControl) != 0) continue;
    if ((flags & BertCharacters::kSpace) != 0) {
      byte_class_[c] = ByteClass::kSpace;
    } else if ((flags & BertCharacters::kPunctuation) != 0) {
      byte_class_[c] = ByteClass::kPunctuation;
      const uint32_t id = initial_.Find(&byte, 1);
      if (id != Vocabulary::kNone) symbol_id_[c] = id;
    } else {
      byte_class_[c] = ByteClass::kWord;
      const bool upper = byte >= 'A' && byte <= 'Z';
      folded_[c] = upper && normalizer_.options().lowercase ? static_cast<char>(c | 0x20) : byte;
    }
  }
}

void WordPieceTokenizer::EncodeText(std::string_view text, ControlText control,
                                    std::vector<Token>* tokens) const {
  TokenSink sink(tokens);
  EncodeAll(text, control, &sink);
}

size_t WordPieceTokenizer::CountTokens(std::string_view text) const {
  CountingSink sink;
  EncodeAll(text, documents(), &sink);
  return sink.count();
}

template <typename Sink>
void WordPieceTokenizer::EncodeAll(std::string_view text, ControlText control, Sink* sink) const {
  const AddedTokenMatcher& normalized = added_tokens_.normalized(control);
  SplitAtAddedTokens(
      added_tokens_.raw(control), text,
      [&](size_t begin, size_t end) {
        if (normalized.empty()) {
          EncodeRange(text, begin, end, sink);
        } else {
          EncodeWithNormalizedTokens(normalized, text, begin, end, sink);
        }
      },
      [&](const AddedTokenMatcher::Match& match) {
        sink->Add(match.id, static_cast<uint32_t>(match.begin), static_cast<uint32_t>(match.end));
      });
}

template <typename Sink>
void WordPieceTokenizer::EncodeRange(std::string_view text, size_t begin, size_t end,
                                     Sink* sink) const {
  char word[WordPieceModel::kLongestWord + 1];
  AlignedText scratch;
  for (size_t i = begin; i < end;) {
    const uint8_t byte = static_cast<uint8_t>(text[i]);
    const ByteClass byte_class = byte_class_[byte];
    if (byte_class == ByteClass::kSpace) {
      ++i;
      continue;
    }
    if (byte_class == ByteClass::kPunctuation) {
      sink->Add(symbol_id_[byte], static_cast<uint32_t>(i), static_cast<uint32_t>(i + 1));
      ++i;
      continue;
    }
    size_t stop = std::min(end, i + max_chars_ + 1);
    size_t size = 0;
    while (i + size < stop && (word[size] = folded_[static_cast<uint8_t>(text[i + size])]) != 0) {
      ++size;
    }
    stop = i + size;
    while (stop < end && folded_[static_cast<uint8_t>(text[stop])] != 0) ++stop;
    if (stop < end && byte_class_[static_cast<uint8_t>(text[stop])] == ByteClass::kComplex) {
      i = EncodeComplex(text, i, end, &scratch, sink);
      continue;
    }
    if (stop - i > max_chars_) {
      sink->Add(unknown_id_, static_cast<uint32_t>(i), static_cast<uint32_t>(stop));
    } else {
      EncodeWord({word, size, size, static_cast<uint32_t>(i)}, sink);
    }
    i = stop;
  }
}

// Encodes text[begin, ...) up to the next ASCII space or symbol, or less of it; returns where it
// stopped, which is never inside a word.
template <typename Sink>
size_t WordPieceTokenizer::EncodeComplex(std::string_view text, size_t begin, size_t end,
                                         AlignedText* scratch, Sink* sink) const {
  for (size_t limit = kComplexBytes;; limit *= 2) {
    const size_t most = begin + PrefixWithin(text.substr(begin, end - begin), limit);
    size_t stop = begin;
    while (stop < most) {
      const ByteClass c = byte_class_[static_cast<uint8_t>(text[stop])];
      if (c == ByteClass::kSpace || c == ByteClass::kPunctuation) break;
      ++stop;
    }
    scratch->Clear();
    normalizer_.Append(text.substr(begin, stop - begin), static_cast<uint32_t>(begin), scratch);
    if (stop < most || stop == end) {
      EncodeAligned(*scratch, 0, scratch->text.size(), sink);
      return stop;
    }
    const size_t cut = LastCleanCut(*scratch);
    if (cut > 0) {
      const size_t next = cut == scratch->text.size() ? stop : scratch->begin[cut];
      EncodeAligned(*scratch, 0, cut, sink);
      return next;
    }
  }
}

uint8_t WordPieceTokenizer::FlagsAt(const AlignedText& aligned, size_t at, uint32_t* size) const {
  const char* const text = aligned.text.data();
  const DecodedCodePoint c = DecodeUtf8(text + at, text + aligned.text.size());
  *size = c.size;
  return characters_[c.value];
}

// The last position after a space or punctuation mark that is also between two input characters; 0
// where there is none.
size_t WordPieceTokenizer::LastCleanCut(const AlignedText& aligned) const {
  for (size_t cut = aligned.text.size(); cut > 0; --cut) {
    if (cut < aligned.text.size() &&
        (IsUtf8Trail(aligned.text[cut]) || aligned.begin[cut] < aligned.end[cut - 1])) {
      continue;
    }
    size_t previous = cut - 1;
    while (previous > 0 && IsUtf8Trail(aligned.text[previous])) --previous;
    uint32_t size;
    const uint8_t flags = FlagsAt(aligned, previous, &size);
    if ((flags & (BertCharacters::kSpace | BertCharacters::kPunctuation)) != 0) return cut;
  }
  return 0;
}

template <typename Sink>
void WordPieceTokenizer::EncodeAligned(const AlignedText& aligned, size_t begin, size_t end,
                                       Sink* sink) const {
  Word word;
  const auto flush = [&](size_t at) {
    if (word.chars == 0) return;
    word.size = static_cast<size_t>(aligned.text.data() + at - word.text);
    EncodeWord(word, sink);
    word.chars = 0;
  };
  const auto extend = [&](size_t at) {
    if (word.chars++ > 0) return;
    word.text = aligned.text.data() + at;
    word.begin = aligned.begin.data() + at;
    word.end = aligned.end.data() + at;
  };
  uint32_t size = 0;
  for (size_t at = begin; at < end; at += size) {
    const uint8_t flags = FlagsAt(aligned, at, &size);
    if ((flags & BertCharacters::kSpace) != 0) {
      flush(at);
    } else if ((flags & BertCharacters::kPunctuation) != 0) {
      flush(at);
      extend(at);
      flush(at + size);
    } else {
      extend(at);
    }
  }
  flush(end);
}

template <typename Sink>
void WordPieceTokenizer::EncodeWithNormalizedTokens(const AddedTokenMatcher& matcher,
                                                    std::string_view text, size_t begin, size_t end,
                                                    Sink* sink) const {
  AlignedText aligned;
  normalizer_.Append(text.substr(begin, end - begin), static_cast<uint32_t>(begin), &aligned);
  SplitAtAddedTokens(
      matcher, aligned.text,
      [&](size_t from, size_t to) { EncodeAligned(aligned, from, to, sink); },
      [&](const AddedTokenMatcher::Match& match) {
        sink->AddAfterLast(match.id, aligned.begin[match.begin], aligned.end[match.end - 1]);
      });
}

template <typename Sink>
void WordPieceTokenizer::EncodeWord(const Word& word, Sink* sink) const {
  const auto add = [&](uint32_t id, size_t from, size_t to) {
    if (word.begin == nullptr) {
      sink->Add(id, word.offset + static_cast<uint32_t>(from),
                word.offset + static_cast<uint32_t>(to));
    } else {
      sink->AddAfterLast(id, word.begin[from], word.end[to - 1]);
    }
  };
  if (word.chars > max_chars_) return add(unknown_id_, 0, word.size);
  const uint32_t whole = initial_.Find(word.text, word.size);
  if (whole != Vocabulary::kNone) return add(whole, 0, word.size);
  const size_t mark = sink->Mark();
  for (size_t at = 0; at < word.size;) {
    size_t length = 0;
    const uint32_t id =
        LongestPiece(at == 0 ? initial_ : continuing_, word.text + at, word.size - at, &length);
    if (id == Vocabulary::kNone) {
      sink->Rewind(mark);
      return add(unknown_id_, 0, word.size);
    }
    add(id, at, at + length);
    at += length;
  }
}

std::string WordPieceText(std::string_view token, bool clean_up) {
  const std::string text = absl::StrCat(" ", absl::string_view(token.data(), token.size()));
  if (!clean_up) return text;
  return absl::StrReplaceAll(text, {{" .", "."},
                                    {" ?", "?"},
                                    {" !", "!"},
                                    {" ,", ","},
                                    {" n't", "n't"},
                                    {" 'm", "'m"},
                                    {" 's", "'s"},
                                    {" 've", "'ve"},
                                    {" 're", "'re"}});
}

}  // namespace cairn::chunking
