// Small encoders in Hugging Face directories, and what transformers computes for them.
#ifndef CAIRN_TESTS_SUPPORT_ENCODER_DIRECTORY_H_
#define CAIRN_TESTS_SUPPORT_ENCODER_DIRECTORY_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/model/model_builder.h"
#include "tests/support/reference_checkpoint.h"
#include "tests/support/temp_dir.h"

namespace cairn::testing {

struct EncoderReferenceInput {
  std::vector<uint32_t> ids;
  size_t second = 0;  // Where token type 1 begins.
  std::vector<size_t> positions;
  std::vector<std::vector<double>> states;  // [positions][hidden]
  std::vector<double> logits;               // [labels]
};

// A case of tests/engine/model/testdata/reference_states.json, made by make_reference_states.py.
struct EncoderReference {
  std::string name;
  nlohmann::ordered_json config;
  std::vector<std::pair<std::string, std::vector<uint64_t>>> tensors;
  std::vector<EncoderReferenceInput> inputs;
};

inline std::vector<EncoderReference> ReadEncoderReferences() {
  std::ifstream file(CAIRN_SOURCE_DIR "/tests/engine/model/testdata/reference_states.json");
  const auto json = nlohmann::ordered_json::parse(file);
  std::vector<EncoderReference> cases;
  for (const auto& entry : json.at("cases")) {
    EncoderReference& reference = cases.emplace_back();
    reference.name = entry.at("name");
    reference.config = entry.at("config");
    for (const auto& tensor : entry.at("tensors")) {
      reference.tensors.emplace_back(tensor.at(0), tensor.at(1).get<std::vector<uint64_t>>());
    }
    for (const auto& input : entry.at("inputs")) {
      reference.inputs.push_back({input.at("ids"), input.at("second"), input.at("positions"),
                                  input.at("states"), input.at("logits")});
    }
  }
  return cases;
}

inline EncoderReference EncoderReferenceNamed(const std::string& name) {
  for (EncoderReference& reference : ReadEncoderReferences()) {
    if (reference.name == name) return std::move(reference);
  }
  std::abort();
}

// "[PAD]", "[UNK]", "[CLS]", "[SEP]", then words "aa", "ab", ...: `count` in all.
inline std::vector<std::string> EncoderVocabulary(size_t count) {
  std::vector<std::string> words = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
  for (size_t i = 0; words.size() < count; ++i) {
    words.push_back({static_cast<char>('a' + i / 26), static_cast<char>('a' + i % 26)});
  }
  return words;
}

// WordPiece that puts [CLS] before a text and [SEP] behind it.
inline std::string EncoderTokenizerJson(const std::vector<std::string>& vocabulary) {
  std::string json = cairn::engine::testing::TokenizerJson(vocabulary);
  const std::string none = R"("post_processor":null)";
  return json.replace(json.find(none), none.size(),
                      R"("post_processor":{"type":"BertProcessing","sep":["[SEP]",3],)"
                      R"("cls":["[CLS]",2]})");
}

// The weights in float32, each name behind `prefix`.
inline std::string EncoderWeights(const EncoderReference& reference, const std::string& prefix) {
  cairn::engine::testing::SafetensorsBuilder builder;
  for (const auto& [name, shape] : reference.tensors) {
    builder.Add(prefix + name, "F32", shape,
                cairn::engine::testing::BytesOf(ReferenceWeights(name, shape)));
  }
  return builder.Build();
}

// config.json, model.safetensors and tokenizer.json in `dir`; returns its path.
inline std::string WriteEncoder(const EncoderReference& reference, const TempDir& dir) {
  dir.Write("config.json", reference.config.dump());
  dir.Write("model.safetensors", EncoderWeights(reference, ""));
  dir.Write("tokenizer.json",
            EncoderTokenizerJson(EncoderVocabulary(reference.config.at("vocab_size"))));
  return dir.path();
}

// The same with a NaN in the first norm's bias, which every state depends on.
inline void WriteDamagedEncoder(const EncoderReference& reference, const TempDir& dir) {
  WriteEncoder(reference, dir);
  cairn::engine::testing::SafetensorsBuilder builder;
  for (const auto& [name, shape] : reference.tensors) {
    std::vector<float> values = ReferenceWeights(name, shape);
    if (name == "embeddings.LayerNorm.bias") values[1] = std::nanf("");
    builder.Add(name, "F32", shape, cairn::engine::testing::BytesOf(values));
  }
  dir.Write("model.safetensors", builder.Build());
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_ENCODER_DIRECTORY_H_
