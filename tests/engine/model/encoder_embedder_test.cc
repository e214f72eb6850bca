#include "engine/model/encoder_embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/model/open_model.h"
#include "tests/support/encoder_directory.h"
#include "tests/support/shared_data.h"

namespace cairn::engine {
namespace {

using cairn::testing::TempDir;
using ::testing::Each;
using ::testing::HasSubstr;

double Cosine(absl::Span<const float> a, absl::Span<const float> b) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return dot / std::sqrt(aa * bb);
}

class EncoderEmbedderTest : public ::testing::Test {
 protected:
  EncoderEmbedderTest() {
    cairn::testing::WriteEncoder(cairn::testing::EncoderReferenceNamed("bert"), directory_);
  }

  void WritePooling(const std::string& flag) {
    directory_.Write("modules.json",
                     R"([{"type":"m.Transformer","path":""},{"type":"m.Pooling","path":"p"}])");
    directory_.Write("p/config.json", "{\"" + flag + "\":true}");
  }

  std::vector<float> Embed(const std::vector<std::string_view>& texts,
                           TextKind kind = TextKind::kPassage) const {
    EncoderOptions options;
    options.compute = kernels::ComputeType::kF32;
    const auto embedder = OpenEncoderEmbedder(directory_.path(), options);
    EXPECT_TRUE(embedder.ok()) << embedder.status();
    std::vector<float> out(texts.size() * (*embedder)->dim());
    const absl::Status status = (*embedder)->Embed(kind, texts, absl::MakeSpan(out));
    EXPECT_TRUE(status.ok()) << status;
    return out;
  }

  // The states of a text's tokens, pooled by `pool`, in unit length.
  std::vector<float> Expected(const std::vector<uint32_t>& ids, Pooling pooling) const {
    const auto checkpoint = EncoderCheckpoint::Open(directory_.path());
    EncoderOptions options;
    options.compute = kernels::ComputeType::kF32;
    const auto encoder = Encoder::Load(checkpoint->get(), options);
    const size_t width = (*encoder)->config().hidden_size;
    std::vector<float> states(ids.size() * width), out(width);
    const EncoderText text = {.tokens = ids};
    EXPECT_TRUE((*encoder)->Run({&text, 1}, EncoderRows::kAll, states.data()).ok());
    const size_t begin = pooling == Pooling::kLast ? ids.size() - 1 : 0;
    const size_t end = pooling == Pooling::kCls ? 1 : ids.size();
    for (size_t i = begin; i < end; ++i) {
      for (size_t d = 0; d < width; ++d) out[d] += states[i * width + d];
    }
    return out;
  }

  TempDir directory_;
};

TEST_F(EncoderEmbedderTest, PoolsAsTheDirectorySays) {
  // Ids 4, 5, 6 between [CLS] and [SEP].
  const std::vector<uint32_t> ids = {2, 4, 5, 6, 3};
  EXPECT_GT(Cosine(Embed({"aa ab ac"}), Expected(ids, Pooling::kMean)), 1 - 1e-6);
  WritePooling("pooling_mode_cls_token");
  EXPECT_GT(Cosine(Embed({"aa ab ac"}), Expected(ids, Pooling::kCls)), 1 - 1e-6);
  WritePooling("pooling_mode_lasttoken");
  EXPECT_GT(Cosine(Embed({"aa ab ac"}), Expected(ids, Pooling::kLast)), 1 - 1e-6);
}

TEST_F(EncoderEmbedderTest, VectorsHaveUnitLengthAndDoNotDependOnTheBatch) {
  for (const char* flag : {"pooling_mode_mean_tokens", "pooling_mode_cls_token"}) {
    WritePooling(flag);
    const std::vector<std::string_view> texts = {"aa", "ab ac ad", "", "ba bb", "aa"};
    const std::vector<float> all = Embed(texts);
    const size_t dim = all.size() / texts.size();
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto row = absl::MakeConstSpan(all).subspan(i * dim, dim);
      double squares = 0;
      for (float x : row) squares += double{x} * x;
      EXPECT_NEAR(squares, texts[i].empty() ? 0 : 1, 1e-5);
      const std::vector<float> alone = Embed({texts[i]});
      EXPECT_EQ(std::vector<float>(row.begin(), row.end()), alone);
    }
  }
}

TEST_F(EncoderEmbedderTest, TextsWithoutAKnownTokenGetZeros) {
  EXPECT_THAT(Embed({""}), Each(0.0f));
  EXPECT_THAT(Embed({"  \n"}), Each(0.0f));
  EXPECT_THAT(Embed({"unknown words"}), Each(0.0f));
}

TEST_F(EncoderEmbedderTest, PromptsStandBeforeTheText) {
  WritePooling("pooling_mode_mean_tokens");
  const std::vector<float> plain = Embed({"ba aa ab"}), passage = Embed({"bb aa ab"});
  directory_.Write("config_sentence_transformers.json",
                   R"({"prompts":{"query":"ba ","passage":"bb "}})");
  EXPECT_EQ(Embed({"aa ab"}, TextKind::kQuery), plain);
  EXPECT_EQ(Embed({"aa ab"}, TextKind::kPassage), passage);
  directory_.Write("config_sentence_transformers.json",
                   R"({"prompts":{"any":"bb "},"default_prompt_name":"any"})");
  EXPECT_EQ(Embed({"aa ab"}, TextKind::kQuery), passage);
}

TEST_F(EncoderEmbedderTest, TheRestOfALongTextIsCut) {
  std::string text;
  for (int i = 0; i < 98; ++i) text += "aa ";
  const std::vector<float> whole = Embed({text});
  EXPECT_EQ(Embed({text + "ab ac"}), whole);
  EXPECT_NE(Embed({text.substr(3)}), whole);
}

TEST_F(EncoderEmbedderTest, RoomOfAnotherSizeIsRefused) {
  const auto embedder = OpenEmbedder(directory_.path());
  std::vector<float> out(3);
  EXPECT_EQ((*embedder)->Embed(TextKind::kQuery, {"aa"}, absl::MakeSpan(out)).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(EncoderEmbedderTest, WeightsThatAreNoNumbersAreErrorsAndNoVectors) {
  cairn::testing::WriteDamagedEncoder(cairn::testing::EncoderReferenceNamed("bert"), directory_);
  const auto embedder = OpenEmbedder(directory_.path());
  ASSERT_TRUE(embedder.ok()) << embedder.status();
  std::vector<float> out((*embedder)->dim());
  const absl::Status status = (*embedder)->Embed(TextKind::kQuery, {"aa"}, absl::MakeSpan(out));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("finite"));
}

TEST_F(EncoderEmbedderTest, ACrossEncoderIsNoEmbedder) {
  const TempDir other;
  cairn::testing::WriteEncoder(cairn::testing::EncoderReferenceNamed("bert_classifier"), other);
  const absl::Status status = OpenEmbedder(other.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cross-encoder"));
}

// all-MiniLM-L6-v2 where CAIRN_MINILM_DIR says it lies: every token's state against the reference.
TEST_F(EncoderEmbedderTest, TokensGiveTheVectorsOfTheTextsTheyAreOf) {
  directory_.Write("modules.json",
                   R"([{"type":"m.Transformer","path":""},{"type":"m.Pooling","path":"p"}])");
  directory_.Write("p/config.json", R"({"pooling_mode_mean_tokens":true})");
  directory_.Write("sentence_bert_config.json", R"({"max_seq_length":7})");
  directory_.Write("config_sentence_transformers.json", R"({"prompts":{"passage":"ba bb "}})");
  const auto embedder = OpenEmbedder(directory_.path());
  ASSERT_TRUE(embedder.ok()) << embedder.status();
  const std::vector<std::string_view> texts = {"aa ab ac", "ab", "", "ab ab ab ab ab ab ab"};
  std::vector<std::vector<uint32_t>> ids;
  for (const std::string_view text : texts) {
    std::vector<chunking::Token> tokens;
    (*embedder)->tokenizer().Encode(text, &tokens);
    for (ids.emplace_back(); const chunking::Token& token : tokens) ids.back().push_back(token.id);
  }
  const std::vector<absl::Span<const uint32_t>> spans(ids.begin(), ids.end());
  std::vector<float> by_text(texts.size() * 64), by_token(texts.size() * 64, 9.0f);
  const auto passage = TextKind::kPassage;
  ASSERT_TRUE((*embedder)->Embed(passage, texts, absl::MakeSpan(by_text)).ok());
  ASSERT_TRUE((*embedder)->EmbedTokens(passage, spans, absl::MakeSpan(by_token)).ok());
  // Nothing but the prompt is no text where tokens are asked for.
  std::fill(by_text.begin() + 2 * 64, by_text.begin() + 3 * 64, 0.0f);
  EXPECT_EQ(by_token, by_text);

  const std::vector<uint32_t> beyond = {1'000'000};
  EXPECT_EQ(
      (*embedder)->EmbedTokens(passage, {beyond}, absl::MakeSpan(by_token).subspan(0, 64)).code(),
      absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE((*embedder)->EmbedTokens(passage, spans, absl::MakeSpan(by_token).subspan(1)).ok());
}

TEST(MiniLm, StatesAreThoseOfTheReference) {
  const char* directory = std::getenv("CAIRN_MINILM_DIR");
  std::ifstream file(cairn::testing::SharedDir() + "/models/minilm-expected/expected.json");
  if (directory == nullptr || !file) GTEST_SKIP() << "CAIRN_MINILM_DIR or the reference is absent";
  const auto expected = nlohmann::json::parse(file);
  const auto checkpoint = EncoderCheckpoint::Open(directory);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  for (kernels::ComputeType compute : {kernels::ComputeType::kF32, kernels::ComputeType::kBF16}) {
    EncoderOptions options;
    options.compute = compute;
    const auto encoder = Encoder::Load(checkpoint->get(), options);
    ASSERT_TRUE(encoder.ok()) << encoder.status();
    const std::vector<uint32_t> ids =
        (*checkpoint)
            ->tokenizer()
            .EncodePrompt(expected.at("inputs").at(0).get<std::string>(),
                          chunking::ControlText::kAsText);
    const auto& states = expected.at("token_embeddings").at(0);
    ASSERT_EQ(ids.size(), states.size());
    std::vector<float> ours(ids.size() * 384), mean(384), expected_mean(384);
    const EncoderText text = {.tokens = ids};
    ASSERT_TRUE((*encoder)->Run({&text, 1}, EncoderRows::kAll, ours.data()).ok());
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto theirs = states.at(i).get<std::vector<float>>();
      EXPECT_GT(Cosine(absl::MakeConstSpan(ours).subspan(i * 384, 384), theirs), 0.9999) << i;
      for (size_t d = 0; d < 384; ++d) {
        mean[d] += ours[i * 384 + d];
        expected_mean[d] += theirs[d];
      }
    }
    EXPECT_GT(Cosine(mean, expected_mean), 0.9999);
  }
}

}  // namespace
}  // namespace cairn::engine
