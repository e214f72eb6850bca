#include "engine/model/encoder_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/encoder_directory.h"

namespace cairn::engine {
namespace {

using cairn::testing::EncoderReference;
using cairn::testing::TempDir;
using ::testing::HasSubstr;

class EncoderCheckpointTest : public ::testing::Test {
 protected:
  EncoderCheckpointTest() { cairn::testing::WriteEncoder(reference_, directory_); }

  absl::Status Fault() const { return EncoderCheckpoint::Open(directory_.path()).status(); }
  std::string InvalidArgument() const {
    const absl::Status status = Fault();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }

  EncoderReference reference_ = cairn::testing::EncoderReferenceNamed("bert");
  TempDir directory_;
};

TEST_F(EncoderCheckpointTest, OpensWhatIsWellFormed) {
  const auto checkpoint = EncoderCheckpoint::Open(directory_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ((*checkpoint)->max_tokens(), 100u);
  EXPECT_EQ((*checkpoint)->sentences().pooling, Pooling::kMean);
  EXPECT_EQ((*checkpoint)->tensor("embeddings.LayerNorm.bias").shape.size(), 1u);
}

TEST_F(EncoderCheckpointTest, NamesMayHaveTheFamilysPrefixAndOthersAreIgnored) {
  const std::string fingerprint = (*EncoderCheckpoint::Open(directory_.path()))->fingerprint();
  reference_.tensors.push_back({"cls.predictions.bias", {97}});
  directory_.Write("model.safetensors", cairn::testing::EncoderWeights(reference_, "bert."));
  const auto checkpoint = EncoderCheckpoint::Open(directory_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ((*checkpoint)->fingerprint(), fingerprint);
}

TEST_F(EncoderCheckpointTest, FingerprintTellsWeightsTokenizersAndSettingsApart) {
  const auto fingerprint = [&] {
    return (*EncoderCheckpoint::Open(directory_.path()))->fingerprint();
  };
  const std::string first = fingerprint();
  EXPECT_EQ(fingerprint(), first);
  directory_.Write("modules.json",
                   R"([{"type":"m.Transformer","path":""},{"type":"m.Pooling","path":"p"}])");
  directory_.Write("p/config.json", R"({"pooling_mode_cls_token":true})");
  const std::string pooled = fingerprint();
  EXPECT_NE(pooled, first);
  std::vector<std::string> words = cairn::testing::EncoderVocabulary(97);
  words.back() = "zz";
  directory_.Write("tokenizer.json", cairn::testing::EncoderTokenizerJson(words));
  EXPECT_NE(fingerprint(), pooled);
}

TEST_F(EncoderCheckpointTest, AMissingFileIsNamed) {
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    const TempDir copy;
    std::filesystem::copy(directory_.path(), copy.path(), std::filesystem::copy_options::recursive);
    std::filesystem::remove(copy.file(name));
    const absl::Status status = EncoderCheckpoint::Open(copy.path()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
  EXPECT_EQ(EncoderCheckpoint::Open("/nonexistent").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(EncoderCheckpointTest, VocabTxtServesForTokenizerJson) {
  std::filesystem::remove(directory_.file("tokenizer.json"));
  std::string lines;
  for (const std::string& word : cairn::testing::EncoderVocabulary(97)) lines += word + "\n";
  directory_.Write("vocab.txt", lines);
  EXPECT_TRUE(Fault().ok()) << Fault();
}

TEST_F(EncoderCheckpointTest, TensorsThatLackOrHaveOtherShapesAreNamed) {
  EncoderReference other = reference_;
  other.tensors[3].second = {other.tensors[3].second[0] + 2};
  directory_.Write("model.safetensors", cairn::testing::EncoderWeights(other, ""));
  EXPECT_THAT(InvalidArgument(), HasSubstr(other.tensors[3].first));
  other = reference_;
  other.tensors.erase(other.tensors.begin());
  directory_.Write("model.safetensors", cairn::testing::EncoderWeights(other, ""));
  EXPECT_THAT(InvalidArgument(), HasSubstr("lack \"embeddings.word_embeddings.weight\""));
}

TEST_F(EncoderCheckpointTest, AFileThatIsCutShortIsRefused) {
  const std::string weights = cairn::testing::EncoderWeights(reference_, "");
  directory_.Write("model.safetensors", weights.substr(0, weights.size() - 5));
  EXPECT_THAT(InvalidArgument(), HasSubstr("model.safetensors"));
}

TEST_F(EncoderCheckpointTest, ATokenizerOfAnotherModelIsRefused) {
  directory_.Write("tokenizer.json",
                   cairn::testing::EncoderTokenizerJson(cairn::testing::EncoderVocabulary(98)));
  EXPECT_THAT(InvalidArgument(), HasSubstr("98 ids"));
  directory_.Write("tokenizer.json",
                   cairn::engine::testing::TokenizerJson(cairn::testing::EncoderVocabulary(97)));
  EXPECT_THAT(InvalidArgument(), HasSubstr("[CLS]"));
}

TEST_F(EncoderCheckpointTest, TheSmallerLimitOfTokensCounts) {
  directory_.Write("modules.json",
                   R"([{"type":"m.Transformer","path":""},{"type":"m.Pooling","path":"p"}])");
  directory_.Write("p/config.json", R"({"pooling_mode_mean_tokens":true})");
  directory_.Write("sentence_bert_config.json", R"({"max_seq_length":64})");
  EXPECT_EQ((*EncoderCheckpoint::Open(directory_.path()))->max_tokens(), 64u);
  directory_.Write("sentence_bert_config.json", R"({"max_seq_length":5000})");
  EXPECT_EQ((*EncoderCheckpoint::Open(directory_.path()))->max_tokens(), 100u);
  directory_.Write("sentence_bert_config.json", R"({"max_seq_length":2})");
  EXPECT_THAT(InvalidArgument(), HasSubstr("max_seq_length"));
}

}  // namespace
}  // namespace cairn::engine
