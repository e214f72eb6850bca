#include "engine/model/sentence_transformers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using cairn::testing::TempDir;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr char kThree[] =
    R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},)"
    R"({"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},)"
    R"({"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}])";
constexpr char kTwo[] =
    R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},)"
    R"({"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}])";

std::string SentenceTransformerError(const TempDir& directory) {
  const auto read = ReadSentenceTransformer(directory.path());
  if (read.ok()) return "";
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(read.status().message());
}

TEST(SentenceTransformer, ReadsAllItsFiles) {
  const TempDir directory;
  directory.Write("modules.json", kThree);
  directory.Write("1_Pooling/config.json",
                  R"({"word_embedding_dimension":384,"pooling_mode_cls_token":true,)"
                  R"("pooling_mode_mean_tokens":false,"pooling_mode_max_tokens":false})");
  directory.Write("sentence_bert_config.json", R"({"max_seq_length":512,"do_lower_case":false})");
  directory.Write("config_sentence_transformers.json",
                  R"({"prompts":{"query":"Find: ","document":""},"default_prompt_name":"query",)"
                  R"("similarity_fn_name":"cosine"})");
  const auto read = ReadSentenceTransformer(directory.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->pooling, Pooling::kCls);
  EXPECT_TRUE(read->normalize);
  EXPECT_EQ(read->max_tokens, 512u);
  EXPECT_THAT(read->prompts, UnorderedElementsAre(Pair("query", "Find: "), Pair("document", "")));
  EXPECT_EQ(read->default_prompt, "query");
}

TEST(SentenceTransformer, LimitPromptsAndNormalisationMayLack) {
  const TempDir directory;
  directory.Write("modules.json", kTwo);
  directory.Write("1_Pooling/config.json", R"({"pooling_mode_mean_tokens":true})");
  const auto read = ReadSentenceTransformer(directory.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->pooling, Pooling::kMean);
  EXPECT_FALSE(read->normalize);
  EXPECT_EQ(read->max_tokens, std::nullopt);
  EXPECT_TRUE(read->prompts.empty());
  EXPECT_EQ(read->default_prompt, "");
}

TEST(SentenceTransformer, KnowsPoolingByFlagAndByName) {
  const TempDir directory;
  directory.Write("modules.json", kTwo);
  const std::pair<const char*, Pooling> good[] = {
      {R"({"pooling_mode_mean_tokens":true})", Pooling::kMean},
      {R"({"pooling_mode_cls_token":true})", Pooling::kCls},
      {R"({"pooling_mode_lasttoken":true})", Pooling::kLast},
      {R"({"pooling_mode":"mean"})", Pooling::kMean},
      {R"({"pooling_mode":"cls"})", Pooling::kCls},
      {R"({"pooling_mode":"lasttoken"})", Pooling::kLast}};
  for (const auto& [json, mode] : good) {
    directory.Write("1_Pooling/config.json", json);
    const auto read = ReadSentenceTransformer(directory.path());
    ASSERT_TRUE(read.ok()) << read.status() << json;
    EXPECT_EQ(read->pooling, mode) << json;
  }
  for (const char* bad : {"{}", R"({"pooling_mode_max_tokens":true})", R"({"pooling_mode":"max"})",
                          R"({"pooling_mode_mean_tokens":true,"pooling_mode_max_tokens":true})",
                          R"({"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":true})",
                          R"({"pooling_mode_mean_tokens":1})", R"({"pooling_mode":1})", "[]", ""}) {
    directory.Write("1_Pooling/config.json", bad);
    EXPECT_THAT(SentenceTransformerError(directory), HasSubstr("1_Pooling/config.json: ")) << bad;
  }
  std::filesystem::remove(directory.file("1_Pooling/config.json"));
  EXPECT_THAT(SentenceTransformerError(directory), HasSubstr("missing"));
}

TEST(SentenceTransformer, RefusesOtherModulesAndPathsThatLeadOut) {
  const TempDir directory;
  EXPECT_EQ(ReadSentenceTransformer(directory.path()).status().code(), absl::StatusCode::kNotFound);
  for (
      const char* bad :
      {"[]", "{}", "", "1", R"([{"type":"a.Transformer","path":""}])",
       R"([{"type":"a.Pooling","path":"1_Pooling"},{"type":"a.Transformer","path":""}])",
       R"([{"type":"a.Transformer","path":""},{"type":"a.Pooling","path":"p"},{"type":"a.Dense"}])",
       R"([{"type":1},{"type":"a.Pooling"}])", R"([1,2])", R"([],"x":[])",
       R"([{"type":"a.Transformer","path":""},{"type":"a.Pooling","path":"../p"}])",
       R"([{"type":"a.Transformer","path":""},{"type":"a.Pooling","path":".."}])",
       R"([{"type":"a.Transformer","path":""},{"type":"a.Pooling","path":"/etc"}])"}) {
    directory.Write("modules.json", bad);
    EXPECT_THAT(SentenceTransformerError(directory), HasSubstr("modules.json: ")) << bad;
  }
}

TEST(SentenceTransformer, RefusesMalformedLimitsAndPrompts) {
  const TempDir directory;
  directory.Write("modules.json", kTwo);
  directory.Write("1_Pooling/config.json", R"({"pooling_mode":"mean"})");
  for (const char* bad : {"[]", "{", R"({"max_seq_length":-1})", R"({"max_seq_length":0})",
                          R"({"max_seq_length":"512"})"}) {
    directory.Write("sentence_bert_config.json", bad);
    EXPECT_THAT(SentenceTransformerError(directory), HasSubstr("sentence_bert_config.json: "))
        << bad;
  }
  std::filesystem::remove(directory.file("sentence_bert_config.json"));
  for (const char* bad : {"[]", R"({"prompts":[]})", R"({"prompts":{"query":1}})",
                          R"({"default_prompt_name":"query"})", R"({"default_prompt_name":1})"}) {
    directory.Write("config_sentence_transformers.json", bad);
    EXPECT_THAT(SentenceTransformerError(directory),
                HasSubstr("config_sentence_transformers.json: "))
        << bad;
  }
}

}  // namespace
}  // namespace cairn::engine
