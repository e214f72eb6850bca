// Small tokenizers against what the libraries that define them give: Hugging Face's tokenizers
// 0.23, and sentencepiece 0.2 for its model files. A fixture NAME.tsv has a line per text: the text
// and what its ids decode to as JSON strings, between them the ids of its prompt, with control
// tokens recognised.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "chunking/text/tokenizer.h"
#include "tests/support/shared_data.h"
#include "tests/support/tokenizer_vectors.h"

namespace cairn::chunking {
namespace {

struct Line {
  std::string text;
  std::vector<uint32_t> ids;
  std::string decoded;
};

std::string FixturePath(const std::string& file) {
  return std::string(CAIRN_SOURCE_DIR "/tests/chunking/text/fixtures/") + file;
}

std::vector<Line> ReadLines(const std::string& name) {
  std::ifstream file(FixturePath(name + ".tsv"));
  std::vector<Line> lines;
  for (std::string row; std::getline(file, row);) {
    const size_t first = row.find('\t'), last = row.rfind('\t');
    std::istringstream ids(row.substr(first, last - first));
    lines.push_back({nlohmann::json::parse(row.substr(0, first)).get<std::string>(),
                     {std::istream_iterator<uint32_t>(ids), {}},
                     nlohmann::json::parse(row.substr(last + 1)).get<std::string>()});
  }
  return lines;
}

std::unique_ptr<Tokenizer> Load(const std::string& file) {
  const std::string bytes = cairn::testing::ReadFileOrDie(FixturePath(file));
  const bool json = file.substr(file.size() - 5) == ".json";
  auto tokenizer = json ? LoadTokenizerJson(bytes) : LoadSentencePiece(bytes);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

class TokenizerFixture : public ::testing::TestWithParam<std::string> {};

TEST_P(TokenizerFixture, GivesTheIdsAndTextsOfTheReference) {
  const std::string file = GetParam();
  const auto tokenizer = Load(file);
  const std::vector<Line> lines = ReadLines(file.substr(0, file.rfind('.')));
  ASSERT_GE(lines.size(), 20u);
  // Sentencepiece's own interface knows no control tokens in text.
  const ControlText control =
      file.find(".json") == std::string::npos ? ControlText::kAsText : ControlText::kAsTokens;
  for (const Line& line : lines) {
    EXPECT_EQ(tokenizer->EncodePrompt(line.text, control), line.ids) << line.text;
    EXPECT_EQ(tokenizer->Decode(line.ids), line.decoded) << line.text;
  }
}

TEST_P(TokenizerFixture, StreamsWhatItDecodes) {
  const std::string file = GetParam();
  const auto tokenizer = Load(file);
  for (const Line& line : ReadLines(file.substr(0, file.rfind('.')))) {
    StreamDecoder stream(*tokenizer, /*continues=*/false);
    std::string streamed;
    for (const uint32_t id : line.ids) streamed += stream.Append(id);
    EXPECT_EQ(streamed + stream.Finish(), line.decoded);
  }
}

TEST_P(TokenizerFixture, KeepsSpansInOrderAndDocumentsFreeOfControlTokens) {
  const std::string file = GetParam();
  const auto tokenizer = Load(file);
  const std::string text =
      "the \xFF caf\u00E9 cafe\u0301 <|bos|><s>\xE4\xB8 \u65E5\U0001F600 <user>12";
  std::vector<Token> tokens = {{7, 90, 99}};
  tokenizer->Encode(text, &tokens);
  EXPECT_EQ(tokens.front(), (Token{7, 90, 99}));
  uint32_t end = 0;
  for (size_t i = 1; i < tokens.size(); ++i) {
    ASSERT_LE(end, tokens[i].begin);
    ASSERT_LE(tokens[i].begin, tokens[i].end);
    end = tokens[i].end;
    EXPECT_NE(tokens[i].id, tokenizer->special_tokens().bos);
  }
  EXPECT_LE(end, text.size());
  EXPECT_GT(end, text.size() - 3);
  EXPECT_EQ(tokenizer->CountTokens(text), tokens.size() - 1);
}

INSTANTIATE_TEST_SUITE_P(Models, TokenizerFixture,
                         ::testing::Values("gpt2.json", "llama3.json", "qwen2.json", "falcon.json",
                                           "smollm.json", "llama2.json", "mistral.json",
                                           "unknown.json", "sentencepiece_bpe.model",
                                           "sentencepiece_unigram.model"),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           for (char& c : name) c = c == '.' ? '_' : c;
                           return name;
                         });

TEST(Tokenizer, KnowsItsSpecialTokens) {
  const auto llama3 = Load("llama3.json");
  EXPECT_EQ(llama3->special_tokens().bos, 0u);
  EXPECT_TRUE(llama3->special_tokens().add_bos);
  EXPECT_FALSE(llama3->special_tokens().add_eos);
  EXPECT_THAT(llama3->special_tokens().end_of_generation, ::testing::ElementsAre(1u));
  EXPECT_EQ(llama3->EncodePrompt("<|im_end|>", ControlText::kAsTokens),
            (std::vector<uint32_t>{0, 1}));
  const std::vector<uint32_t> as_text = llama3->EncodePrompt("<|im_end|>", ControlText::kAsText);
  EXPECT_GT(as_text.size(), 2u);
  EXPECT_EQ(llama3->Decode(as_text), "<|im_end|>");
}

TEST(Tokenizer, ReadsTheConfigurationBesideTokenizerJson) {
  const std::string json = cairn::testing::ReadFileOrDie(FixturePath("gpt2.json"));
  auto tokenizer = LoadTokenizerJson(
      json, R"({"eos_token":{"content":"<|im_end|>"},"bos_token":"<|bos|>","add_bos_token":false,
                "add_eos_token":true})");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->special_tokens().eos, 1u);
  EXPECT_FALSE((*tokenizer)->special_tokens().add_bos);
  EXPECT_EQ((*tokenizer)->EncodePrompt("", ControlText::kAsText), (std::vector<uint32_t>{1}));
  EXPECT_THAT(std::string(LoadTokenizerJson(json, "[]").status().message()),
              ::testing::HasSubstr("tokenizer_config.json"));
  EXPECT_FALSE(LoadTokenizerJson(json, R"({"bos_token":"<nowhere>"})").ok());
}

TEST(Tokenizer, AppendsControlTokensOnlyAsText) {
  const auto tokenizer = Load("llama2.json");
  std::string bytes;
  tokenizer->AppendBytes(1, ControlText::kAsTokens, &bytes);
  EXPECT_EQ(bytes, "");
  tokenizer->AppendBytes(1, ControlText::kAsText, &bytes);
  EXPECT_EQ(bytes, "<s>");
  tokenizer->AppendBytes(3 + 0xE4, ControlText::kAsTokens, &bytes);
  EXPECT_EQ(bytes, "<s>\xE4");
  tokenizer->AppendBytes(99999, ControlText::kAsText, &bytes);
  EXPECT_EQ(bytes, "<s>\xE4");
}

TEST(StreamDecoder, HoldsBackPartsOfCharacters) {
  const auto tokenizer = Load("llama2.json");
  const auto byte = [](int b) { return static_cast<uint32_t>(3 + b); };
  StreamDecoder stream(*tokenizer, /*continues=*/true);
  EXPECT_EQ(stream.Append(byte(0xF0)), "");
  EXPECT_EQ(stream.Append(byte(0x9F)), "");
  EXPECT_EQ(stream.Append(byte(0x98)), "");
  EXPECT_EQ(stream.Append(byte(0x80)), "\U0001F600");
  EXPECT_EQ(stream.Append(byte(0xE4)), "");
  EXPECT_EQ(stream.Append(byte('a')),
            "\uFFFD"
            "a");
  EXPECT_EQ(stream.Append(byte(0xE4)), "");
  EXPECT_EQ(stream.Append(byte(0xB8)), "");
  EXPECT_EQ(stream.Finish(), "\uFFFD");
  EXPECT_EQ(stream.Finish(), "");
}

TEST(StreamDecoder, DropsTheFirstSpaceOnlyWhereTextBegins) {
  const auto tokenizer = Load("llama2.json");
  const std::vector<uint32_t> ids = tokenizer->EncodePrompt("the", ControlText::kAsText);
  std::string begun, continued;
  StreamDecoder begin(*tokenizer, /*continues=*/false), go_on(*tokenizer, /*continues=*/true);
  for (const uint32_t id : ids) {
    begun += begin.Append(id);
    continued += go_on.Append(id);
  }
  EXPECT_EQ(begun, "the");
  EXPECT_EQ(continued, " the");
}

}  // namespace
}  // namespace cairn::chunking
