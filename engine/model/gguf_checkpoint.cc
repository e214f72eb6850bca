#include "engine/model/gguf_checkpoint.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/strings/str_cat.h"
#include "engine/model/gguf.h"
#include "engine/model/gguf_config.h"
#include "engine/model/gguf_tokenizer.h"
#include "engine/model/json_reader.h"
#include "engine/model/mapped_file.h"
#include "engine/model/model_layout.h"
#include "engine/model/weights_fingerprint.h"

namespace cairn::engine {
namespace {

class GgufCheckpoint final : public Checkpoint {
 public:
  GgufCheckpoint(MappedFile file, Gguf gguf, ModelConfig config, std::string chat_template)
      : file_(std::move(file)),
        gguf_(std::move(gguf)),
        config_(std::move(config)),
        chat_template_(std::move(chat_template)) {}

  const ModelConfig& config() const override { return config_; }

  absl::StatusOr<TensorView> Find(std::string_view name) const override {
    const GgufTensor* tensor = gguf_.FindTensor(name);
    if (tensor != nullptr) return tensor->view;
    return absl::NotFoundError(absl::StrCat("no tensor \"", Printable(name), "\""));
  }

  std::vector<std::string> TensorNames() const override {
    std::vector<std::string> names;
    for (const GgufTensor& tensor : gguf_.tensors()) names.emplace_back(tensor.name);
    return names;
  }

  absl::StatusOr<std::unique_ptr<chunking::Tokenizer>> LoadTokenizer() const override {
    auto vocabulary = DescribeGgufVocabulary(gguf_);
    if (!vocabulary.ok()) return vocabulary.status();
    auto tokenizer = chunking::MakeTokenizer(*std::move(vocabulary));
    if (!tokenizer.ok()) return tokenizer.status();
    const absl::Status fits = CheckTokenizer(**tokenizer, config_);
    if (!fits.ok()) return fits;
    return tokenizer;
  }

  const std::string& chat_template() const override { return chat_template_; }

  const std::string& fingerprint() const override {
    absl::call_once(fingerprint_once_,
                    [this] { fingerprint_ = WeightsFingerprint({gguf_.header()}, *this); });
    return fingerprint_;
  }

  void Drop(const TensorView& tensor) const override { file_.Drop(tensor.bytes); }

 private:
  MappedFile file_;
  Gguf gguf_;  // Views into file_.
  ModelConfig config_;
  std::string chat_template_;
  mutable absl::once_flag fingerprint_once_;
  mutable std::string fingerprint_;
};

// What would change the results if it were left out (biases that the architecture does not have,
// experts) must not go unnoticed.
absl::Status RefuseUnknownTensors(const Gguf& gguf, const ModelConfig& config) {
  size_t known = 0;
  for (const TensorSpec& spec : TensorsOf(config)) known += gguf.FindTensor(spec.name) != nullptr;
  known += gguf.FindTensor("rope_freqs.weight") != nullptr;
  if (known == gguf.tensors().size()) return absl::OkStatus();
  std::vector<std::string> names = {"rope_freqs.weight"};
  for (TensorSpec& spec : TensorsOf(config)) names.push_back(std::move(spec.name));
  std::sort(names.begin(), names.end());
  for (const GgufTensor& tensor : gguf.tensors()) {
    if (std::binary_search(names.begin(), names.end(), tensor.name)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("tensor \"", Printable(tensor.name), "\" is not part of a ",
                     std::string(ArchitectureName(config.architecture)), " model"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Checkpoint>> Read(MappedFile file) {
  auto gguf = Gguf::Parse(file.bytes());
  if (!gguf.ok()) return gguf.status();
  auto config = ReadGgufConfig(*gguf);
  if (!config.ok()) return config.status();
  auto chat_template = gguf->String("tokenizer.chat_template");
  if (!chat_template.ok()) return chat_template.status();
  absl::Status status = RefuseUnknownTensors(*gguf, *config);
  if (!status.ok()) return status;
  auto checkpoint =
      std::make_unique<GgufCheckpoint>(std::move(file), *std::move(gguf), *std::move(config),
                                       std::string(chat_template->value_or("")));
  status = CheckTensors(*checkpoint);
  if (!status.ok()) return status;
  return checkpoint;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenGgufCheckpoint(const std::string& path) {
  auto file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  auto checkpoint = Read(*std::move(file));
  if (checkpoint.ok()) return checkpoint;
  return absl::Status(checkpoint.status().code(),
                      absl::StrCat(path, ": ", checkpoint.status().message()));
}

}  // namespace cairn::engine
