// Tokenizers of GGUF files against the reference vectors of real models.
#include "tests/support/tokenizer_vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "engine/model/checkpoint.h"
#include "engine/model/gguf.h"
#include "engine/model/gguf_tokenizer.h"
#include "engine/model/mapped_file.h"
#include "tests/support/shared_data.h"

namespace cairn::engine {
namespace {

using cairn::testing::CheckVectors;
using cairn::testing::ReadFileOrDie;
using cairn::testing::Reversible;

struct Case {
  std::string name;
  Reversible reversible;
};

class GgufTokenizerVectors : public ::testing::TestWithParam<Case> {};

TEST_P(GgufTokenizerVectors, AreEncodedAndDecodedExactly) {
  const std::string relative = "tokenizers/ggml-vocab-" + GetParam().name + ".gguf";
  CAIRN_NEED_SHARED(relative);
  const std::string path = cairn::testing::SharedDir() + "/" + relative;
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto gguf = Gguf::Parse(file->bytes());
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  auto vocabulary = DescribeGgufVocabulary(*gguf);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status();
  const auto tokenizer = chunking::MakeTokenizer(*std::move(vocabulary));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_GT(CheckVectors(**tokenizer, ReadFileOrDie(path + ".inp"), ReadFileOrDie(path + ".out"),
                         GetParam().reversible),
            40);
}

INSTANTIATE_TEST_SUITE_P(
    Models, GgufTokenizerVectors,
    ::testing::Values(Case{"gpt-2", Reversible::kYes}, Case{"mpt", Reversible::kYes},
                      Case{"falcon", Reversible::kYes}, Case{"llama-spm", Reversible::kYes},
                      Case{"phi-3", Reversible::kYes}, Case{"bert-bge", Reversible::kNo}),
    [](const auto& tested) {
      std::string name = tested.param.name;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST(GgufTokenizer, OfPublishedModelsBelongsToTheirWeights) {
  CAIRN_NEED_SHARED("models/stories260k");
  const auto model =
      Checkpoint::Open(cairn::testing::SharedDir() + "/models/stories260k/stories260K.gguf");
  ASSERT_TRUE(model.ok()) << model.status();
  const auto tokenizer = (*model)->LoadTokenizer();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocabulary_size(), 512u);
  EXPECT_EQ((*tokenizer)->special_tokens().bos, 1u);
  EXPECT_EQ((*tokenizer)->special_tokens().eos, 2u);
  EXPECT_TRUE((*tokenizer)->special_tokens().add_bos);
  const std::string text = "Once upon a time, there was a little girl.";
  EXPECT_EQ((*tokenizer)->Decode((*tokenizer)->EncodePrompt(text, chunking::ControlText::kAsText)),
            text);
}

}  // namespace
}  // namespace cairn::engine
