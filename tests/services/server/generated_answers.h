// A tiny language model of random weights: what it writes makes no sense, but is always the same.
#ifndef CAIRN_TESTS_SERVICES_SERVER_GENERATED_ANSWERS_H_
#define CAIRN_TESTS_SERVICES_SERVER_GENERATED_ANSWERS_H_

#include <gtest/gtest.h>

#include <string>

#include "engine/model/model_synthesis.h"
#include "tests/support/temp_dir.h"

namespace cairn::services {

// Its path. Reads bytes as tokens, up to 32,768 of prompt and answer.
inline std::string WriteTinyLanguageModel(const ::cairn::testing::TempDir& dir) {
  engine::ModelConfig config;
  config.layers = 1;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = config.rope_dims = 16;
  config.vocabulary_size = 260;
  config.context_length = 32768;
  config.rope_pairing = engine::RopePairing::kInterleaved;
  engine::SynthesisOptions options;
  options.format = kernels::BlockFormat::kF32;
  const std::string path = dir.file("model.gguf");
  const absl::Status status = engine::SynthesizeModel(config, options, path);
  EXPECT_TRUE(status.ok()) << status;
  return path;
}

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_SERVER_GENERATED_ANSWERS_H_
