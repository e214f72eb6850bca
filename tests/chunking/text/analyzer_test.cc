#include "chunking/text/analyzer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "chunking/text/utf8.h"
#include "chunking/text/word_scanner.h"

namespace cairn::chunking {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::unique_ptr<Analyzer> Make(std::string_view name) {
  absl::StatusOr<std::unique_ptr<Analyzer>> analyzer = MakeAnalyzer(name);
  EXPECT_TRUE(analyzer.ok()) << analyzer.status();
  return *std::move(analyzer);
}

std::vector<std::string> Words(std::string_view text) {
  const WordScanner scanner;
  std::vector<std::string> words;
  WordToken token;
  for (size_t at = 0; scanner.Next(text, &at, &token);) {
    words.emplace_back(text.substr(token.begin, token.end - token.begin));
  }
  return words;
}

// What Lucene 8.7's StandardTokenizer gives.
TEST(WordScanner, FindsWordsAsLuceneDoes) {
  EXPECT_THAT(Words("The quick's U.S.A. foo:bar 3.5,6 a,b 1:2 x_y __ _z can't"),
              ElementsAre("The", "quick's", "U.S.A", "foo:bar", "3.5,6", "a", "b", "1", "2", "x_y",
                          "_z", "can't"));
  EXPECT_THAT(Words("\u4E2D\u56FD\u4EBA \u3072\u3089 \u30AB\u30BF\u30AB\u30CA \uD55C\uAD6D\uC5B4"),
              ElementsAre("\u4E2D", "\u56FD", "\u4EBA", "\u3072", "\u3089",
                          "\u30AB\u30BF\u30AB\u30CA", "\uD55C\uAD6D\uC5B4"));
  EXPECT_THAT(Words("a\u00ADb e\u0301t\u00E9 \u0301x"),
              ElementsAre("a\u00ADb", "e\u0301t\u00E9", "x"));
  EXPECT_THAT(Words("\u05D0\"\u05D0 \u05D0' \u05D0\""),
              ElementsAre("\u05D0\"\u05D0", "\u05D0'", "\u05D0"));
  EXPECT_THAT(Words("\u0E44\u0E17\u0E22\u0E44\u0E17\u0E22 x"),
              ElementsAre("\u0E44\u0E17\u0E22\u0E44\u0E17\u0E22", "x"));
}

TEST(WordScanner, FindsEmojiAsLuceneDoes) {
  EXPECT_THAT(
      Words("a \U0001F44D\U0001F3FD \U0001F1E9\U0001F1EA #\uFE0F\u20E3 \u2764\uFE0F \u00A9"),
      ElementsAre("a", "\U0001F44D\U0001F3FD", "\U0001F1E9\U0001F1EA", "#\uFE0F\u20E3",
                  "\u2764\uFE0F", "\u00A9"));
  const std::string family = "\U0001F468\u200D\U0001F469\u200D\U0001F467";
  EXPECT_THAT(Words(family + family), ElementsAre(family, family));
  EXPECT_THAT(Words("\U0001F1E9 # *"), IsEmpty());
}

TEST(WordScanner, SplitsLongWords) {
  EXPECT_THAT(Words(std::string(600, 'x')),
              ElementsAre(std::string(255, 'x'), std::string(255, 'x'), std::string(90, 'x')));
  EXPECT_THAT(Words(std::string(254, 'a') + ".b"), ElementsAre(std::string(254, 'a'), "b"));
  EXPECT_THAT(Words(std::string(400, '_')), IsEmpty());
  EXPECT_THAT(Words(std::string(300, '_') + "a"), ElementsAre(std::string(254, '_') + "a"));
}

bool HasLetterOrDigit(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const DecodedCodePoint c = DecodeUtf8(p, end);
    if (u_isalnum(static_cast<UChar32>(c.value))) return true;
    p += c.size;
  }
  return false;
}

std::vector<std::string> IcuWords(const std::string& text) {
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<icu::BreakIterator> words(
      icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), error));
  UText* utext = utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &error);
  words->setText(utext, error);
  std::vector<std::string> found;
  int32_t begin = words->first();
  for (int32_t end = words->next(); end != icu::BreakIterator::DONE; end = words->next()) {
    std::string word = text.substr(begin, end - begin);
    if (HasLetterOrDigit(word)) found.push_back(std::move(word));
    begin = end;
  }
  utext_close(utext);
  return found;
}

std::string RandomText(std::mt19937* random, const std::vector<const char*>& pieces) {
  std::string text;
  for (unsigned i = (*random)() % 16; i > 0; --i) text += pieces[(*random)() % pieces.size()];
  return text;
}

// ":" and "@" are left out, which ICU treats otherwise than the standard, and so are the scripts
// (Hebrew quotes, kana, Han) and emoji that it treats otherwise than Lucene.
TEST(WordScanner, AgreesWithIcuWhereLuceneDoes) {
  std::mt19937 random(1);
  const std::vector<const char*> ascii = {"a",  "Z", "7", "10", "_",  ".", ",",  ";", "'",
                                          "\"", "-", " ", "(",  "\n", "b", "\t", "/", "x"};
  std::vector<const char*> all = ascii;
  for (const char* piece : {"\u00E9", "\u0416", "\u0301", "\u00AD", "\u2019", "\u00B7", "\u0661",
                            "\u203F", "\u30AB", "\uFF11", "\u20AC"}) {
    all.push_back(piece);
  }
  for (int i = 0; i < 40000; ++i) {
    const std::string text = RandomText(&random, i % 2 == 0 ? ascii : all);
    ASSERT_EQ(Words(text), IcuWords(text)) << text;
  }
}

// What Lucene 8.7's EnglishAnalyzer gives.
TEST(EnglishAnalyzer, GivesLucenesTerms) {
  const auto english = Make("english");
  EXPECT_EQ(english->name(), "english");
  EXPECT_THAT(english->Terms("The quick brown foxes' dog's running, in 3.5 possibly HAPPY ways"),
              ElementsAre("quick", "brown", "fox", "dog", "run", "3.5", "possibl", "happi", "wai"));
  EXPECT_THAT(english->Terms("Schr\u00F6dinger's cat\u2019s dog\uFF07S 's s 's's"),
              ElementsAre("schr\u00F6dinger", "cat", "dog", "s", "s", "s"));
  EXPECT_THAT(english->Terms("a an and are as at be but by for if in into is it no not of on or "
                             "such that the their then there these they this to was will with"),
              IsEmpty());
  EXPECT_THAT(english->Terms("IT \u0130T i"), ElementsAre("i"));
}

// The examples of Porter's paper and the departures that Lucene shares with his later programs.
TEST(EnglishAnalyzer, StemsAsPorter) {
  const auto english = Make("english");
  EXPECT_THAT(
      english->Terms("caresses ponies ties caress cats feed agreed plastered bled motoring sing "
                     "conflated troubled sized hopping tanned falling hissing fizzed failing "
                     "filing happy sky relational conditional rational valenci digitizer "
                     "vietnamization operator feudalism decisiveness hopefulness formaliti "
                     "sensitiviti sensibiliti triplicate formative formalize electrical goodness "
                     "revival allowance inference airliner adjustable defensible irritant "
                     "replacement adjustment dependent adoption communism activate homologous "
                     "effective bowdlerize probate rate cease controll roll"),
      ElementsAre("caress", "poni", "ti", "caress", "cat", "feed", "agre", "plaster", "bled",
                  "motor", "sing", "conflat", "troubl", "size", "hop", "tan", "fall", "hiss",
                  "fizz", "fail", "file", "happi", "sky", "relat", "condit", "ration", "valenc",
                  "digit", "vietnam", "oper", "feudal", "decis", "hope", "formal", "sensit",
                  "sensibl", "triplic", "form", "formal", "electr", "good", "reviv", "allow",
                  "infer", "airlin", "adjust", "defens", "irrit", "replac", "adjust", "depend",
                  "adopt", "commun", "activ", "homolog", "effect", "bowdler", "probat", "rate",
                  "ceas", "control", "roll"));
  EXPECT_THAT(english->Terms("biology possibly us ies s"),
              ElementsAre("biologi", "possibl", "us", "i", "s"));
  EXPECT_THAT(english->Terms("archaeologi ca\u00E9ed h\u00F6pping"),
              ElementsAre("archaeolog", "ca\u00E9e", "h\u00F6pping"));
}

TEST(EnglishAnalyzer, GivesTheSameAgainFromItsCache) {
  const auto english = Make("english");
  std::mt19937 random(4);
  std::vector<std::string> words;
  for (int i = 0; i < 30000; ++i) {  // More words than the cache holds.
    std::string word;
    for (unsigned k = random() % 40; k > 0; --k) word += static_cast<char>('a' + random() % 26);
    words.push_back(word + "ings");
  }
  std::vector<std::vector<std::string>> first;
  for (const std::string& word : words) first.push_back(english->Terms(word));
  for (size_t i = 0; i < words.size(); ++i) ASSERT_EQ(english->Terms(words[i]), first[i]);
  for (size_t i = 0; i < 50; ++i) ASSERT_EQ(Make("english")->Terms(words[i]), first[i]);
}

TEST(NoneAnalyzer, SplitsAtWhiteSpaceOnly) {
  const auto none = Make("none");
  EXPECT_THAT(none->Terms(" foo::Bar\tB-17,\n\u00A0\u00C9tat's\u3000x "),
              ElementsAre("foo::Bar", "B-17,", "\u00C9tat's", "x"));
  EXPECT_THAT(none->Terms(std::string(254, 'x') + "\u00E9"),
              ElementsAre(std::string(254, 'x'), "\u00E9"));
}

TEST(UnicodeAnalyzer, FoldsWithoutStemming) {
  const auto unicode = Make("unicode");
  EXPECT_THAT(unicode->Terms("The Stra\u00DFen, \uFF26\uFF35\uFF2C\uFF2C \uFB01ne"),
              ElementsAre("the", "strassen", "full", "fine"));
}

TEST(UnicodeAnalyzer, MakesCjkBigrams) {
  const auto unicode = Make("unicode");
  EXPECT_THAT(unicode->Terms("abc\u4E2D\u56FD\u4EBA def \u4E2D \u30AB\u30BF\u30AB"),
              ElementsAre("abc", "\u4E2D\u56FD", "\u56FD\u4EBA", "def", "\u4E2D", "\u30AB\u30BF",
                          "\u30BF\u30AB"));
  EXPECT_THAT(unicode->Terms("\u6771\u4EAC\u30BF\u30EF\u30FC"),
              ElementsAre("\u6771\u4EAC", "\u4EAC\u30BF", "\u30BF\u30EF", "\u30EF\u30FC"));
  EXPECT_THAT(unicode->Terms("\uD55C\uAD6D\uC5B4"), ElementsAre("\uD55C\uAD6D", "\uAD6D\uC5B4"));
}

TEST(UnicodeAnalyzer, SplitsThaiByDictionary) {
  const auto unicode = Make("unicode");
  EXPECT_THAT(unicode->Terms("\u0E01\u0E34\u0E19\u0E02\u0E49\u0E32\u0E27"),  // "eat rice"
              ElementsAre("\u0E01\u0E34\u0E19", "\u0E02\u0E49\u0E32\u0E27"));
}

TEST(SnowballAnalyzer, StemsItsLanguage) {
  EXPECT_THAT(Make("german")->Terms("H\u00E4user laufen"), ElementsAre("haus", "lauf"));
  EXPECT_THAT(Make("french")->Terms("continuellement"), ElementsAre("continuel"));
  const auto russian = Make("russian");
  EXPECT_EQ(russian->name(), "russian");
}

TEST(MakeAnalyzer, ListsKnownNamesForAnUnknownOne) {
  const auto analyzer = MakeAnalyzer("klingon");
  EXPECT_EQ(analyzer.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string message(analyzer.status().message());
  EXPECT_THAT(message, HasSubstr("klingon"));
  EXPECT_THAT(message, HasSubstr("english, none, unicode"));
  EXPECT_THAT(message, HasSubstr("german"));
  EXPECT_FALSE(MakeAnalyzer("").ok());
  EXPECT_FALSE(MakeAnalyzer("porter").ok());
}

TEST(Analyzer, TermsAreNeverEmptyNorTooLong) {
  std::mt19937 random(5);
  std::vector<std::unique_ptr<Analyzer>> analyzers;
  for (const char* name : {"english", "none", "unicode", "german", "turkish"}) {
    analyzers.push_back(Make(name));
  }
  const std::vector<const char*> pieces = {"a",      "ing",    " ",        "'s",     "\u0130",
                                           "\u023A", "\uFDFA", "\u4E2D",   "\u0E44", "\U0001F600",
                                           "\u200D", "\xFF",   "\xE2\x82", "\u00AD", "\uFE0F",
                                           "_",      ".",      "\u20E3",   "#"};
  for (int i = 0; i < 3000; ++i) {
    std::string text = RandomText(&random, pieces);
    const std::string piece = pieces[random() % pieces.size()];
    for (unsigned k = random() % 300; k > 0; --k) text += piece;
    text += RandomText(&random, pieces);
    for (const auto& analyzer : analyzers) {
      analyzer->Analyze(text, [](std::string_view term) {
        ASSERT_FALSE(term.empty());
        ASSERT_LE(term.size(), 255u);
      });
    }
  }
}

TEST(Analyzer, MayBeSharedByThreads) {
  for (const char* name : {"english", "german"}) {
    const auto analyzer = Make(name);
    const std::string text = "Running houses \u4E2D\u56FD \u0E01\u0E34\u0E19 H\u00E4user's flies";
    const std::vector<std::string> expected = Make(name)->Terms(text);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) EXPECT_EQ(analyzer->Terms(text), expected);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace cairn::chunking
