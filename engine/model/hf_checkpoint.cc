#include "engine/model/hf_checkpoint.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/strings/str_cat.h"
#include "engine/model/hf_config.h"
#include "engine/model/hf_files.h"
#include "engine/model/hf_weights.h"
#include "engine/model/json_reader.h"
#include "engine/model/model_file.h"
#include "engine/model/model_layout.h"
#include "engine/model/weights_fingerprint.h"

namespace cairn::engine {
namespace {

// The small files beside the weights, as text.
struct SmallFiles {
  std::string config;
  std::string tokenizer_config;  // Empty where there is none, and so on.
  std::string generation_config;
  std::string chat_template;
};

class HfCheckpoint final : public Checkpoint {
 public:
  HfCheckpoint(std::string directory, SmallFiles files, ModelConfig config, HfWeights weights)
      : directory_(std::move(directory)),
        files_(std::move(files)),
        config_(std::move(config)),
        weights_(std::move(weights)) {}

  const ModelConfig& config() const override { return config_; }

  absl::StatusOr<TensorView> Find(std::string_view name) const override {
    const auto found = weights_.tensors().find(name);
    if (found != weights_.tensors().end()) return found->second;
    return absl::NotFoundError(absl::StrCat("no tensor \"", Printable(name), "\""));
  }

  std::vector<std::string> TensorNames() const override {
    std::vector<std::string> names;
    for (const auto& [name, view] : weights_.tensors()) names.push_back(name);
    return names;
  }

  absl::StatusOr<std::unique_ptr<chunking::Tokenizer>> LoadTokenizer() const override {
    auto tokenizer = LoadAnyTokenizer();
    if (!tokenizer.ok()) return tokenizer.status();
    const absl::Status fits = CheckTokenizer(**tokenizer, config_);
    if (!fits.ok()) return AtPath(directory_, fits);
    return tokenizer;
  }

  const std::string& chat_template() const override { return files_.chat_template; }

  const std::string& fingerprint() const override {
    absl::call_once(fingerprint_once_, [this] { fingerprint_ = ComputeFingerprint(); });
    return fingerprint_;
  }

  void Drop(const TensorView& tensor) const override { weights_.Drop(tensor.bytes); }

 private:
  // From tokenizer.json, else tokenizer.model, else vocab.json and merges.txt.
  absl::StatusOr<std::unique_ptr<chunking::Tokenizer>> LoadAnyTokenizer() const {
    const std::string& settings = files_.tokenizer_config;
    const auto read = [this](const char* name) {
      return ReadOptionalFile(absl::StrCat(directory_, "/", name), kMaxTokenizerBytes);
    };
    const auto named = [this](const char* name,
                              absl::StatusOr<std::unique_ptr<chunking::Tokenizer>> tokenizer) {
      if (tokenizer.ok()) return tokenizer;
      return decltype(tokenizer)(AtPath(absl::StrCat(directory_, "/", name), tokenizer.status()));
    };
    const auto json = read("tokenizer.json");
    if (!json.ok()) return json.status();
    if (json->has_value()) {
      return named("tokenizer.json", chunking::LoadTokenizerJson(**json, settings));
    }
    const auto model = read("tokenizer.model");
    if (!model.ok()) return model.status();
    if (model->has_value()) {
      return named("tokenizer.model", chunking::LoadSentencePiece(**model, settings));
    }
    const auto vocabulary = read("vocab.json");
    if (!vocabulary.ok()) return vocabulary.status();
    const auto merges = read("merges.txt");
    if (!merges.ok()) return merges.status();
    if (vocabulary->has_value() && merges->has_value()) {
      return named("vocab.json", chunking::LoadVocabAndMerges(**vocabulary, **merges, settings));
    }
    return absl::NotFoundError(absl::StrCat(
        directory_, ": none of tokenizer.json, tokenizer.model, vocab.json with merges.txt"));
  }

  std::string ComputeFingerprint() const {
    std::vector<std::string> files = {files_.config, files_.tokenizer_config,
                                      files_.generation_config, files_.chat_template};
    for (const char* name : {"tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt"}) {
      auto bytes = ReadOptionalFile(absl::StrCat(directory_, "/", name), kMaxTokenizerBytes);
      files.push_back(bytes.ok() ? bytes->value_or("") : "");
    }
    return WeightsFingerprint({files.begin(), files.end()}, *this);
  }

  std::string directory_;
  SmallFiles files_;
  ModelConfig config_;
  HfWeights weights_;
  mutable absl::once_flag fingerprint_once_;
  mutable std::string fingerprint_;
};

absl::StatusOr<std::string> ReadOrEmpty(const std::string& path) {
  auto bytes = ReadOptionalFile(path, kMaxConfigBytes);
  if (!bytes.ok()) return bytes.status();
  return bytes->value_or("");
}

absl::StatusOr<SmallFiles> ReadSmallFiles(const std::string& directory) {
  SmallFiles files;
  auto config = ReadOptionalFile(directory + "/config.json", kMaxConfigBytes);
  if (!config.ok()) return config.status();
  if (!config->has_value()) {
    return absl::NotFoundError(absl::StrCat(directory, ": no config.json"));
  }
  files.config = **std::move(config);
  const std::pair<const char*, std::string*> others[] = {
      {"/tokenizer_config.json", &files.tokenizer_config},
      {"/generation_config.json", &files.generation_config},
      {"/chat_template.jinja", &files.chat_template},
  };
  for (const auto& [name, out] : others) {
    auto text = ReadOrEmpty(directory + name);
    if (!text.ok()) return text.status();
    *out = *std::move(text);
  }
  // A file of its own comes before the setting.
  if (files.chat_template.empty() && !files.tokenizer_config.empty()) {
    auto text = ParseChatTemplate(files.tokenizer_config);
    if (!text.ok()) return AtPath(directory + "/tokenizer_config.json", text.status());
    files.chat_template = *std::move(text);
  }
  return files;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenHfCheckpoint(const std::string& directory) {
  auto files = ReadSmallFiles(directory);
  if (!files.ok()) return files.status();
  auto config = ParseHfConfig(files->config);
  if (!config.ok()) return AtPath(directory + "/config.json", config.status());
  if (!files->generation_config.empty()) {
    auto ends = ParseEndTokens(files->generation_config, config->vocabulary_size);
    if (!ends.ok()) return AtPath(directory + "/generation_config.json", ends.status());
    config->end_tokens = *std::move(ends);
  }
  auto weights = HfWeights::Open(directory, *config);
  if (!weights.ok()) return weights.status();
  auto checkpoint = std::make_unique<HfCheckpoint>(directory, *std::move(files), *std::move(config),
                                                   *std::move(weights));
  const absl::Status status = CheckTensors(*checkpoint);
  if (!status.ok()) return AtPath(directory, status);
  return checkpoint;
}

}  // namespace cairn::engine
