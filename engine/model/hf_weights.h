// The tensors of a Hugging Face directory.
#ifndef CAIRN_ENGINE_MODEL_HF_WEIGHTS_H_
#define CAIRN_ENGINE_MODEL_HF_WEIGHTS_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"
#include "engine/model/mapped_file.h"

namespace cairn::engine {

// The name that transformers gives the tensor which GGUF calls `name`, without the "model." that
// most files begin it with.
std::string HfTensorName(std::string_view name);

// Which of a directory's tensors are wanted, and what they are called.
struct HfTensorNames {
  std::vector<std::string> prefixes;  // What names may begin with that does not count.
  // From transformers' names, without prefix, to the caller's.
  std::map<std::string, std::string, std::less<>> wanted;
  // Tensors that may be there without a part in the result; all others are errors.
  std::function<bool(std::string_view)> may_ignore;
};

// All tensors of the model under the caller's names, in the files they are mapped from. Immutable.
class HfWeights {
 public:
  // Opens model.safetensors, or the files that model.safetensors.index.json lists. NotFound where
  // there is neither, and, naming the file, where one that is listed is missing. InvalidArgument
  // naming the file where one is malformed or named in a way that leaves the directory, and where a
  // tensor occurs twice or is none of the model's. Whether all that are wanted are there, and in
  // which shape, is the caller's to check.
  static absl::StatusOr<HfWeights> Open(const std::string& directory, const HfTensorNames& names);
  // A language model's, under GGUF's names.
  static absl::StatusOr<HfWeights> Open(const std::string& directory, const ModelConfig& config);

  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  void Drop(std::string_view bytes) const;

 private:
  HfWeights() = default;
  absl::Status Add(const std::string& path, const HfTensorNames& names);

  std::vector<MappedFile> files_;
  std::map<std::string, TensorView, std::less<>> tensors_;  // Views into files_.
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_HF_WEIGHTS_H_
