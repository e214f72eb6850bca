// A small language model of random weights, for the command line tool.
#ifndef CAIRN_TESTS_SERVICES_LANGUAGE_MODEL_H_
#define CAIRN_TESTS_SERVICES_LANGUAGE_MODEL_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "engine/model/model_synthesis.h"
#include "tests/support/temp_dir.h"

namespace cairn::services {

// Its path. Writes bytes at random, up to 32,768 of prompt and answer.
inline std::string WriteLanguageModel(const ::cairn::testing::TempDir& dir, uint32_t layers,
                                      const std::string& name = "model.gguf") {
  engine::ModelConfig config;
  config.layers = layers;
  config.hidden_size = 64;
  config.intermediate_size = 128;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = config.rope_dims = 16;
  config.vocabulary_size = 260;
  config.context_length = 32768;
  config.rope_pairing = engine::RopePairing::kInterleaved;
  engine::SynthesisOptions options;
  options.format = kernels::BlockFormat::kF32;
  const std::string path = dir.file(name);
  const absl::Status status = engine::SynthesizeModel(config, options, path);
  EXPECT_TRUE(status.ok()) << status;
  return path;
}

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_LANGUAGE_MODEL_H_
