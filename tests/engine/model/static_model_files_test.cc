#include "engine/model/static_model_files.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/model/model_config.h"

namespace cairn::engine {
namespace {

TEST(StaticModelFiles, ConfigSaysHowToFuse) {
  DistilledModel model;
  model.dims = 7;
  const std::string json =
      StaticConfigJson(model, {.tokenizer_name = "a \"b\" \xff", .sif = 1e-4, .alpha = 0.65});
  const auto advice = ParseFusionAdvice(json);
  ASSERT_TRUE(advice.ok()) << advice.status();
  EXPECT_TRUE(advice->given);
  EXPECT_FALSE(advice->min_max);
  EXPECT_FLOAT_EQ(advice->alpha, 0.65f);
  const auto config = nlohmann::json::parse(json);
  EXPECT_EQ(config["hidden_dim"], 7);
  EXPECT_EQ(config["model_type"], "model2vec");
  EXPECT_EQ(config["sif_coefficient"], 1e-4);
}

TEST(StaticModelFiles, TokenizersLoseTruncationAndPaddingAlone) {
  const std::string json =
      R"( { "version" : "1.0", "truncation": {"max_length": 128, "x": [1, "}"]},
    "padding":"no, \"really\"" , "added_tokens": [ {"content": "a  b\\", "truncation": 1} ],
    "model": { "padding": { "a" : 1 }, "é": "truncation" }, "truncation2": [ "padding", 5 ] } )";
  EXPECT_EQ(UncutTokenizerJson(json),
            R"({"version":"1.0","truncation":null,"padding":null,)"
            R"("added_tokens":[{"content":"a  b\\","truncation":1}],)"
            R"("model":{"padding":{"a":1},"é":"truncation"},"truncation2":["padding",5]})"
            "\n");
  EXPECT_EQ(UncutTokenizerJson(R"({"padding": {}})"), "{\"padding\":null}\n");
  EXPECT_EQ(UncutTokenizerJson("{}"), "{}\n");
}

}  // namespace
}  // namespace cairn::engine
