#include "engine/model/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/engine/model/tiny_models.h"

namespace cairn::engine {
namespace {

using ::testing::HasSubstr;
using testing::TinyConfig;
using testing::TinyHfConfig;

// The least that a config.json says.
std::string Minimal(const std::string& architecture, const std::string& more = "") {
  return R"({"architectures":[")" + architecture +
         R"("],"num_hidden_layers":4,"hidden_size":64,"intermediate_size":96,)"
         R"("num_attention_heads":4,"vocab_size":300)" +
         more + "}";
}

ModelConfig Parsed(const std::string& json) {
  const auto config = ParseHfConfig(json);
  EXPECT_TRUE(config.ok()) << config.status() << json;
  return config.ok() ? *config : ModelConfig();
}

std::string HfConfigError(const std::string& json) {
  const auto config = ParseHfConfig(json);
  if (config.ok()) return "";
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(config.status().message());
}

TEST(HfConfig, ReadsEveryFamily) {
  const std::pair<const char*, Architecture> families[] = {
      {"LlamaForCausalLM", Architecture::kLlama}, {"MistralForCausalLM", Architecture::kLlama},
      {"Qwen2ForCausalLM", Architecture::kQwen2}, {"Qwen3ForCausalLM", Architecture::kQwen3},
      {"LlamaModel", Architecture::kLlama},       {"Qwen3Model", Architecture::kQwen3}};
  for (const auto& [name, architecture] : families) {
    const ModelConfig c = Parsed(Minimal(name, R"(,"head_dim":16,"num_key_value_heads":2)"));
    EXPECT_EQ(c.architecture, architecture);
    EXPECT_EQ(c.layers, 4u);
    EXPECT_EQ(c.head_dim, 16u);
    EXPECT_EQ(c.kv_heads, 2u);
    EXPECT_EQ(c.rope_pairing, RopePairing::kHalves);
    // A model without its own output layer.
    EXPECT_EQ(c.tied_embeddings, std::string(name).find("Model") != std::string::npos);
  }
  EXPECT_EQ(Parsed(R"({"model_type":"qwen2","num_hidden_layers":4,"hidden_size":64,)"
                   R"("intermediate_size":96,"num_attention_heads":4,"vocab_size":300})")
                .architecture,
            Architecture::kQwen2);
}

TEST(HfConfig, LeftOutSettingsAreTheFamiliesOwn) {
  ModelConfig c = Parsed(Minimal("LlamaForCausalLM"));
  EXPECT_EQ(c.kv_heads, 4u);
  EXPECT_EQ(c.head_dim, 16u);
  EXPECT_EQ(c.rope_dims, 16u);
  EXPECT_EQ(c.norm_epsilon, 1e-6f);
  EXPECT_EQ(c.rope_theta, 10000);
  EXPECT_EQ(c.context_length, 2048u);
  EXPECT_EQ(c.sliding_window, 0u);
  EXPECT_FALSE(c.tied_embeddings);
  EXPECT_EQ(Parsed(Minimal("Qwen2ForCausalLM")).context_length, 32'768u);
  EXPECT_EQ(Parsed(Minimal("Qwen3ForCausalLM")).head_dim, 128u);
  EXPECT_EQ(Parsed(Minimal("Qwen3ForCausalLM", R"(,"head_dim":null)")).head_dim, 16u);
  EXPECT_EQ(Parsed(Minimal("MistralForCausalLM")).sliding_window, 4096u);
  EXPECT_EQ(Parsed(Minimal("MistralForCausalLM", R"(,"sliding_window":null)")).sliding_window, 0u);
}

TEST(HfConfig, RefusesOtherArchitecturesAndWhatIsNotComputed) {
  EXPECT_THAT(HfConfigError(Minimal("GemmaForCausalLM")), HasSubstr("\"GemmaForCausalLM\" is not"));
  EXPECT_THAT(HfConfigError(Minimal("Qwen2ForSequenceClassification")),
              HasSubstr("is not supported"));
  EXPECT_THAT(HfConfigError("{}"), HasSubstr("architecture \"\""));
  const auto llama = [](const std::string& more) {
    return HfConfigError(Minimal("LlamaForCausalLM", more));
  };
  EXPECT_EQ(llama(R"(,"hidden_act":"silu","attention_bias":false,"mlp_bias":false)"), "");
  EXPECT_THAT(llama(R"(,"hidden_act":"gelu")"), HasSubstr("activation \"gelu\""));
  EXPECT_THAT(llama(R"(,"attention_bias":true)"), HasSubstr("biases"));
  EXPECT_THAT(llama(R"(,"mlp_bias":true)"), HasSubstr("biases"));
  EXPECT_THAT(llama(R"(,"quantization_config":{"bits":4})"), HasSubstr("quantised"));
}

TEST(HfConfig, RefusesMissingMistypedAndImpossibleSettings) {
  const ModelConfig tiny = TinyConfig(Architecture::kLlama);
  ASSERT_EQ(HfConfigError(TinyHfConfig(tiny)), "");
  for (const char* key : {"num_hidden_layers", "hidden_size", "intermediate_size",
                          "num_attention_heads", "vocab_size"}) {
    std::string json = TinyHfConfig(tiny);
    const size_t at = json.find(key);
    EXPECT_THAT(HfConfigError(std::string(json).replace(at, 1, "X")),
                HasSubstr(std::string(key) + " is missing"));
    const size_t number = json.find(':', at) + 1;
    const size_t length = json.find_first_of(",}", number) - number;
    for (const char* bad : {"-1", "1.5", "\"2\"", "4294967296", "1e400", "[]", "true"}) {
      EXPECT_NE(HfConfigError(std::string(json).replace(number, length, bad)), "") << key << bad;
    }
    EXPECT_NE(HfConfigError(std::string(json).replace(number, length, "0")), "") << key;
    EXPECT_NE(HfConfigError(std::string(json).replace(number, length, "4294967295")), "") << key;
  }
  const auto llama = [](const std::string& more) {
    return HfConfigError(Minimal("LlamaForCausalLM", more));
  };
  EXPECT_THAT(llama(R"(,"num_key_value_heads":3)"), HasSubstr("no multiple"));
  EXPECT_THAT(llama(R"(,"head_dim":7)"), HasSubstr("odd"));
  EXPECT_THAT(llama(R"(,"rms_norm_eps":0)"), HasSubstr("epsilon"));
  EXPECT_THAT(llama(R"(,"rms_norm_eps":"1e-5")"), HasSubstr("rms_norm_eps is not a number"));
  EXPECT_THAT(llama(R"(,"rope_theta":-1)"), HasSubstr("base"));
  EXPECT_THAT(llama(R"(,"tie_word_embeddings":1)"), HasSubstr("neither true nor false"));
  EXPECT_THAT(HfConfigError(R"({"architectures":"LlamaForCausalLM"})"), HasSubstr("architectures"));
  for (const char* bad : {"", "[]", "1", "{", R"({"a":1,"a":2})"}) {
    EXPECT_NE(HfConfigError(bad), "") << bad;
  }
}

TEST(HfConfig, ReadsRopeScalingInBothSpellings) {
  const auto both = [](const std::string& scaling) {
    const ModelConfig old = Parsed(
        Minimal("LlamaForCausalLM", R"(,"rope_theta":500000.0,"max_position_embeddings":512,)"
                                    R"("rope_scaling":{)" +
                                        scaling + "}"));
    const ModelConfig now =
        Parsed(Minimal("LlamaForCausalLM", R"(,"max_position_embeddings":512,"rope_parameters":{)"
                                           R"("rope_theta":500000.0,)" +
                                               scaling + "}"));
    EXPECT_EQ(old.rope_theta, 500'000);
    EXPECT_EQ(now.rope_theta, 500'000);
    EXPECT_EQ(old.rope_scaling.kind, now.rope_scaling.kind);
    EXPECT_EQ(old.rope_scaling.factor, now.rope_scaling.factor);
    EXPECT_EQ(old.rope_scaling.original_context, now.rope_scaling.original_context);
    return now.rope_scaling;
  };
  EXPECT_EQ(both(R"("rope_type":"default")").kind, RopeScaling::Kind::kNone);
  EXPECT_EQ(both(R"("type":"linear","factor":2.0)").kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(both(R"("rope_type":"linear","factor":2.0)").factor, 2);
  const RopeScaling dynamic = both(R"("rope_type":"dynamic","factor":4.0)");
  EXPECT_EQ(dynamic.kind, RopeScaling::Kind::kDynamicNtk);
  EXPECT_EQ(dynamic.original_context, 512u);
  const RopeScaling yarn = both(
      R"("rope_type":"yarn","factor":4.0,"original_max_position_embeddings":128,"beta_fast":24)");
  EXPECT_EQ(yarn.kind, RopeScaling::Kind::kYarn);
  EXPECT_EQ(yarn.original_context, 128u);
  EXPECT_EQ(yarn.beta_fast, 24);
  EXPECT_EQ(yarn.beta_slow, 1);
  EXPECT_EQ(yarn.attention_factor, 0);
  EXPECT_EQ(both(R"("type":"yarn","original_max_position_embeddings":128)").factor, 4);
  EXPECT_EQ(both(R"("type":"yarn","factor":4,"attention_factor":1.5)").attention_factor, 1.5f);
  EXPECT_FLOAT_EQ(
      both(R"("type":"yarn","factor":40,"mscale":1.0,"mscale_all_dim":0.5)").attention_factor,
      (0.1f * std::log(40.0f) + 1) / (0.05f * std::log(40.0f) + 1));
  const RopeScaling llama3 =
      both(R"("rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,)"
           R"("original_max_position_embeddings":256)");
  EXPECT_EQ(llama3.kind, RopeScaling::Kind::kLlama3);
  EXPECT_EQ(llama3.factor, 8);
  EXPECT_EQ(llama3.original_context, 256u);
}

TEST(HfConfig, RefusesRopeScalingsThatItDoesNotKnow) {
  const auto scaled = [](const std::string& scaling) {
    return HfConfigError(Minimal("LlamaForCausalLM", R"(,"rope_scaling":)" + scaling));
  };
  EXPECT_EQ(scaled("null"), "");
  EXPECT_THAT(scaled(R"({"type":"longrope","factor":2})"), HasSubstr("\"longrope\""));
  EXPECT_THAT(scaled(R"({"type":"linear"})"), HasSubstr("without a factor"));
  EXPECT_THAT(scaled(R"({"type":"linear","factor":0.5})"), HasSubstr("below 1"));
  EXPECT_THAT(scaled(R"({"type":"yarn","factor":2,"truncate":false})"), HasSubstr("truncation"));
  EXPECT_THAT(scaled(R"({"full_attention":{"rope_type":"default"}})"), HasSubstr("by layer"));
  EXPECT_THAT(scaled(R"({"type":"llama3","factor":2,"low_freq_factor":4,"high_freq_factor":4})"),
              HasSubstr("in order"));
  EXPECT_THAT(scaled("[]"), HasSubstr("not a JSON object"));
}

TEST(HfConfig, RopeMayTurnPartOfAHead) {
  EXPECT_EQ(Parsed(Minimal("LlamaForCausalLM", R"(,"partial_rotary_factor":0.5)")).rope_dims, 8u);
  EXPECT_EQ(
      Parsed(Minimal("LlamaForCausalLM", R"(,"rope_parameters":{"partial_rotary_factor":0.25})"))
          .rope_dims,
      4u);
  EXPECT_NE(HfConfigError(Minimal("LlamaForCausalLM", R"(,"partial_rotary_factor":0)")), "");
  EXPECT_NE(HfConfigError(Minimal("LlamaForCausalLM", R"(,"partial_rotary_factor":2)")), "");
  EXPECT_NE(HfConfigError(
                Minimal("LlamaForCausalLM", R"(,"head_dim":4294967295,"partial_rotary_factor":1)")),
            "");
}

// The windows of four layers.
std::vector<uint32_t> Windows(const ModelConfig& config) {
  std::vector<uint32_t> windows;
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    windows.push_back(config.WindowOf(layer));
  }
  return windows;
}

TEST(HfConfig, ReadsWhichLayersHaveAWindow) {
  using ::testing::ElementsAre;
  EXPECT_THAT(Windows(Parsed(Minimal("MistralForCausalLM", R"(,"sliding_window":8)"))),
              ElementsAre(8, 8, 8, 8));
  const auto qwen = [](const std::string& more) {
    return Windows(Parsed(Minimal("Qwen2ForCausalLM", R"(,"sliding_window":8)" + more)));
  };
  EXPECT_THAT(qwen(""), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(qwen(R"(,"use_sliding_window":false,"max_window_layers":1)"),
              ElementsAre(0, 0, 0, 0));
  const std::string on = R"(,"use_sliding_window":true)";
  EXPECT_THAT(qwen(on + R"(,"max_window_layers":1)"), ElementsAre(0, 8, 8, 8));
  EXPECT_THAT(qwen(on + R"(,"max_window_layers":0)"), ElementsAre(8, 8, 8, 8));
  EXPECT_THAT(qwen(on + R"(,"max_window_layers":28)"), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(qwen(on + R"(,"layer_types":["sliding_attention","full_attention",)"
                        R"("sliding_attention","full_attention"])"),
              ElementsAre(8, 0, 8, 0));
  EXPECT_THAT(qwen(on + R"(,"layer_types":["full_attention","full_attention",)"
                        R"("sliding_attention","sliding_attention"])"),
              ElementsAre(0, 0, 8, 8));
  const auto error = [&](const std::string& types) {
    return HfConfigError(
        Minimal("Qwen2ForCausalLM", R"(,"sliding_window":8)" + on + R"(,"layer_types":)" + types));
  };
  EXPECT_THAT(error(R"(["sliding_attention"])"), HasSubstr("layer_types is not a list"));
  EXPECT_THAT(error(R"(["a","b","c","d"])"), HasSubstr("layer_types is not a list"));
  EXPECT_THAT(error(R"(["sliding_attention","full_attention","full_attention",)"
                    R"("sliding_attention"])"),
              HasSubstr("irregular"));
}

}  // namespace
}  // namespace cairn::engine
