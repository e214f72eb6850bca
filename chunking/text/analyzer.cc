#include "chunking/text/analyzer.h"

#include <libstemmer.h>
#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "chunking/text/normalize.h"
#include "chunking/text/porter.h"
#include "chunking/text/term_cache.h"
#include "chunking/text/utf8.h"
#include "chunking/text/word_scanner.h"

namespace cairn::chunking {
namespace {

using Sink = absl::FunctionRef<void(std::string_view)>;

// Hands out working memory, one piece per call in progress. Thread-safe.
template <typename Context>
class ContextPool {
 public:
  class Lease {
   public:
    explicit Lease(ContextPool* pool) : pool_(pool), context_(pool->Take()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { pool_->Return(std::move(context_)); }
    Context& operator*() const { return *context_; }

   private:
    ContextPool* pool_;
    std::unique_ptr<Context> context_;
  };

 private:
  std::unique_ptr<Context> Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (!free_.empty()) {
        std::unique_ptr<Context> context = std::move(free_.back());
        free_.pop_back();
        return context;
      }
    }
    return std::make_unique<Context>();
  }
  void Return(std::unique_ptr<Context> context) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    free_.push_back(std::move(context));
  }

  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Context>> free_ ABSL_GUARDED_BY(mutex_);
};

// Passes on `term`, in pieces where it is too long.
void Emit(std::string_view term, Sink sink) {
  while (!term.empty()) {
    const size_t size = PrefixWithin(term, kMaxTermBytes);
    sink(term.substr(0, size));
    term.remove_prefix(size);
  }
}

// Words between white space, as they are.
class WhitespaceAnalyzer final : public Analyzer {
 public:
  void Analyze(std::string_view text, Sink sink) const override {
    const char* const end = text.data() + text.size();
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      const DecodedCodePoint c = DecodeUtf8(text.data() + at, end);
      if (u_isUWhiteSpace(static_cast<UChar32>(c.value))) {
        Emit(text.substr(begin, at - begin), sink);
        begin = at + c.size;
      }
      at += c.size;
    }
    Emit(text.substr(begin), sink);
  }
  std::string_view name() const override { return "none"; }
};

// Lucene's EnglishAnalyzer.ENGLISH_STOP_WORDS_SET.
constexpr std::array<std::string_view, 33> kEnglishStopWords = {
    "a",   "an",    "and",  "are",   "as",    "at",   "be",   "but", "by",  "for",  "if",
    "in",  "into",  "is",   "it",    "no",    "not",  "of",   "on",  "or",  "such", "that",
    "the", "their", "then", "there", "these", "they", "this", "to",  "was", "will", "with"};

bool IsEnglishStopWord(std::string_view word) {
  return word.size() <= 5 && std::find(kEnglishStopWords.begin(), kEnglishStopWords.end(), word) !=
                                 kEnglishStopWords.end();
}

// Without "'s" at the end, whatever its case; the apostrophe is ', U+2019 or U+FF07.
std::string_view WithoutPossessive(std::string_view word) {
  if (word.size() < 2 || (word.back() | 0x20) != 's') return word;
  const std::string_view rest = word.substr(0, word.size() - 1);
  for (const std::string_view apostrophe : {"'", "\u2019", "\uFF07"}) {
    if (rest.ends_with(apostrophe)) return rest.substr(0, rest.size() - apostrophe.size());
  }
  return word;
}

bool HasOnlyAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

class EnglishAnalyzer final : public Analyzer {
 public:
  void Analyze(std::string_view text, Sink sink) const override {
    typename ContextPool<Context>::Lease context(&pool_);
    WordToken token;
    for (size_t at = 0; scanner_.Next(text, &at, &token);) {
      const std::string_view word =
          WithoutPossessive(text.substr(token.begin, token.end - token.begin));
      if (word.empty()) continue;
      if (HasOnlyAscii(word)) {
        AnalyzeAscii(word, &(*context).cache, sink);
      } else {
        AnalyzeUnicode(word, &*context, sink);
      }
    }
  }
  std::string_view name() const override { return "english"; }

 private:
  struct Context {
    TermCache cache;
    std::u32string wide;
    std::string narrow;
  };

  static void AnalyzeAscii(std::string_view word, TermCache* cache, Sink sink) {
    char lower[kMaxTermBytes + 1];
    const size_t size = word.size();
    for (size_t i = 0; i < size; ++i) {
      const char c = word[i];
      lower[i] = static_cast<char>(c | (c >= 'A' && c <= 'Z' ? 0x20 : 0));
    }
    const std::string_view key(lower, size);
    TermCache::Entry& entry = cache->At(key);
    if (entry.Holds(key)) {
      if (!entry.stem().empty()) sink(entry.stem());
      return;
    }
    if (IsEnglishStopWord(key)) return entry.Set(key, "");
    char stem[kMaxTermBytes + 1];
    std::copy(lower, lower + size, stem);
    const std::string_view stemmed(stem, PorterStem(stem, size));
    entry.Set(key, stemmed);
    sink(stemmed);
  }

  static void AnalyzeUnicode(std::string_view word, Context* context, Sink sink) {
    std::u32string& wide = context->wide;
    wide.clear();
    const char* const end = word.data() + word.size();
    for (const char* p = word.data(); p < end;) {
      const DecodedCodePoint c = DecodeUtf8(p, end);
      wide.push_back(static_cast<char32_t>(u_tolower(static_cast<UChar32>(c.value))));
      p += c.size;
    }
    std::string& narrow = context->narrow;
    narrow.clear();
    for (const char32_t c : wide) AppendUtf8(c, &narrow);
    // Lower-casing makes ASCII of U+0130 and U+212A, so a stop word is possible.
    if (IsEnglishStopWord(narrow)) return;
    wide.resize(PorterStem(wide.data(), wide.size()));
    narrow.clear();
    for (const char32_t c : wide) AppendUtf8(c, &narrow);
    Emit(narrow, sink);
  }

  WordScanner scanner_;
  mutable ContextPool<Context> pool_;
};

// Unicode words of case-folded text, CJK as bigrams, South-East Asian text by ICU's dictionaries,
// then a Snowball stemmer where a language is given.
class UnicodeAnalyzer final : public Analyzer {
 public:
  // `language` is one of Snowball's names, or empty for none.
  explicit UnicodeAnalyzer(std::string language) : language_(std::move(language)) {}

  void Analyze(std::string_view text, Sink sink) const override {
    typename ContextPool<Context>::Lease lease(&pool_);
    Context& context = *lease;
    const std::string folded = FoldForMatching(text);
    const std::string_view view = folded;
    WordToken token, run;  // `run`: neighbouring CJK tokens not yet passed on.
    for (size_t at = 0; scanner_.Next(view, &at, &token);) {
      const std::string_view word = view.substr(token.begin, token.end - token.begin);
      const uint16_t flags = FlagsAt(word);
      if (IsCjk(word, flags)) {
        if (run.end != token.begin) {
          EmitBigrams(view.substr(run.begin, run.end - run.begin), sink);
          run.begin = token.begin;
        }
        run.end = token.end;
      } else {
        EmitBigrams(view.substr(run.begin, run.end - run.begin), sink);
        run = {token.end, token.end};
        if ((flags & WordScanner::kSoutheastAsian) != 0) {
          EmitDictionaryWords(word, &context, sink);
        } else {
          EmitStem(word, &context, sink);
        }
      }
    }
    EmitBigrams(view.substr(run.begin, run.end - run.begin), sink);
  }
  std::string_view name() const override {
    return language_.empty() ? std::string_view("unicode") : std::string_view(language_);
  }

 private:
  struct StemmerDeleter {
    void operator()(sb_stemmer* stemmer) const { sb_stemmer_delete(stemmer); }
  };
  struct Context {
    TermCache cache;
    std::unique_ptr<sb_stemmer, StemmerDeleter> stemmer;  // Made when first needed, as is words.
    std::unique_ptr<icu::BreakIterator> words;
  };

  uint16_t FlagsAt(std::string_view word) const {
    return scanner_.FlagsOf(DecodeUtf8(word.data(), word.data() + word.size()).value);
  }

  // Whether `word` is of Han, Hiragana, Katakana or Hangul characters only.
  bool IsCjk(std::string_view word, uint16_t first) const {
    constexpr uint16_t kScripts = WordScanner::kHan | WordScanner::kHiragana | WordScanner::kHangul;
    const auto is_cjk = [](uint16_t flags) {
      return (flags & kScripts) != 0 || (flags & WordScanner::kBaseMask) == WordScanner::kKatakana;
    };
    if (!is_cjk(first)) return false;
    while (!word.empty()) {
      const uint16_t flags = FlagsAt(word);
      const bool extends = (flags & WordScanner::kBaseMask) == WordScanner::kExtend;
      if (!is_cjk(flags) && !extends) return false;
      word.remove_prefix(DecodeUtf8(word.data(), word.data() + word.size()).size);
    }
    return true;
  }

  static void EmitBigrams(std::string_view run, Sink sink) {
    if (run.empty()) return;
    const char* const end = run.data() + run.size();
    size_t first = 0;
    size_t second = DecodeUtf8(run.data(), end).size;
    if (second == run.size()) return sink(run);
    while (second < run.size()) {
      const size_t third = second + DecodeUtf8(run.data() + second, end).size;
      sink(run.substr(first, third - first));
      first = second;
      second = third;
    }
  }

  void EmitStem(std::string_view word, Context* context, Sink sink) const {
    if (language_.empty()) return sink(word);
    TermCache::Entry& entry = context->cache.At(word);
    if (entry.Holds(word)) return Emit(entry.stem(), sink);
    if (context->stemmer == nullptr) {
      context->stemmer.reset(sb_stemmer_new(language_.c_str(), "UTF_8"));
      if (context->stemmer == nullptr) return sink(word);  // Out of memory.
    }
    const sb_symbol* stem =
        sb_stemmer_stem(context->stemmer.get(), reinterpret_cast<const sb_symbol*>(word.data()),
                        static_cast<int>(word.size()));
    if (stem == nullptr) return sink(word);
    const std::string_view stemmed(reinterpret_cast<const char*>(stem),
                                   static_cast<size_t>(sb_stemmer_length(context->stemmer.get())));
    entry.Set(word, stemmed);
    Emit(stemmed, sink);
  }

  void EmitDictionaryWords(std::string_view run, Context* context, Sink sink) const {
    UErrorCode error = U_ZERO_ERROR;
    if (context->words == nullptr) {
      context->words.reset(icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), error));
    }
    if (U_FAILURE(error) || context->words == nullptr) return EmitStem(run, context, sink);
    const icu::UnicodeString text = icu::UnicodeString::fromUTF8(
        icu::StringPiece(run.data(), static_cast<int32_t>(run.size())));
    context->words->setText(text);
    int32_t begin = context->words->first();
    for (int32_t end = context->words->next(); end != icu::BreakIterator::DONE;
         begin = end, end = context->words->next()) {
      if (context->words->getRuleStatus() < UBRK_WORD_NONE_LIMIT) continue;
      std::string word;
      text.tempSubStringBetween(begin, end).toUTF8String(word);
      EmitStem(word, context, sink);
    }
  }

  std::string language_;
  WordScanner scanner_;
  mutable ContextPool<Context> pool_;
};

// Snowball's languages, without its own English stemmers: "english" is Lucene's chain here.
std::vector<std::string> SnowballLanguages() {
  std::vector<std::string> languages;
  for (const char** name = sb_stemmer_list(); *name != nullptr; ++name) {
    const std::string_view language = *name;
    if (language != "english" && language != "porter") languages.emplace_back(language);
  }
  return languages;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Analyzer>> MakeAnalyzer(std::string_view name) {
  if (name == "english") return std::make_unique<EnglishAnalyzer>();
  if (name == "none") return std::make_unique<WhitespaceAnalyzer>();
  if (name == "unicode") return std::make_unique<UnicodeAnalyzer>("");
  std::string known = "english, none, unicode";
  for (std::string& language : SnowballLanguages()) {
    if (name == language) return std::make_unique<UnicodeAnalyzer>(std::move(language));
    absl::StrAppend(&known, ", ", language);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown analyzer \"", std::string(name), "\"; known are ", known));
}

}  // namespace cairn::chunking
