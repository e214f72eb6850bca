// A checkpoint whose tensors a test makes up.
#ifndef CAIRN_TESTS_SUPPORT_MEMORY_CHECKPOINT_H_
#define CAIRN_TESTS_SUPPORT_MEMORY_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/model/checkpoint.h"

namespace cairn::testing {

// Holds its tensors as floats. Without a tokenizer.
class MemoryCheckpoint final : public engine::Checkpoint {
 public:
  explicit MemoryCheckpoint(engine::ModelConfig config) : config_(std::move(config)) {}

  // `name` as GGUF has it; replaces what was there.
  void Set(const std::string& name, std::vector<uint64_t> shape, std::vector<float> values) {
    tensors_[name] = {std::move(shape), std::move(values)};
  }

  engine::ModelConfig& mutable_config() { return config_; }

  const engine::ModelConfig& config() const override { return config_; }
  absl::StatusOr<engine::TensorView> Find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    if (found == tensors_.end())
      return absl::NotFoundError(absl::StrCat("no tensor ", std::string(name)));
    const std::vector<float>& values = found->second.second;
    return engine::TensorView{kernels::BlockFormat::kF32,
                              found->second.first,
                              {reinterpret_cast<const char*>(values.data()), values.size() * 4}};
  }
  std::vector<std::string> TensorNames() const override {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_) names.push_back(name);
    return names;
  }
  absl::StatusOr<std::unique_ptr<chunking::Tokenizer>> LoadTokenizer() const override {
    return absl::NotFoundError("a model in memory has no tokenizer");
  }
  const std::string& chat_template() const override { return empty_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  void Drop(const engine::TensorView&) const override {}

 private:
  engine::ModelConfig config_;
  std::map<std::string, std::pair<std::vector<uint64_t>, std::vector<float>>, std::less<>> tensors_;
  const std::string empty_;
  const std::string fingerprint_ = "memory";
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_MEMORY_CHECKPOINT_H_
