#include "chunking/text/vocabulary_description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/support/shared_data.h"

namespace cairn::chunking {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::unique_ptr<Tokenizer> MustMake(absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer) {
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

std::vector<uint32_t> IdsOf(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<Token> tokens;
  tokenizer.Encode(text, &tokens);
  std::vector<uint32_t> ids;
  for (const Token& token : tokens) ids.push_back(token.id);
  return ids;
}

std::string ErrorOf(VocabularyDescription description) {
  const auto tokenizer = MakeTokenizer(std::move(description));
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(tokenizer.status().message());
}

VocabularyDescription SmallSentencePiece() {
  VocabularyDescription d;
  d.kind = VocabularyKind::kSentencePieceBpe;
  const auto add = [&](std::string token, float score, TokenType type) {
    d.tokens.push_back(std::move(token));
    d.scores.push_back(score);
    d.types.push_back(type);
  };
  add("<unk>", 0, TokenType::kUnknown);       // 0
  add("<s>", 0, TokenType::kControl);         // 1
  add("</s>", 0, TokenType::kControl);        // 2
  add("\u2581", -10, TokenType::kNormal);     // 3
  add("a", -11, TokenType::kNormal);          // 4
  add("b", -12, TokenType::kNormal);          // 5
  add("ab", -1, TokenType::kNormal);          // 6
  add("\u2581ab", -2, TokenType::kNormal);    // 7
  add("aba", -3, TokenType::kUnused);         // 8
  add("<user>", 0, TokenType::kUserDefined);  // 9
  add("<0xC3>", 0, TokenType::kByte);         // 10
  add("<0xA9>", 0, TokenType::kByte);         // 11
  d.bos_token_id = 1;
  d.eos_token_id = 2;
  return d;
}

TEST(MakeTokenizer, MergesSentencePiecesByScore) {
  const auto tokenizer = MustMake(MakeTokenizer(SmallSentencePiece()));
  EXPECT_THAT(IdsOf(*tokenizer, "ab"), ElementsAre(7));
  EXPECT_THAT(IdsOf(*tokenizer, "ba ab"), ElementsAre(3, 5, 4, 7));
  EXPECT_THAT(IdsOf(*tokenizer, "  ab"), ElementsAre(3, 3, 7));
  EXPECT_THAT(IdsOf(*tokenizer, ""), ElementsAre());
  EXPECT_EQ(tokenizer->Decode({3, 3, 7}), "  ab");
}

TEST(MakeTokenizer, UndoesMergesIntoUnusedTokens) {
  VocabularyDescription d = SmallSentencePiece();
  d.add_space_prefix = false;
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "aba"), ElementsAre(6, 4));
  d.types[8] = TokenType::kNormal;
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "aba"), ElementsAre(8));
}

TEST(MakeTokenizer, FallsBackToBytesOnlyWhereAllAreThere) {
  const auto tokenizer = MustMake(MakeTokenizer(SmallSentencePiece()));
  EXPECT_THAT(IdsOf(*tokenizer, "\u00E9"), ElementsAre(3, 10, 11));
  EXPECT_THAT(IdsOf(*tokenizer, "\u4E2D\u4E2Dab"), ElementsAre(3, 0, 6));
  EXPECT_EQ(tokenizer->Decode({10, 11}), "\u00E9");
  EXPECT_EQ(tokenizer->Decode({10}), "\uFFFD");
}

TEST(MakeTokenizer, FindsUserDefinedTokensAlwaysAndControlTokensOnDemand) {
  const auto tokenizer = MustMake(MakeTokenizer(SmallSentencePiece()));
  EXPECT_EQ(tokenizer->EncodePrompt("ab<user>", ControlText::kAsText),
            (std::vector<uint32_t>{1, 7, 9}));
  EXPECT_EQ(tokenizer->EncodePrompt("ab</s>", ControlText::kAsTokens),
            (std::vector<uint32_t>{1, 7, 2}));
  EXPECT_THAT(tokenizer->EncodePrompt("</s>", ControlText::kAsText),
              ::testing::Not(::testing::Contains(2u)));
  EXPECT_THAT(tokenizer->special_tokens().end_of_generation, ElementsAre(2u));
}

TEST(MakeTokenizer, NoUserTextBecomesChatMarkupWhateverTheFileCallsIt) {
  VocabularyDescription d = SmallSentencePiece();
  d.tokens.insert(d.tokens.end(), {"<|im_start|>", "<turn>"});
  d.scores.resize(d.tokens.size());
  d.types.resize(d.tokens.size(), TokenType::kUserDefined);
  AddedToken end;
  end.content = "<|im_end|>";
  end.id = 14;
  d.added_tokens.push_back(end);
  d.eot_token_id = 13;
  const auto tokenizer = MustMake(MakeTokenizer(d));
  for (const uint32_t id : {12u, 13u, 14u}) {
    std::string spelling, text;
    tokenizer->AppendBytes(id, ControlText::kAsText, &spelling);
    tokenizer->AppendBytes(id, ControlText::kAsTokens, &text);
    EXPECT_NE(spelling, "");
    EXPECT_EQ(text, "");
    EXPECT_THAT(tokenizer->EncodePrompt(spelling, ControlText::kAsTokens), Contains(id));
    EXPECT_THAT(tokenizer->EncodePrompt(spelling, ControlText::kAsText), Not(Contains(id)));
  }
}

TEST(MakeTokenizer, PutsTheSpaceWhereItIsTold) {
  VocabularyDescription d = SmallSentencePiece();
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "ab<user>ab"), ElementsAre(7, 9, 7));
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "<user>ab"), ElementsAre(9, 7));
  d.space_prefix_once = true;
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "ab<user>ab"), ElementsAre(7, 9, 6));
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "<user>ab"), ElementsAre(3, 9, 6));
  d.add_space_prefix = false;
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "ab<user>ab"), ElementsAre(6, 9, 6));
  EXPECT_EQ(MustMake(MakeTokenizer(d))->Decode({7}), " ab");
}

TEST(MakeTokenizer, RemovesExtraWhiteSpaceWhereAsked) {
  VocabularyDescription d = SmallSentencePiece();
  d.remove_extra_whitespaces = true;
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "  ab   ab "), ElementsAre(7, 7));
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "   "), ElementsAre());
}

TEST(MakeTokenizer, FindsTheMostProbableUnigrams) {
  VocabularyDescription d = SmallSentencePiece();
  d.kind = VocabularyKind::kSentencePieceUnigram;
  const auto tokenizer = MustMake(MakeTokenizer(d));
  EXPECT_THAT(IdsOf(*tokenizer, "abb"), ElementsAre(7, 5));
  EXPECT_EQ(tokenizer->EncodePrompt("ab", ControlText::kAsText), (std::vector<uint32_t>{7, 2}));
  d.types[0] = TokenType::kControl;
  EXPECT_THAT(ErrorOf(d), HasSubstr("unknown token"));
}

// A trie with the one rule "A" to "b": units of darts-clone, found by hand.
std::string SmallCharsmap() {
  std::vector<uint32_t> units(256);
  units[0] = 1u << 10;                                  // Children at 1 ^ label.
  units[1 ^ 'A'] = uint32_t{'A'} | 1u << 8 | 1u << 10;  // A leaf; its value at 1 ^ 'A' ^ 1.
  units[(1 ^ 'A') ^ 1] = 0x80000000u;                   // Replacement at 0.
  std::string bytes;
  const auto add = [&](uint32_t value) {
    for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  };
  add(static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t unit : units) add(unit);
  return bytes + std::string("b\0", 2);
}

TEST(MakeTokenizer, AppliesTheCharsmap) {
  VocabularyDescription d = SmallSentencePiece();
  d.precompiled_charsmap = SmallCharsmap();
  std::vector<Token> tokens;
  MustMake(MakeTokenizer(d))->Encode("aA", &tokens);
  EXPECT_THAT(tokens, ElementsAre(Token{7, 0, 2}));
}

TEST(MakeTokenizer, SurvivesDamagedCharsmaps) {
  VocabularyDescription d = SmallSentencePiece();
  for (const std::string& bytes :
       {std::string("abc"), std::string("\0\0\0\0", 4), std::string("\4\0\0\0abcd", 8),
        std::string("\xFF\xFF\xFF\xFF"), SmallCharsmap() + std::string(257, 'x') + '\0'}) {
    d.precompiled_charsmap = bytes;
    EXPECT_THAT(ErrorOf(d), HasSubstr("charsmap"));
  }
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    d.precompiled_charsmap = SmallCharsmap();
    for (int k = 0; k < 20; ++k) {
      d.precompiled_charsmap[4 + random() % (d.precompiled_charsmap.size() - 5)] =
          static_cast<char>(random());
    }
    const auto tokenizer = MakeTokenizer(d);
    ASSERT_TRUE(tokenizer.ok());
    IdsOf(**tokenizer, "aAbB \u00E9 A");
  }
}

VocabularyDescription SmallByteLevel() {
  VocabularyDescription d;
  d.kind = VocabularyKind::kByteLevelBpe;
  d.pre = "gpt-2";
  d.tokens = {"a", "b", "\u0120", "ab", "\u0120ab", "<|end|>", "\u00C3", "\u00A9", "  "};
  d.types = {TokenType::kNormal, TokenType::kNormal, TokenType::kNormal,
             TokenType::kNormal, TokenType::kNormal, TokenType::kControl,
             TokenType::kNormal, TokenType::kNormal, TokenType::kUserDefined};
  d.merges = {"a b", "\u0120 ab"};
  return d;
}

TEST(MakeTokenizer, MergesBytesByRank) {
  const auto tokenizer = MustMake(MakeTokenizer(SmallByteLevel()));
  EXPECT_THAT(IdsOf(*tokenizer, "ab ab aab"), ElementsAre(3, 4, 2, 0, 3));
  std::vector<Token> tokens;
  tokenizer->Encode("\u00E9 a", &tokens);
  // The parts of a character: the first has it all.
  EXPECT_THAT(tokens, ElementsAre(Token{6, 0, 2}, Token{7, 2, 2}, Token{2, 2, 3}, Token{0, 3, 4}));
  EXPECT_EQ(tokenizer->Decode({6, 7, 4}), "\u00E9 ab");
  EXPECT_THAT(IdsOf(*tokenizer, "a  b"), ElementsAre(0, 8, 1));
  EXPECT_EQ(tokenizer->EncodePrompt("<|end|>", ControlText::kAsTokens), (std::vector<uint32_t>{5}));
  EXPECT_THAT(tokenizer->special_tokens().end_of_generation, ElementsAre(5u));
}

TEST(MakeTokenizer, ComposesCharactersForModelsThatDo) {
  VocabularyDescription d = SmallByteLevel();
  d.pre = "qwen2";
  std::vector<Token> tokens;
  d.tokens.push_back("e");
  d.types.push_back(TokenType::kNormal);
  MustMake(MakeTokenizer(d))->Encode("ae\u0301b", &tokens);
  EXPECT_THAT(tokens, ElementsAre(Token{0, 0, 1}, Token{6, 1, 4}, Token{7, 4, 4}, Token{1, 4, 5}));
}

TEST(MakeTokenizer, TakesWholeTokensWhereMergesAreIgnored) {
  VocabularyDescription d = SmallByteLevel();
  d.merges.clear();
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "ab"), ElementsAre(0, 1));
  d.pre = "llama-bpe";
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "ab"), ElementsAre(3));
}

TEST(MakeTokenizer, ReadsWordPiecesWithPhantomSpaces) {
  VocabularyDescription d;
  d.kind = VocabularyKind::kWordPiece;
  d.tokens = {"[PAD]", "[UNK]", "[CLS]",   "[SEP]",     "\u2581un",
              "aff",   "able",  "\u2581.", "[unused1]", "\u2581the"};
  d.unknown_token_id = 1;
  d.cls_token_id = 2;
  d.separator_token_id = 3;
  const auto tokenizer = MustMake(MakeTokenizer(d));
  EXPECT_THAT(IdsOf(*tokenizer, "The unaffable."), ElementsAre(9, 4, 5, 6, 7));
  EXPECT_EQ(tokenizer->EncodePrompt("the", ControlText::kAsText), (std::vector<uint32_t>{2, 9, 3}));
  EXPECT_EQ(tokenizer->Decode({2, 9, 4, 5, 6, 7, 3}), "the unaffable.");
  d.tokens.push_back("\u2581The");
  EXPECT_THAT(IdsOf(*MustMake(MakeTokenizer(d)), "The the"), ElementsAre(10, 9));
}

TEST(MakeTokenizer, NamesWhatIsWrong) {
  VocabularyDescription d;
  EXPECT_THAT(ErrorOf(d), HasSubstr("empty"));
  d = SmallByteLevel();
  d.pre = "gpt-5";
  EXPECT_THAT(ErrorOf(d), HasSubstr("\"gpt-5\" is not known; known are default, gpt-2"));
  d.pre = "\x1b\xff\n";
  EXPECT_THAT(ErrorOf(d), HasSubstr(R"("\x1b\xff\x0a" is not known)"));
  d = SmallByteLevel();
  d.merges.push_back("ab");
  EXPECT_THAT(ErrorOf(d), HasSubstr("merge 2"));
  d.merges.back() = "ab zz";
  EXPECT_THAT(ErrorOf(d), HasSubstr("outside the vocabulary"));
  d.merges.back() = "ab \u4E2D";
  EXPECT_THAT(ErrorOf(d), HasSubstr("alphabet"));
  d = SmallByteLevel();
  d.eos_token_id = 99;
  EXPECT_THAT(ErrorOf(d), HasSubstr("id 99"));
  d = SmallByteLevel();
  d.eot_token_id = 99;
  EXPECT_THAT(ErrorOf(d), HasSubstr("id 99"));
  d = SmallByteLevel();
  d.add_bos_token = true;
  EXPECT_THAT(ErrorOf(d), HasSubstr("bos"));
  d = SmallByteLevel();
  d.types.pop_back();
  EXPECT_THAT(ErrorOf(d), HasSubstr("8 token types for 9 tokens"));
  d = SmallSentencePiece();
  d.scores.pop_back();
  EXPECT_THAT(ErrorOf(d), HasSubstr("11 scores for 12 tokens"));
  d = SmallSentencePiece();
  d.scores[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(ErrorOf(d), HasSubstr("score of token 3"));
  d = SmallSentencePiece();
  d.added_tokens.push_back({.content = "x", .id = 1'000'000});
  EXPECT_THAT(ErrorOf(d), HasSubstr("too large"));
  EXPECT_THAT(std::string(VocabularyKindByName("rwkv").status().message()),
              HasSubstr("known are llama, gpt2, bert, t5"));
}

TEST(LoadVocabAndMerges, ReadsTheTwoFiles) {
  const auto tokenizer = MustMake(LoadVocabAndMerges(R"({"a":0,"b":1,"ab":2,"<|endoftext|>":4})",
                                                     "#version: 0.2\r\na b\r\n", ""));
  EXPECT_THAT(IdsOf(*tokenizer, "aba"), ElementsAre(2, 0));
  EXPECT_EQ(tokenizer->vocabulary_size(), 5u);
  EXPECT_THAT(tokenizer->special_tokens().end_of_generation, ElementsAre(4u));
  EXPECT_FALSE(tokenizer->special_tokens().add_bos);
}

TEST(LoadVocabAndMerges, NamesWhatIsWrong) {
  const auto error = [](const char* vocabulary, const char* merges, const char* config) {
    return std::string(LoadVocabAndMerges(vocabulary, merges, config).status().message());
  };
  EXPECT_THAT(error("[]", "", ""), HasSubstr("vocab.json"));
  EXPECT_THAT(error(R"({"a":0,"b":0})", "", ""), HasSubstr("twice"));
  EXPECT_THAT(error(R"({"a":0})", "a b\n", ""), HasSubstr("merge 0"));
  EXPECT_THAT(error(R"({"a":0})", "", R"({"tokenizer_class":"XTokenizer"})"),
              HasSubstr("XTokenizer"));
  EXPECT_THAT(error(R"({"a":0})", "", R"({"added_tokens_decoder":{"x":{}}})"),
              HasSubstr("added_tokens_decoder"));
}

std::string Fixture(const std::string& name) {
  return cairn::testing::ReadFileOrDie(CAIRN_SOURCE_DIR "/tests/chunking/text/fixtures/" + name);
}

TEST(LoadSentencePiece, RefusesWhatIsNoModel) {
  const auto error = [](std::string_view bytes) {
    const auto tokenizer = LoadSentencePiece(bytes);
    EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(tokenizer.status().message());
  };
  EXPECT_THAT(error(""), HasSubstr("tokenizer.model"));
  EXPECT_THAT(error("\x0A\x7F"), HasSubstr("cut short"));
  EXPECT_THAT(error("\x0A\x00"), ::testing::Not(HasSubstr("piece 1")));
  EXPECT_THAT(error(std::string("\x0A\x05\x0A\x01"
                                "a\x18\x09",
                                7)),
              HasSubstr("unknown type 9"));
  EXPECT_THAT(error(std::string("\x0A\x03\x0A\x01\xFF", 5)), HasSubstr("UTF-8"));
  // Model type 4, characters.
  EXPECT_THAT(error("\x0A\x03\x0A\x01"
                    "a\x12\x02\x18\x04"),
              HasSubstr("model type 4"));
  EXPECT_THAT(error("\x0A\x03\x0A\x01"
                    "a\x12\x03\xC0\x01\x01"),
              HasSubstr("suffix"));
}

TEST(LoadSentencePiece, SurvivesDamagedFiles) {
  for (const char* name : {"sentencepiece_bpe.model", "sentencepiece_unigram.model"}) {
    const std::string good = Fixture(name);
    std::mt19937 random(1);
    for (int i = 0; i < 500; ++i) {
      std::string damaged = good;
      for (unsigned k = 1 + random() % 4; k > 0; --k) {
        damaged[random() % damaged.size()] = static_cast<char>(random());
      }
      if (random() % 4 == 0) damaged.resize(random() % damaged.size());
      const auto tokenizer = LoadSentencePiece(damaged);
      if (tokenizer.ok()) IdsOf(**tokenizer, "the \u00E9\t <s> \u65E5 \uFB01");
    }
  }
}

// Byte-level BPE and byte fallback lose nothing: what is encoded is decoded again.
TEST(MakeTokenizer, EveryTextSurvivesEncodingAndDecoding) {
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  for (const char* name :
       {"gpt2.json", "llama3.json", "falcon.json", "smollm.json", "llama2.json"}) {
    tokenizers.push_back(MustMake(LoadTokenizerJson(Fixture(name))));
  }
  std::mt19937 random(9);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (unsigned k = random() % 30; k > 0; --k) {
      const std::vector<std::string> pieces = {"the",    " ",          "\n",
                                               "\u00E9", "\u0301",     "\u4E2D",
                                               "12",     "\U0001F600", std::string(1, '\0'),
                                               "'s",     "\u3000"};
      text += pieces[random() % pieces.size()];
    }
    for (const auto& tokenizer : tokenizers) {
      ASSERT_EQ(tokenizer->Decode(IdsOf(*tokenizer, text)), text);
    }
  }
}

TEST(MakeTokenizer, HostileTextsTakeNoLongerThanOthers) {
  for (const char* name : {"llama3.json", "llama2.json", "sentencepiece_unigram.model"}) {
    const std::string file = Fixture(name);
    const auto tokenizer =
        MustMake(name[0] == 'l' ? LoadTokenizerJson(file) : LoadSentencePiece(file));
    EXPECT_GT(IdsOf(*tokenizer, std::string(1'000'000, 't')).size(), 100'000u);
    EXPECT_GT(IdsOf(*tokenizer, std::string(1'000'000, ' ') + "x").size(), 0u);
    std::string accents = "e";
    for (int i = 0; i < 300'000; ++i) accents += "\u0301";
    EXPECT_GT(IdsOf(*tokenizer, accents).size(), 0u);
  }
}

}  // namespace
}  // namespace cairn::chunking
