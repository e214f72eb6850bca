#include "engine/model/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/model/checkpoint.h"
#include "tests/engine/model/tiny_models.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using chunking::TokenType;
using chunking::VocabularyDescription;
using chunking::VocabularyKind;
using ::testing::ElementsAre;
using testing::GgufBuilder;
using ::testing::HasSubstr;
using testing::Raw;

absl::StatusOr<VocabularyDescription> Described(const GgufBuilder& builder) {
  const std::string file = builder.Build();
  const auto gguf = Gguf::Parse(file);
  EXPECT_TRUE(gguf.ok()) << gguf.status();
  return DescribeGgufVocabulary(*gguf);
}

std::string VocabularyError(const GgufBuilder& builder) {
  const auto described = Described(builder);
  return described.ok() ? "" : std::string(described.status().message());
}

GgufBuilder Three() {
  return GgufBuilder()
      .String("tokenizer.ggml.model", "llama")
      .Strings("tokenizer.ggml.tokens", {"<unk>", "<s>", "a"});
}

TEST(GgufTokenizer, ReadsEverythingThatMetadataSays) {
  const auto v =
      Described(Three()
                    .String("tokenizer.ggml.pre", "default")
                    .Array("tokenizer.ggml.scores", 6, 3, Raw(0.0f) + Raw(-1.0f) + Raw(-2.5f))
                    .Array("tokenizer.ggml.token_type", 5, 3, Raw(2) + Raw(3) + Raw(1))
                    .Strings("tokenizer.ggml.merges", {"a b"})
                    .U32("tokenizer.ggml.bos_token_id", 1)
                    .U32("tokenizer.ggml.eos_token_id", 2)
                    .U32("tokenizer.ggml.eot_token_id", 0)
                    .U32("tokenizer.ggml.eom_token_id", 1)
                    .U32("tokenizer.ggml.unknown_token_id", 0)
                    .U32("tokenizer.ggml.seperator_token_id", 2)
                    .U32("tokenizer.ggml.cls_token_id", 1)
                    .U32("tokenizer.ggml.padding_token_id", 0xffffffff)
                    .Bool("tokenizer.ggml.add_bos_token", false)
                    .Bool("tokenizer.ggml.add_eos_token", true)
                    .Bool("tokenizer.ggml.add_space_prefix", false)
                    .Bool("tokenizer.ggml.remove_extra_whitespaces", true)
                    .Array("tokenizer.ggml.precompiled_charsmap", 0, 3, "xyz"));
  ASSERT_TRUE(v.ok()) << v.status();
  EXPECT_EQ(v->kind, VocabularyKind::kSentencePieceBpe);
  EXPECT_EQ(v->pre, "default");
  EXPECT_THAT(v->tokens, ElementsAre("<unk>", "<s>", "a"));
  EXPECT_THAT(v->scores, ElementsAre(0, -1, -2.5f));
  EXPECT_THAT(v->types, ElementsAre(TokenType::kUnknown, TokenType::kControl, TokenType::kNormal));
  EXPECT_THAT(v->merges, ElementsAre("a b"));
  EXPECT_EQ(v->bos_token_id, 1u);
  EXPECT_EQ(v->eos_token_id, 2u);
  EXPECT_EQ(v->eot_token_id, 0u);
  EXPECT_EQ(v->eom_token_id, 1u);
  EXPECT_EQ(v->unknown_token_id, 0u);
  EXPECT_EQ(v->separator_token_id, 2u);
  EXPECT_EQ(v->cls_token_id, 1u);
  EXPECT_EQ(v->padding_token_id, std::nullopt);  // What some writers mean by it.
  EXPECT_EQ(v->add_bos_token, false);
  EXPECT_EQ(v->add_eos_token, true);
  EXPECT_EQ(v->add_space_prefix, false);
  EXPECT_TRUE(v->remove_extra_whitespaces);
  EXPECT_EQ(v->precompiled_charsmap, "xyz");
}

TEST(GgufTokenizer, WhatIsAbsentStaysAbsent) {
  const auto v = Described(Three());
  ASSERT_TRUE(v.ok()) << v.status();
  EXPECT_EQ(v->pre, "");
  EXPECT_TRUE(v->scores.empty());
  EXPECT_TRUE(v->types.empty());
  EXPECT_EQ(v->bos_token_id, std::nullopt);
  EXPECT_EQ(v->add_bos_token, std::nullopt);
  EXPECT_EQ(v->add_space_prefix, std::nullopt);
  EXPECT_FALSE(v->remove_extra_whitespaces);
}

TEST(GgufTokenizer, RefusesOtherTypesIdsAndKinds) {
  EXPECT_EQ(Described(GgufBuilder()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(VocabularyError(GgufBuilder().String("tokenizer.ggml.model", "rwkv")), "");
  EXPECT_THAT(VocabularyError(GgufBuilder().U32("tokenizer.ggml.model", 1)),
              HasSubstr("not a string"));
  EXPECT_THAT(VocabularyError(Three().U32("tokenizer.ggml.pre", 1)), HasSubstr("not a string"));
  EXPECT_THAT(VocabularyError(Three().U32("tokenizer.ggml.merges", 1)),
              HasSubstr("array of strings"));
  EXPECT_THAT(VocabularyError(Three().Array("tokenizer.ggml.scores", 12, 1, Raw(1.0))),
              HasSubstr("array of float32"));
  EXPECT_THAT(VocabularyError(Three().Array("tokenizer.ggml.token_type", 5, 1, Raw(0))),
              HasSubstr("there is no type 0"));
  EXPECT_THAT(VocabularyError(Three().Array("tokenizer.ggml.token_type", 5, 1, Raw(7))),
              HasSubstr("there is no type 7"));
  EXPECT_THAT(VocabularyError(Three().Array("tokenizer.ggml.token_type", 0, 1, "\1")),
              HasSubstr("array of int32"));
  EXPECT_THAT(VocabularyError(Three().U32("tokenizer.ggml.bos_token_id", 3)),
              HasSubstr("3 is beyond the 3 tokens"));
  EXPECT_NE(VocabularyError(Three().String("tokenizer.ggml.eos_token_id", "1")), "");
  EXPECT_THAT(VocabularyError(Three().U32("tokenizer.ggml.add_bos_token", 1)),
              HasSubstr("not a boolean"));
  EXPECT_THAT(VocabularyError(Three().String("tokenizer.ggml.precompiled_charsmap", "x")),
              HasSubstr("array of bytes"));
}

TEST(GgufTokenizer, MayNotHaveMoreTokensThanTheModel) {
  const cairn::testing::TempDir directory;
  ModelConfig config = testing::TinyConfig(Architecture::kLlama);
  const auto tokens_of = [&](uint32_t model) {
    config.vocabulary_size = model;
    std::vector<std::string> tokens;
    for (int i = 0; i < 300; ++i) tokens.push_back("t" + std::to_string(i));
    GgufBuilder builder = testing::TinyMetadata(config);
    builder.String("tokenizer.ggml.model", "gpt2").Strings("tokenizer.ggml.tokens", tokens);
    builder.Strings("tokenizer.ggml.merges", {});
    testing::AddTinyTensors(config, "", &builder);
    const auto opened = Checkpoint::Open(directory.Write("m.gguf", builder.Build()));
    EXPECT_TRUE(opened.ok()) << opened.status();
    return (*opened)->LoadTokenizer().status();
  };
  EXPECT_TRUE(tokens_of(300).ok()) << tokens_of(300);
  EXPECT_TRUE(tokens_of(320).ok());
  EXPECT_THAT(tokens_of(299).message(),
              HasSubstr("the tokenizer has 300 tokens, the model knows 299"));
}

}  // namespace
}  // namespace cairn::engine
