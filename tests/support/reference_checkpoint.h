// Small decoders whose logits transformers has computed, and whose weights follow from a formula.
#ifndef CAIRN_TESTS_SUPPORT_REFERENCE_CHECKPOINT_H_
#define CAIRN_TESTS_SUPPORT_REFERENCE_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/temp_dir.h"

namespace cairn::testing {

// One value of a tensor as make_reference_logits.py computed it.
struct WeightSample {
  std::string tensor;
  size_t index = 0;
  float value = 0;
};

// A case of tests/engine/model/testdata/reference_logits.json, made by make_reference_logits.py.
struct ReferenceCase {
  std::string name;         // "llama_yarn", ...
  std::string config_json;  // As transformers 5 writes it ("rope_parameters").
  std::string
      legacy_config_json;  // The same as transformers 4 does ("rope_theta", "rope_scaling").
  // Hugging Face's names and shapes, in the model's order.
  std::vector<std::pair<std::string, std::vector<uint64_t>>> tensors;
  std::vector<WeightSample> weight_samples;
  std::vector<uint32_t> ids;
  std::vector<size_t> positions;            // Where `logits` stand; ascending, the last one last.
  std::vector<std::vector<double>> logits;  // [positions][vocabulary], six significant digits.
  std::vector<uint32_t> top1;               // [ids]: the likeliest token after each.
};

// Aborts where the file in the source tree is not as the script writes it.
std::vector<ReferenceCase> ReadReferenceCases();

// The values of the tensor `name`, row-major; the formula stands in make_reference_logits.py.
std::vector<float> ReferenceWeights(std::string_view name, const std::vector<uint64_t>& shape);

// Writes the case below `dir` as a Hugging Face directory: config.json, model.safetensors in
// float32, a byte-level tokenizer.json of as many tokens as the vocabulary. Its path.
std::string WriteReferenceCheckpoint(const ReferenceCase& reference, std::string_view config_json,
                                     const TempDir& dir);
inline std::string WriteReferenceCheckpoint(const ReferenceCase& reference, const TempDir& dir) {
  return WriteReferenceCheckpoint(reference, reference.config_json, dir);
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_REFERENCE_CHECKPOINT_H_
