// All tokenizers against the reference vectors of real models.
#include "tests/support/tokenizer_vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "chunking/text/vocabulary_description.h"
#include "tests/support/gguf_vocabulary.h"
#include "tests/support/shared_data.h"

namespace cairn::chunking {
namespace {

using ::cairn::testing::CheckVectors;
using ::cairn::testing::Reversible;
using ::testing::Contains;

std::string SharedTokenizer(const std::string& path) {
  return cairn::testing::ReadFileOrDie(cairn::testing::SharedDir() + "/tokenizers/" + path);
}

struct Case {
  std::string name;
  Reversible reversible;
};

class VocabularyVectors : public ::testing::TestWithParam<Case> {};

TEST_P(VocabularyVectors, AreEncodedAndDecodedExactly) {
  const std::string file = "ggml-vocab-" + GetParam().name + ".gguf";
  CAIRN_NEED_SHARED("tokenizers/" + file);
  auto tokenizer = MakeTokenizer(cairn::testing::GgufVocabulary(SharedTokenizer(file)).Read());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_GT(CheckVectors(**tokenizer, SharedTokenizer(file + ".inp"),
                         SharedTokenizer(file + ".out"), GetParam().reversible),
            40);
}

INSTANTIATE_TEST_SUITE_P(
    Models, VocabularyVectors,
    ::testing::Values(Case{"gpt-2", Reversible::kYes}, Case{"mpt", Reversible::kYes},
                      Case{"falcon", Reversible::kYes}, Case{"llama-spm", Reversible::kYes},
                      Case{"phi-3", Reversible::kYes}, Case{"bert-bge", Reversible::kNo}),
    [](const auto& tested) {
      std::string name = tested.param.name;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST(LoadVocabAndMerges, GivesTheIdsOfQwen2) {
  CAIRN_NEED_SHARED("tokenizers/qwen2");
  auto tokenizer =
      LoadVocabAndMerges(SharedTokenizer("qwen2/vocab.json"), SharedTokenizer("qwen2/merges.txt"),
                         SharedTokenizer("qwen2/tokenizer_config.json"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_GT(CheckVectors(**tokenizer, SharedTokenizer("ggml-vocab-qwen2.gguf.inp"),
                         SharedTokenizer("ggml-vocab-qwen2.gguf.out"), Reversible::kYes),
            40);
  EXPECT_THAT((*tokenizer)->special_tokens().end_of_generation, Contains(151645u));
  EXPECT_THAT((*tokenizer)->EncodePrompt("<|im_start|>", ControlText::kAsTokens),
              ::testing::ElementsAre(151644u));
  EXPECT_GT((*tokenizer)->EncodePrompt("<|im_start|>", ControlText::kAsText).size(), 1u);
}

// Ids and texts of the Hugging Face tokenizers library 0.23.
TEST(LoadTokenizerJson, GivesTheReferenceTokensOfRealModels) {
  CAIRN_NEED_SHARED("tokenizers/hf");
  struct Expected {
    const char* file;
    const char* text;
    std::vector<uint32_t> ids;
    const char* decoded;
  };
  const Expected all[] = {
      {"phi-2",
       "def f(x):\n        return x\t\t+ 1  # don't <|endoftext|>",
       {4299, 277, 7, 87, 2599, 198, 50280, 7783, 2124, 50294, 10, 352, 50286, 2, 836, 470, 220,
        50256},
       "def f(x):\n        return x\t\t+ 1  # don't "},
      {"roberta-base",
       "Hello <mask>, it's\u00A0me </s>",
       {0, 31414, 50264, 6, 24, 18, 50141, 1794, 1437, 2, 2},
       "Hello, it's\u00A0me "},
      {"t5-small",
       "Translate: the \uFB01ne \u2460 cafe\u0301,  ok\u200B? <extra_id_0>",
       {30355, 15, 10, 8, 1399, 209, 11949, 6, 3, 1825, 3, 58, 32099, 1},
       "Translate: the fine 1 caf\u00E9, ok ?"},
  };
  for (const Expected& expected : all) {
    auto tokenizer =
        LoadTokenizerJson(SharedTokenizer(std::string("hf/") + expected.file + "_tokenizer.json"));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    EXPECT_EQ((*tokenizer)->EncodePrompt(expected.text, ControlText::kAsTokens), expected.ids);
    EXPECT_EQ((*tokenizer)->Decode(expected.ids), expected.decoded);
  }
}

}  // namespace
}  // namespace cairn::chunking
