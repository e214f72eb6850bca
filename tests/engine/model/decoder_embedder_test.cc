#include "engine/model/decoder_embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/model/kv_cache.h"
#include "engine/model/open_model.h"
#include "tests/support/reference_checkpoint.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using cairn::testing::TempDir;
using ::testing::Each;

double Dot(const std::vector<float>& a, const std::vector<float>& b) {
  double dot = 0;
  for (size_t i = 0; i < a.size(); ++i) dot += double{a[i]} * b[i];
  return dot;
}

class DecoderEmbedderTest : public ::testing::Test {
 protected:
  DecoderEmbedderTest() {
    for (const cairn::testing::ReferenceCase& reference : cairn::testing::ReadReferenceCases()) {
      if (reference.name == "qwen3") {
        path_ = cairn::testing::WriteReferenceCheckpoint(reference, directory_);
      }
    }
  }

  std::unique_ptr<Embedder> Open() const {
    auto embedder = OpenEmbedder(path_);
    EXPECT_TRUE(embedder.ok()) << embedder.status();
    return *std::move(embedder);
  }

  static std::vector<float> Embed(const Embedder& embedder, std::string_view text) {
    std::vector<float> out(embedder.dim());
    const absl::Status status = embedder.Embed(TextKind::kPassage, {text}, absl::MakeSpan(out));
    EXPECT_TRUE(status.ok()) << status;
    return out;
  }

  // The states of all tokens of a text in the last layer, in the norm's units; one pass.
  std::vector<float> States(const std::vector<uint32_t>& ids) const {
    const auto checkpoint = Checkpoint::Open(path_);
    const auto decoder = Decoder::Create(**checkpoint, {});
    const auto pool = KvPool::Create((*decoder)->kv_layout(), 1 << 20);
    KvSequence sequence(pool->get());
    EXPECT_TRUE(sequence.Reserve(ids.size()).ok());
    std::vector<uint32_t> slots(ids.size());
    for (size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<uint32_t>(i);
    const size_t width = (*decoder)->config().hidden_size;
    std::vector<float> hidden(ids.size() * width);
    (*decoder)->Embed(ids, hidden.data());
    const PassSequence part = {.sequence = &sequence, .slots = slots};
    (*decoder)->RunLayers((*decoder)->Plan({&part, 1}), 0, (*decoder)->config().layers,
                          hidden.data());
    std::vector<float> weight(width);
    const auto norm = (*checkpoint)->Find("output_norm.weight");
    kernels::Dequantize(norm->format, norm->bytes.data(), width, weight.data());
    for (size_t r = 0; r < ids.size(); ++r) {
      double squares = 0;
      for (size_t d = 0; d < width; ++d) squares += std::pow(hidden[r * width + d], 2);
      const double scale =
          1 / std::sqrt(squares / static_cast<double>(width) + (*decoder)->config().norm_epsilon);
      for (size_t d = 0; d < width; ++d) {
        hidden[r * width + d] = static_cast<float>(hidden[r * width + d] * scale * weight[d]);
      }
    }
    return hidden;
  }

  static std::vector<float> Unit(std::vector<float> v) {
    const double norm = std::sqrt(Dot(v, v));
    for (float& x : v) x = static_cast<float>(x / norm);
    return v;
  }

  TempDir directory_;
  std::string path_;
};

TEST_F(DecoderEmbedderTest, AVectorIsTheLastTokensNormedState) {
  const auto embedder = Open();
  const std::vector<uint32_t> ids =
      embedder->tokenizer().EncodePrompt("abcdefg", chunking::ControlText::kAsText);
  const std::vector<float> states = States(ids);
  const std::vector<float> last(states.end() - static_cast<ptrdiff_t>(embedder->dim()),
                                states.end());
  EXPECT_GT(Dot(Embed(*embedder, "abcdefg"), Unit(last)), 1 - 1e-5);
}

TEST_F(DecoderEmbedderTest, PoolsAsTheDirectorySays) {
  const std::string base = path_.substr(directory_.path().size());
  directory_.Write(base + "/modules.json",
                   R"([{"type":"m.Transformer","path":""},{"type":"m.Pooling","path":"p"}])");
  directory_.Write(base + "/p/config.json", R"({"pooling_mode_mean_tokens":true})");
  const auto embedder = Open();
  const std::vector<uint32_t> ids =
      embedder->tokenizer().EncodePrompt("abcdefg", chunking::ControlText::kAsText);
  const std::vector<float> states = States(ids);
  std::vector<float> sum(embedder->dim());
  for (size_t i = 0; i < states.size(); ++i) sum[i % sum.size()] += states[i];
  EXPECT_GT(Dot(Embed(*embedder, "abcdefg"), Unit(sum)), 1 - 1e-5);
}

TEST_F(DecoderEmbedderTest, TextsOfAllLengthsGoThroughTogetherAsAlone) {
  const auto embedder = Open();
  std::vector<std::string> texts;
  for (size_t length : {1, 3, 90, 0, 127, 128, 400, 64, 65, 2}) {
    std::string text;
    while (text.size() < length) text += static_cast<char>('a' + text.size() * length % 23);
    texts.push_back(text);
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<float> all(views.size() * embedder->dim());
  ASSERT_TRUE(embedder->Embed(TextKind::kPassage, views, absl::MakeSpan(all)).ok());
  for (size_t i = 0; i < views.size(); ++i) {
    const auto begin = all.begin() + static_cast<ptrdiff_t>(i * embedder->dim());
    const std::vector<float> together(begin, begin + static_cast<ptrdiff_t>(embedder->dim()));
    const std::vector<float> alone = Embed(*embedder, views[i]);
    if (views[i].empty()) {
      EXPECT_THAT(together, Each(0.0f));
    } else {
      EXPECT_GT(Dot(together, alone), 1 - 1e-5) << views[i].size();
      EXPECT_NEAR(Dot(together, together), 1, 1e-5);
    }
  }
}

TEST_F(DecoderEmbedderTest, TextsBeyondTheLimitAreCut) {
  const auto embedder = Open();
  ASSERT_EQ(embedder->max_tokens(), 128u);  // The model's context.
  const std::string text(128, 'x');
  EXPECT_EQ(Embed(*embedder, text + "yz"), Embed(*embedder, text));
}

TEST(DecoderEmbedder, AGgufFileIsAnEmbedderToo) {
  CAIRN_NEED_SHARED("models/stories260k/stories260K.gguf");
  const auto embedder =
      OpenEmbedder(cairn::testing::SharedDir() + "/models/stories260k/stories260K.gguf");
  ASSERT_TRUE(embedder.ok()) << embedder.status();
  // Longer than one pass, and than the context, which cuts it.
  std::string text;
  while (text.size() < 9000) text += "Once upon a time there was a dog. ";
  std::vector<float> out((*embedder)->dim());
  ASSERT_TRUE((*embedder)->Embed(TextKind::kQuery, {text}, absl::MakeSpan(out)).ok());
  EXPECT_NEAR(Dot(out, out), 1, 1e-5);
}

}  // namespace
}  // namespace cairn::engine
