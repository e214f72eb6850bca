// Small static embedding models on disk.
#ifndef CAIRN_TESTS_SUPPORT_MODEL_DIRECTORY_H_
#define CAIRN_TESTS_SUPPORT_MODEL_DIRECTORY_H_

#include <random>
#include <string>
#include <vector>

#include "tests/engine/model/model_builder.h"
#include "tests/support/temp_dir.h"

namespace cairn::testing {

// A model whose tokens are single letters and digits, so that it knows every word; its vectors are
// random numbers of the seed. The path of its directory, which is `name` in `dir`.
inline std::string WriteCharacterModel(const TempDir& dir, const std::string& name, uint32_t seed,
                                       size_t dim) {
  std::vector<std::string> vocabulary = {"[UNK]"};
  for (const char* prefix : {"", "##"}) {
    for (char c = 'a'; c <= 'z'; ++c) vocabulary.push_back(prefix + std::string(1, c));
    for (char c = '0'; c <= '9'; ++c) vocabulary.push_back(prefix + std::string(1, c));
  }
  std::mt19937 random(seed);
  std::vector<float> weights(vocabulary.size() * dim);
  for (float& w : weights) w = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  dir.Write(name + "/config.json", "{}");
  dir.Write(name + "/tokenizer.json", engine::testing::TokenizerJson(vocabulary));
  dir.Write(name + "/model.safetensors", engine::testing::SafetensorsBuilder()
                                             .Add("embeddings", "F32", {vocabulary.size(), dim},
                                                  engine::testing::BytesOf(weights))
                                             .Build());
  return dir.file(name);
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_MODEL_DIRECTORY_H_
