#include "engine/model/encoder_checkpoint.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/model/hf_files.h"
#include "engine/model/model_config.h"
#include "engine/model/model_file.h"
#include "engine/model/weights_fingerprint.h"

namespace cairn::engine {
namespace {

// Part of every fingerprint: changed when the same files come to give other vectors.
constexpr std::string_view kEncoderFormatTag = "cairn encoder 1";

HfTensorNames NamesOf(const EncoderConfig& config) {
  HfTensorNames names;
  names.prefixes = {config.family == EncoderFamily::kBert ? "bert." : "roberta."};
  for (const EncoderTensor& tensor : TensorsOf(config)) names.wanted[tensor.name] = tensor.name;
  // Heads that the model was trained with, an unused pooler, tables of numbers.
  names.may_ignore = [](std::string_view) { return true; };
  return names;
}

absl::Status CheckShapes(const EncoderConfig& config, const HfWeights& weights) {
  for (const EncoderTensor& wanted : TensorsOf(config)) {
    const auto found = weights.tensors().find(wanted.name);
    if (found == weights.tensors().end()) {
      return absl::InvalidArgumentError(absl::StrCat("the weights lack \"", wanted.name, "\""));
    }
    const std::vector<uint64_t>& shape = found->second.shape;
    if (shape != wanted.shape) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor \"", wanted.name, "\" has the shape [", absl::StrJoin(shape, ", "),
                       "], but config.json means [", absl::StrJoin(wanted.shape, ", "), "]"));
    }
  }
  return absl::OkStatus();
}

struct TokenizerFile {
  std::string bytes;
  std::unique_ptr<chunking::Tokenizer> tokenizer;
};

absl::StatusOr<TokenizerFile> LoadTokenizer(const std::string& directory) {
  for (const char* name : {"/tokenizer.json", "/vocab.txt"}) {
    auto bytes = ReadOptionalFile(directory + name, kMaxTokenizerBytes);
    if (!bytes.ok()) return bytes.status();
    if (!bytes->has_value()) continue;
    TokenizerFile file = {**std::move(bytes), nullptr};
    auto tokenizer = absl::EndsWith(name, ".json") ? chunking::LoadTokenizerJson(file.bytes)
                                                   : chunking::LoadVocabTxt(file.bytes);
    if (!tokenizer.ok()) return AtPath(directory + name, tokenizer.status());
    file.tokenizer = *std::move(tokenizer);
    return file;
  }
  return absl::NotFoundError(
      absl::StrCat(directory, ": neither tokenizer.json nor vocab.txt, which an encoder needs"));
}

absl::Status CheckTokenizer(const chunking::Tokenizer& tokenizer, const EncoderConfig& config) {
  if (tokenizer.vocabulary_size() > config.vocabulary_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("the tokenizer has ", tokenizer.vocabulary_size(),
                     " ids, but the model embeddings for ", config.vocabulary_size));
  }
  const chunking::SpecialTokens& special = tokenizer.special_tokens();
  if (!special.bos.has_value() || !special.eos.has_value() || !special.add_bos ||
      !special.add_eos) {
    return absl::InvalidArgumentError(
        "the tokenizer puts no tokens around a text ([CLS] and [SEP]), which an encoder needs");
  }
  return absl::OkStatus();
}

absl::StatusOr<SentenceTransformer> ReadSentences(const std::string& directory,
                                                  const EncoderConfig& config) {
  auto sentences = ReadSentenceTransformer(directory);
  if (absl::IsNotFound(sentences.status())) sentences = SentenceTransformer();
  if (!sentences.ok()) return sentences.status();
  const uint32_t limit = sentences->max_tokens.value_or(config.max_tokens());
  if (limit < 3) return absl::InvalidArgumentError(directory + ": max_seq_length is below 3");
  sentences->max_tokens = std::min(limit, config.max_tokens());
  return sentences;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EncoderCheckpoint>> EncoderCheckpoint::Open(
    const std::string& directory) {
  const std::string config_path = directory + "/config.json";
  const auto config_json = ReadOptionalFile(config_path, kMaxConfigBytes);
  if (!config_json.ok()) return config_json.status();
  if (!config_json->has_value()) return absl::NotFoundError(config_path + ": missing");
  const auto config = ParseEncoderConfig(**config_json);
  if (!config.ok()) return AtPath(config_path, config.status());
  const auto fusion = ParseFusionAdvice(**config_json);
  if (!fusion.ok()) return AtPath(config_path, fusion.status());
  auto sentences = ReadSentences(directory, *config);
  if (!sentences.ok()) return sentences.status();
  auto tokenizer = LoadTokenizer(directory);
  if (!tokenizer.ok()) return tokenizer.status();
  absl::Status fits = CheckTokenizer(*tokenizer->tokenizer, *config);
  if (!fits.ok()) return AtPath(directory, fits);
  auto weights = HfWeights::Open(directory, NamesOf(*config));
  if (!weights.ok()) return weights.status();
  fits = CheckShapes(*config, *weights);
  if (!fits.ok()) return AtPath(directory, fits);

  std::unique_ptr<EncoderCheckpoint> checkpoint(
      new EncoderCheckpoint(*config, *std::move(weights)));
  std::string settings = absl::StrCat(static_cast<int>(sentences->pooling), "/",
                                      *sentences->max_tokens, "/", sentences->default_prompt);
  for (const auto& [name, prompt] : sentences->prompts) {
    absl::StrAppend(&settings, "/", name, "=", prompt);
  }
  checkpoint->sentences_ = *std::move(sentences);
  checkpoint->fusion_ = *fusion;
  checkpoint->fingerprint_ =
      WeightsFingerprint(kEncoderFormatTag, {**config_json, tokenizer->bytes, settings},
                         checkpoint->weights_.tensors());
  checkpoint->tokenizer_ = std::move(tokenizer->tokenizer);
  return checkpoint;
}

const TensorView& EncoderCheckpoint::tensor(const std::string& name) const {
  return weights_.tensors().find(name)->second;
}

}  // namespace cairn::engine
