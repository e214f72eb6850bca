#include "engine/model/encoder_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace cairn::engine {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json Small() {
  return {{"model_type", "bert"},          {"num_hidden_layers", 2},   {"hidden_size", 64},
          {"intermediate_size", 128},      {"num_attention_heads", 4}, {"vocab_size", 100},
          {"architectures", {"BertModel"}}};
}

std::string EncoderConfigError(const json& config) {
  const auto parsed = ParseEncoderConfig(config.dump());
  if (parsed.ok()) return "";
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(parsed.status().message());
}

TEST(EncoderConfig, WhatIsLeftOutIsTransformersDefault) {
  const auto config = ParseEncoderConfig(Small().dump());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->positions, 512u);
  EXPECT_EQ(config->max_tokens(), 512u);
  EXPECT_EQ(config->types, 2u);
  EXPECT_EQ(config->norm_epsilon, 1e-12f);
  EXPECT_EQ(config->activation, EncoderActivation::kGelu);
  EXPECT_EQ(config->labels, 0u);
  EXPECT_EQ(config->head_dim(), 16u);
}

TEST(EncoderConfig, RobertasPositionsBeginBehindThePadding) {
  json small = Small();
  small["model_type"] = "xlm-roberta";
  small["max_position_embeddings"] = 514;
  small["pad_token_id"] = 1;
  const auto config = ParseEncoderConfig(small.dump());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->first_position, 2u);
  EXPECT_EQ(config->max_tokens(), 512u);
  small["pad_token_id"] = 600;
  EXPECT_THAT(EncoderConfigError(small), HasSubstr("pad_token_id"));
}

TEST(EncoderConfig, AClassificationHeadHasAsManyOutputsAsLabels) {
  json small = Small();
  small["architectures"] = {"BertForSequenceClassification"};
  EXPECT_EQ(ParseEncoderConfig(small.dump())->labels, 2u);
  small["id2label"] = {{"0", "LABEL_0"}};
  EXPECT_EQ(ParseEncoderConfig(small.dump())->labels, 1u);
  small["architectures"] = {"BertForMaskedLM"};
  EXPECT_EQ(ParseEncoderConfig(small.dump())->labels, 0u);
}

TEST(EncoderConfig, SettingsOutOfRangeAreRefusedByName) {
  const std::pair<const char*, json> faults[] = {
      {"num_hidden_layers", 0},   {"num_hidden_layers", 100000},
      {"hidden_size", 1000000},   {"hidden_size", -4},
      {"hidden_size", "x"},       {"intermediate_size", 127},
      {"num_attention_heads", 5}, {"vocab_size", 4000000000u},
      {"vocab_size", nullptr},    {"max_position_embeddings", 2},
      {"type_vocab_size", 0},     {"layer_norm_eps", 2},
      {"hidden_act", "swish"},    {"position_embedding_type", "relative_key"},
      {"is_decoder", true},       {"architectures", "BertModel"},
  };
  for (const auto& [key, value] : faults) {
    json small = Small();
    small[key] = value;
    EXPECT_THAT(EncoderConfigError(small), HasSubstr(key)) << small;
  }
  json labels = Small();
  labels["architectures"] = {"BertForSequenceClassification"};
  labels["id2label"] = json::object();
  EXPECT_THAT(EncoderConfigError(labels), HasSubstr("labels"));
}

TEST(EncoderConfig, OtherModelsAreNoEncoders) {
  json small = Small();
  EXPECT_TRUE(IsEncoderConfig(small.dump()));
  small["model_type"] = "llama";
  EXPECT_FALSE(IsEncoderConfig(small.dump()));
  EXPECT_THAT(EncoderConfigError(small), HasSubstr("llama"));
  EXPECT_FALSE(IsEncoderConfig("{"));
  EXPECT_FALSE(IsEncoderConfig("[]"));
  EXPECT_FALSE(IsEncoderConfig(R"({"model_type":"model2vec"})"));
}

}  // namespace
}  // namespace cairn::engine
