#include "chunking/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/shared_data.h"

namespace cairn::chunking {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kVocabTxt[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"                         // 0-4
    "the\nquick\nun\n##aff\n##able\n##ably\n##s\n.\n,\ncafe\n"     // 5-14
    "\u4E2D\na\n##b\n##bc\nabc\n-\n\u1112\n##\u1161\n##\u11AB\n";  // 15-23

std::unique_ptr<Tokenizer> Must(absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer) {
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

std::vector<Token> Encode(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<Token> tokens;
  tokenizer.Encode(text, &tokens);
  EXPECT_EQ(tokenizer.CountTokens(text), tokens.size());
  return tokens;
}

std::vector<uint32_t> Ids(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<uint32_t> ids;
  for (const Token& token : Encode(tokenizer, text)) ids.push_back(token.id);
  return ids;
}

// A tokenizer.json with the given parts in place of the usual ones.
std::string Json(const std::string& vocabulary, const std::string& model_extra = "",
                 const std::string& root_extra = "",
                 const std::string& normalizer = R"({"type":"BertNormalizer"})") {
  return R"({"normalizer":)" + normalizer + R"(,"pre_tokenizer":{"type":"BertPreTokenizer"})" +
         root_extra + R"(,"model":{"type":"WordPiece","unk_token":"[UNK]")" + model_extra +
         R"(,"vocab":)" + vocabulary + "}}";
}

std::string LoadError(const std::string& json) {
  const auto tokenizer = LoadTokenizerJson(json);
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument) << json;
  return std::string(tokenizer.status().message());
}

TEST(WordPiece, EncodesWholeWordsAndPieces) {
  const auto tokenizer = Must(LoadVocabTxt(kVocabTxt));
  EXPECT_EQ(tokenizer->vocabulary_size(), 24u);
  EXPECT_EQ(tokenizer->unknown_id(), 1u);
  EXPECT_THAT(Encode(*tokenizer, "The quick, unaffable."),
              ElementsAre(Token{5, 0, 3}, Token{6, 4, 9}, Token{13, 9, 10}, Token{7, 11, 13},
                          Token{8, 13, 16}, Token{9, 16, 20}, Token{12, 20, 21}));
  EXPECT_THAT(Encode(*tokenizer, ""), IsEmpty());
  EXPECT_THAT(Encode(*tokenizer, " \t\n"), IsEmpty());
}

TEST(WordPiece, TakesTheLongestPiece) {
  const auto tokenizer = Must(LoadVocabTxt(kVocabTxt));
  EXPECT_THAT(Ids(*tokenizer, "abc abbc ab"), ElementsAre(19, 16, 17, 1 + 16 + 1, 16, 17));
}

TEST(WordPiece, SplitsUnknownWordIntoUnk) {
  const auto tokenizer = Must(LoadVocabTxt(kVocabTxt));
  // The first piece is known, the rest is not: the whole word is unknown.
  EXPECT_THAT(Encode(*tokenizer, "unknown the"), ElementsAre(Token{1, 0, 7}, Token{5, 8, 11}));
  EXPECT_THAT(Encode(*tokenizer, "the?"), ElementsAre(Token{5, 0, 3}, Token{1, 3, 4}));
}

TEST(WordPiece, LongWordsAreUnknown) {
  const auto tokenizer = Must(LoadVocabTxt("[UNK]\nx\n##x\n"));
  EXPECT_EQ(Ids(*tokenizer, std::string(100, 'x')).size(), 100u);
  EXPECT_THAT(Encode(*tokenizer, std::string(101, 'x')), ElementsAre(Token{0, 0, 101}));
  EXPECT_THAT(Encode(*tokenizer, std::string(100000, 'x')), ElementsAre(Token{0, 0, 100000}));
}

TEST(WordPiece, SpansReferToTheInputThroughNormalisation) {
  const auto tokenizer = Must(LoadVocabTxt(kVocabTxt));
  EXPECT_THAT(Encode(*tokenizer, "CAF\u00C9 x"), ElementsAre(Token{14, 0, 5}, Token{1, 6, 7}));
  EXPECT_THAT(Encode(*tokenizer, "cafe\u0301,"), ElementsAre(Token{14, 0, 4}, Token{13, 6, 7}));
  EXPECT_THAT(Encode(*tokenizer, "\u200Bth\u0001e\u200B"), ElementsAre(Token{5, 3, 7}));
  EXPECT_THAT(Encode(*tokenizer, "a\u4E2Da"),
              ElementsAre(Token{16, 0, 1}, Token{15, 1, 4}, Token{16, 4, 5}));
}

TEST(WordPiece, SpansOfOneCharacterDoNotOverlap) {
  const auto tokenizer = Must(LoadVocabTxt(kVocabTxt));
  EXPECT_THAT(Encode(*tokenizer, "\uD55C"),
              ElementsAre(Token{21, 0, 3}, Token{22, 3, 3}, Token{23, 3, 3}));
}

TEST(WordPiece, FindsSpecialTokensInTheText) {
  const auto tokenizer = Must(LoadVocabTxt(kVocabTxt));
  EXPECT_THAT(Encode(*tokenizer, "a[SEP]the [sep]"),
              ElementsAre(Token{16, 0, 1}, Token{3, 1, 6}, Token{5, 6, 9}, Token{1, 10, 11},
                          Token{1, 11, 14}, Token{1, 14, 15}));
}

TEST(WordPiece, AppendsToWhatIsThere) {
  const auto tokenizer = Must(LoadVocabTxt(kVocabTxt));
  std::vector<Token> tokens = {{7, 90, 99}};
  tokenizer->Encode("\u00C1 the", &tokens);
  EXPECT_THAT(tokens, ElementsAre(Token{7, 90, 99}, Token{16, 0, 2}, Token{5, 3, 6}));
}

TEST(WordPiece, SkipsInvalidBytes) {
  const auto tokenizer = Must(LoadVocabTxt(kVocabTxt));
  EXPECT_THAT(Encode(*tokenizer,
                     "th\xFF"
                     "e \xE4\xB8"),
              ElementsAre(Token{5, 0, 4}));
}

TEST(WordPiece, HonoursNormalizerSettings) {
  const std::string vocabulary = R"({"[UNK]":0,"A":1,"a":2,"\u00e9":3,"e":4,"\u00c9":5,"E":6})";
  const auto load = [&](const char* options) {
    return Must(LoadTokenizerJson(
        Json(vocabulary, "", "", std::string(R"({"type":"BertNormalizer",)") + options + "}")));
  };
  EXPECT_THAT(Ids(*load(R"("lowercase":false)"), "A \u00C9"), ElementsAre(1, 5));
  EXPECT_THAT(Ids(*load(R"("lowercase":false,"strip_accents":true)"), "A \u00C9"),
              ElementsAre(1, 6));
  EXPECT_THAT(Ids(*load(R"("lowercase":true,"strip_accents":false)"), "A \u00C9"),
              ElementsAre(2, 3));
  EXPECT_THAT(Ids(*load(R"("lowercase":true,"strip_accents":null)"), "A \u00C9"),
              ElementsAre(2, 4));
}

TEST(WordPiece, HonoursAddedTokenFlags) {
  const auto load = [&](const std::string& flags) {
    return Must(LoadTokenizerJson(
        Json(R"({"[UNK]":0,"a":1,"b":2})", "",
             R"(,"added_tokens":[{"id":3,"content":"<X>",)" + flags + R"(,"special":true}])")));
  };
  EXPECT_THAT(Encode(*load(R"("lstrip":true,"rstrip":true)"), "a  <X> \u00A0b"),
              ElementsAre(Token{1, 0, 1}, Token{3, 1, 9}, Token{2, 9, 10}));
  EXPECT_THAT(Ids(*load(R"("single_word":true)"), "a<X> <X>"), ElementsAre(1, 0, 0, 0, 3));
  EXPECT_THAT(Ids(*load(R"("normalized":true)"), "\u00C1<x> <X>"), ElementsAre(1, 3, 3));
  EXPECT_EQ(load(R"("normalized":false)")->vocabulary_size(), 4u);
}

TEST(LoadTokenizerJson, NamesWhatIsWrong) {
  EXPECT_THAT(LoadError(""), HasSubstr("tokenizer.json"));
  EXPECT_THAT(LoadError("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(LoadError("{}"), HasSubstr("\"model\""));
  EXPECT_THAT(LoadError(R"({"model":{"type":"WordLevel"}})"), HasSubstr("WordLevel"));
  EXPECT_THAT(LoadError(R"({"model":[]})"), HasSubstr("object"));
  EXPECT_THAT(LoadError(std::string(100000, '[')), HasSubstr("tokenizer.json"));
  EXPECT_THAT(LoadError(Json("{}")), HasSubstr("empty"));
  EXPECT_THAT(LoadError(Json("[]")), HasSubstr("object"));
  EXPECT_THAT(LoadError(Json(R"({"a":0})")), HasSubstr("unknown token"));
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0,"a":0})")), HasSubstr("id 0 is used twice"));
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0,"a":1,"a":2})")), HasSubstr("twice"));
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0,"a":3000000000})")), HasSubstr("too large"));
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0,"a":2000000000})")), HasSubstr("too large"));
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0,"a":-1})")), HasSubstr("no valid id"));
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0,"a":"x"})")), HasSubstr("no valid id"));
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0})", R"(,"max_input_chars_per_word":1000000)")),
              HasSubstr("max_input_chars_per_word"));
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0})", R"(,"continuing_subword_prefix":7)")),
              HasSubstr("continuing_subword_prefix"));
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0})", "", R"(,"added_tokens":[{"id":1}])")),
              HasSubstr("content"));
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0})", "", R"(,"added_tokens":[{"content":"x"}])")),
              HasSubstr("valid id"));
  EXPECT_THAT(
      LoadError(Json(R"({"[UNK]":0})", "", R"(,"added_tokens":[{"id":99999,"content":"x"}])")),
      HasSubstr("too large"));
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0})", "", "", R"({"type":"NFKC"})")), HasSubstr("NFKC"));
  std::string nested = R"({"type":"BertNormalizer"})";
  for (int i = 0; i < 50; ++i) nested = R"({"type":"Sequence","normalizers":[)" + nested + "]}";
  EXPECT_THAT(LoadError(Json(R"({"[UNK]":0})", "", "", nested)), HasSubstr("too many steps"));
}

TEST(LoadTokenizerJson, NoUserTextBecomesChatMarkupWhateverTheFileCallsIt) {
  const auto tokenizer = Must(LoadTokenizerJson(
      R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)"
      R"("model":{"type":"BPE","merges":[],"vocab":{"<":0,"|":1,"s":2}},"added_tokens":[)"
      R"({"id":3,"content":"<|im_start|>","special":false},)"
      R"({"id":4,"content":"<s|>","special":false}]})"));
  EXPECT_THAT(tokenizer->EncodePrompt("<|im_start|>", ControlText::kAsTokens), ElementsAre(3));
  EXPECT_THAT(tokenizer->EncodePrompt("<|im_start|>", ControlText::kAsText),
              ::testing::Not(::testing::Contains(3u)));
  EXPECT_THAT(tokenizer->EncodePrompt("<s|>", ControlText::kAsText), ElementsAre(4));
}

// One step that doubles the text is fine, but not a chain of them.
TEST(LoadTokenizerJson, RefusesNormalizersThatFillTheMemory) {
  const auto load = [](const std::string& step, int count) {
    std::string steps = step;
    for (int i = 1; i < count; ++i) steps += "," + step;
    return LoadTokenizerJson(R"({"normalizer":{"type":"Sequence","normalizers":[)" + steps +
                             R"(]},"model":{"type":"BPE","merges":[],"vocab":{"a":0}}})");
  };
  const std::string doubles = R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
  const std::string grows = R"({"type":"Replace","pattern":{"String":"ab"},"content":"ababa"})";
  const std::string spaces = R"({"type":"Replace","pattern":{"Regex":"\\s+"},"content":"    "})";
  EXPECT_TRUE(load(doubles, 6).ok());
  EXPECT_TRUE(load(spaces, 3).ok());
  for (const auto& refused :
       {load(doubles, 7), load(doubles, 256), load(grows, 4), load(spaces, 4)}) {
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr("times longer"));
  }
  // What keeps the length may come as often as it likes.
  EXPECT_TRUE(load(R"({"type":"Replace","pattern":{"String":"ab"},"content":"ba"})", 200).ok());
}

TEST(LoadTokenizerJson, WhatAFileSaysIsEscapedAndCutInMessages) {
  const std::string hostile =
      LoadError(R"({"model":{"type":"\u001b[2J\u009b)" + std::string(1000, 'x') + R"("}})");
  EXPECT_THAT(hostile, HasSubstr(R"(\x1b[2J\xc2\x9bxxx)"));
  EXPECT_THAT(hostile, HasSubstr("xxx...\" is not known"));
  EXPECT_LT(hostile.size(), 250u);
}

TEST(LoadTokenizerJson, SurvivesDamagedFiles) {
  const std::string good =
      Json(R"({"[UNK]":0,"a":1,"##b":2})", R"(,"continuing_subword_prefix":"##")",
           R"(,"added_tokens":[{"id":3,"content":"<X>","special":true}])");
  ASSERT_TRUE(LoadTokenizerJson(good).ok());
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {
    std::string damaged = good;
    for (unsigned k = 1 + random() % 3; k > 0; --k) {
      damaged[random() % damaged.size()] =
          static_cast<char>(random() % 2 ? random() : "{}[]\",:0"[random() % 8]);
    }
    if (random() % 4 == 0) damaged.resize(random() % damaged.size());
    const auto tokenizer = LoadTokenizerJson(damaged);
    if (tokenizer.ok()) Encode(**tokenizer, "a ab <X> \u00E9");
  }
}

TEST(LoadVocabTxt, NamesWhatIsWrong) {
  EXPECT_THAT(std::string(LoadVocabTxt("").status().message()), HasSubstr("[UNK]"));
  EXPECT_THAT(std::string(LoadVocabTxt("a\nb\n").status().message()), HasSubstr("[UNK]"));
  EXPECT_THAT(std::string(LoadVocabTxt("[UNK]\na\na\n").status().message()), HasSubstr("line 3"));
  EXPECT_THAT(std::string(LoadVocabTxt("[UNK]\n\xFF\n").status().message()), HasSubstr("UTF-8"));
}

TEST(LoadVocabTxt, AcceptsWindowsLinesAndEmptyOnes) {
  const auto tokenizer = Must(LoadVocabTxt("[UNK]\r\n\r\na\r\n\r\nb"));
  EXPECT_THAT(Ids(*tokenizer, "a b"), ElementsAre(2, 4));
  EXPECT_EQ(tokenizer->vocabulary_size(), 5u);
}

TEST(WordPiece, SpansAscendAndCoverAllTextThatIsNotDropped) {
  const auto tokenizer = Must(LoadVocabTxt(kVocabTxt));
  std::mt19937 random(2);
  const std::vector<std::string> pieces = {
      "the",    "unaffable", "\u00E9", "\u0301", " ",      "\n",     ".",      "\u4E2D", "\uD55C",
      "\u200B", "[SEP]",     "\u00A0", "x",      "\u3002", "\u0130", "\u2028", "abc"};
  for (int i = 0; i < 5000; ++i) {
    std::string text;
    for (unsigned k = random() % 25; k > 0; --k) text += pieces[random() % pieces.size()];
    uint32_t end = 0;
    std::string covered;
    for (const Token& token : Encode(*tokenizer, text)) {
      ASSERT_LE(end, token.begin);
      ASSERT_LE(token.begin, token.end);
      // Between two tokens there is only white space and what the normaliser drops.
      covered += text.substr(end, token.begin - end);
      end = token.end;
    }
    ASSERT_LE(end, text.size());
    covered += text.substr(end);
    for (const char* dropped : {"\u0301", "\u200B", "\u00A0", "\u2028", " ", "\n"}) {
      for (size_t at; (at = covered.find(dropped)) != std::string::npos;) {
        covered.erase(at, std::string_view(dropped).size());
      }
    }
    ASSERT_EQ(covered, "") << text;
  }
}

// Text without ASCII spaces is worked through in pieces; where they end must not show.
TEST(WordPiece, LongChineseTextIsEncodedAsItsParts) {
  const auto tokenizer = Must(LoadVocabTxt(kVocabTxt));
  const std::string part = "\u4E2D\u3002caf\u00E9\u4E2D\u00E9abc";
  const size_t per_part = Encode(*tokenizer, part + "\u4E2D").size() - 1;
  std::string text;
  for (int i = 0; i < 20000; ++i) text += part;
  EXPECT_EQ(Encode(*tokenizer, text).size(), per_part * 20000);
}

TEST(WordPiece, LongAccentedWordIsOneUnknown) {
  const auto tokenizer = Must(LoadVocabTxt(kVocabTxt));
  std::string word;
  for (int i = 0; i < 100000; ++i) word += "\u00E9";
  EXPECT_THAT(Encode(*tokenizer, word + " the"),
              ElementsAre(Token{1, 0, 200000}, Token{5, 200001, 200004}));
}

constexpr char kUnigram[] = R"({
  "added_tokens":[{"id":1,"content":"[UNK]","special":true,"normalized":false}],
  "normalizer":{"type":"Sequence","normalizers":[
    {"type":"BertNormalizer","lowercase":true},
    {"type":"Replace","pattern":{"String":"!"},"content":" ! "},
    {"type":"Replace","pattern":{"String":"."},"content":" . "},
    {"type":"Replace","pattern":{"Regex":"\\s+"},"content":" "},
    {"type":"Strip","strip_left":true,"strip_right":true}]},
  "pre_tokenizer":
    {"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":false},
  "model":{"type":"Unigram","unk_id":1,"byte_fallback":false,"vocab":[["[PAD]",-5],["[UNK]",-5],
    ["\u2581hello",-3],["\u2581",-4],["h",-9],["e",-9],["\u2581he",-3.5],["llo",-4],["\u2581!",-3],
    ["\u2581world",-3],["s",-2]]}})";

TEST(Unigram, FindsTheMostProbableTokens) {
  const auto tokenizer = Must(LoadTokenizerJson(kUnigram));
  EXPECT_EQ(tokenizer->unknown_id(), 1u);
  EXPECT_EQ(tokenizer->vocabulary_size(), 11u);
  EXPECT_THAT(Encode(*tokenizer, "Hello  worlds!"),
              ElementsAre(Token{2, 0, 5}, Token{9, 5, 12}, Token{10, 12, 13}, Token{8, 13, 14}));
  EXPECT_THAT(Encode(*tokenizer, ""), IsEmpty());
  EXPECT_THAT(Encode(*tokenizer, " \n"), IsEmpty());
}

TEST(Unigram, JoinsUnknownCharacters) {
  const auto tokenizer = Must(LoadTokenizerJson(kUnigram));
  EXPECT_THAT(Encode(*tokenizer, "xyz s"),
              ElementsAre(Token{3, 0, 0}, Token{1, 0, 3}, Token{3, 3, 4}, Token{10, 4, 5}));
  EXPECT_THAT(Ids(*tokenizer, "hello[UNK]hello"), ElementsAre(2, 1, 2));
}

TEST(Unigram, RefusesWhatIsWrong) {
  EXPECT_THAT(LoadError(R"({"model":{"type":"Unigram","vocab":[]}})"), HasSubstr("empty"));
  EXPECT_THAT(LoadError(R"({"model":{"type":"Unigram","vocab":[["a"]]}})"), HasSubstr("entry 0"));
  EXPECT_THAT(LoadError(R"({"model":{"type":"Unigram","vocab":[["a",1]]}})"), HasSubstr("unk_id"));
  EXPECT_THAT(LoadError(R"({"model":{"type":"Unigram","unk_id":1,"vocab":[["a",1]]}})"),
              HasSubstr("unk_id"));
  EXPECT_THAT(LoadError(R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["a",1],["a",2]]}})"),
              HasSubstr("twice"));
}

std::string Shared(const std::string& path) {
  return testing::ReadFileOrDie(testing::SharedDir() + "/" + path);
}

// Ids and offsets of the Hugging Face tokenizers library 0.23.
TEST(WordPiece, GivesTheReferenceTokensOfBertUncased) {
  CAIRN_NEED_SHARED("tokenizers/hf/bert-uncased-tokenizer.json");
  const auto tokenizer =
      Must(LoadTokenizerJson(Shared("tokenizers/hf/bert-uncased-tokenizer.json")));
  EXPECT_EQ(tokenizer->vocabulary_size(), 30522u);
  EXPECT_EQ(tokenizer->unknown_id(), 100u);
  EXPECT_THAT(Encode(*tokenizer, "cafe\u0301 x"),
              ElementsAre(Token{7668, 0, 4}, Token{1060, 7, 8}));
  EXPECT_THAT(Encode(*tokenizer,
                     "foo\x01"
                     "bar\x02 b"),
              ElementsAre(Token{29379, 0, 3}, Token{8237, 4, 7}, Token{1038, 9, 10}));
  EXPECT_THAT(Encode(*tokenizer, "\u0130stanbul"), ElementsAre(Token{9960, 0, 9}));
  EXPECT_THAT(Encode(*tokenizer, "\u226Ea"), ElementsAre(Token{1026, 0, 3}, Token{1037, 3, 4}));
  EXPECT_THAT(Encode(*tokenizer, "\uFB03"), ElementsAre(Token{100, 0, 3}));
  EXPECT_THAT(Ids(*tokenizer, "\uD55C\uAD6D"),
              ElementsAre(1469, 30006, 30021, 29991, 30014, 30020));
  EXPECT_THAT(Ids(*tokenizer, "a[SEP]b [ SEP ] [sep]"),
              ElementsAre(1037, 102, 1038, 1031, 19802, 1033, 1031, 19802, 1033));
}

TEST(WordPiece, GivesTheIdsOfTheSharedVectors) {
  CAIRN_NEED_SHARED("tokenizers/ggml-vocab-bert-bge.gguf.inp");
  const auto tokenizer =
      Must(LoadTokenizerJson(Shared("tokenizers/hf/bert-uncased-tokenizer.json")));
  const std::string texts = Shared("tokenizers/ggml-vocab-bert-bge.gguf.inp");
  std::istringstream ids(Shared("tokenizers/ggml-vocab-bert-bge.gguf.out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  int compared = 0;
  for (size_t begin = 0; begin <= texts.size();) {
    const size_t end = std::min(texts.find(separator, begin), texts.size());
    std::string line;
    if (!std::getline(ids, line)) break;
    std::istringstream numbers(line);
    const std::vector<uint32_t> expected{std::istream_iterator<uint32_t>(numbers), {}};
    EXPECT_EQ(Ids(*tokenizer, texts.substr(begin, end - begin)), expected)
        << texts.substr(begin, end - begin);
    begin = end + separator.size();
    ++compared;
  }
  EXPECT_GT(compared, 30);
}

TEST(LoadTokenizerJson, LoadsTheStaticEmbeddingModels) {
  CAIRN_NEED_SHARED("models/static-embeddings");
  for (const char* model : {"float32", "float16", "int8", "vocab-quantized"}) {
    const std::string path = std::string("models/static-embeddings/") + model + "/tokenizer.json";
    const auto tokenizer = Must(LoadTokenizerJson(Shared(path)));
    EXPECT_GT(tokenizer->vocabulary_size(), 29000u);
    const size_t words = tokenizer->CountTokens("hello hello hello");
    EXPECT_EQ(words, 3u) << model;
  }
}

}  // namespace
}  // namespace cairn::chunking
