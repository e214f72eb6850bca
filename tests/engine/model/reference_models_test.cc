// Models made elsewhere, and the default model, against the vectors their makers computed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/model/default_model.h"
#include "engine/model/static_embedder.h"
#include "tests/engine/model/embed_one.h"
#include "tests/support/shared_data.h"

namespace cairn::engine {
namespace {

using cairn::testing::ReadFileOrDie;
using cairn::testing::SharedDir;
using testing::EmbedOne;
using ::testing::FloatNear;
using ::testing::Pointwise;

std::vector<float> ReadVector(const std::string& path) {
  return nlohmann::json::parse(ReadFileOrDie(path))[0].get<std::vector<float>>();
}

std::string Repeat(const std::string& word, int times) {
  std::string text = word;
  for (int i = 1; i < times; ++i) text += " " + word;
  return text;
}

TEST(StaticEmbedderReference, PublishedModelsGiveTheirPublishedVectors) {
  CAIRN_NEED_SHARED("models/static-embeddings");
  const std::string root = SharedDir() + "/models/static-embeddings/";
  // The types' own precision: float16 keeps 11 bits, int8 about 7.
  const std::pair<const char*, float> models[] = {
      {"float32", 1e-5f}, {"float16", 1e-3f}, {"int8", 3e-2f}};
  for (const auto& [name, tolerance] : models) {
    const auto model = StaticEmbedder::Load(root + name);
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_THAT(EmbedOne(**model, "hello world"),
                Pointwise(FloatNear(tolerance), ReadVector(root + "embeddings_short.json")))
        << name;
    EXPECT_THAT(EmbedOne(**model, Repeat("hello", 1000)),
                Pointwise(FloatNear(tolerance), ReadVector(root + "embeddings_long.json")))
        << name;
  }
}

TEST(StaticEmbedderReference, VocabularyQuantisedModelGivesItsPublishedVector) {
  CAIRN_NEED_SHARED("models/static-embeddings");
  const std::string root = SharedDir() + "/models/static-embeddings/";
  const auto model = StaticEmbedder::Load(root + "vocab-quantized");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(EmbedOne(**model, Repeat("hello", 1000)),
              Pointwise(FloatNear(1e-5f), ReadVector(root + "embeddings_vocab_quantized.json")));
}

TEST(DefaultModel, IsSmallAndGivesUnitVectors) {
  const StaticModelFiles files = DefaultModelFiles();
  EXPECT_LE(files.config_json.size() + files.safetensors.size() + files.tokenizer_json.size(),
            9'000'000u);
  const auto model = StaticEmbedder::Default();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->dim(), 256u);
  EXPECT_TRUE((*model)->fusion().given);
  const std::vector<float> a = EmbedOne(**model, "The cat sat on the mat.");
  double squares = 0;
  for (float x : a) squares += double{x} * x;
  EXPECT_NEAR(squares, 1, 1e-5);
  EXPECT_EQ(a, EmbedOne(**model, "The cat sat on the mat."));
  const auto again = StaticEmbedder::Default();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)->fingerprint(), (*model)->fingerprint());
}

TEST(DefaultModel, PutsRelatedTextsCloserThanUnrelatedOnes) {
  const auto model = StaticEmbedder::Default();
  ASSERT_TRUE(model.ok()) << model.status();
  const auto cosine = [&](std::string_view a, std::string_view b) {
    const std::vector<float> x = EmbedOne(**model, a), y = EmbedOne(**model, b);
    double sum = 0;
    for (size_t d = 0; d < x.size(); ++d) sum += x[d] * y[d];
    return sum;
  };
  const char* query = "a doctor treats sick patients";
  EXPECT_GT(cosine(query, "physicians care for ill people in hospitals"),
            cosine(query, "the train to the coast leaves at noon"));
}

TEST(DefaultModel, GivesTheVectorsItsMakerComputed) {
  const auto model = StaticEmbedder::Default();
  ASSERT_TRUE(model.ok()) << model.status();
  const auto reference = nlohmann::json::parse(
      ReadFileOrDie(CAIRN_SOURCE_DIR "/tests/engine/model/testdata/default_model_vectors.json"));
  ASSERT_EQ(reference["dims"], (*model)->dim());
  for (const auto& entry : reference["cases"]) {
    const std::string text = entry["text"];
    std::vector<chunking::Token> tokens;
    (*model)->tokenizer().Encode(text, &tokens);
    std::vector<uint32_t> ids;
    for (const auto& token : tokens) {
      if (token.id != (*model)->tokenizer().unknown_id()) ids.push_back(token.id);
    }
    EXPECT_EQ(ids, entry["ids"].get<std::vector<uint32_t>>()) << text;
    const auto head = entry["vector_head"].get<std::vector<float>>();
    std::vector<float> vector = EmbedOne(**model, text);
    vector.resize(head.size());
    EXPECT_THAT(vector, Pointwise(FloatNear(1e-5f), head)) << text;
  }
}

}  // namespace
}  // namespace cairn::engine
