#include "engine/model/model_inspection.h"

#include <sys/stat.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/model/encoder_checkpoint.h"
#include "engine/model/hf_files.h"
#include "engine/model/mapped_file.h"
#include "engine/model/model_file.h"

namespace cairn::engine {
namespace {

bool IsDirectory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

absl::StatusOr<std::string> FileFormat(const std::string& path) {
  if (IsDirectory(path)) return std::string("Hugging Face");
  const auto file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  // Open has checked the eight bytes: magic, little-endian version.
  return absl::StrCat("GGUF ", static_cast<int>(file->bytes()[4]));
}

void AddTensor(const std::string& name, const TensorView& view, ModelInspection* result) {
  uint64_t values = 1;
  for (uint64_t size : view.shape) values *= size;
  result->parameters += values;
  result->bytes[view.format] += view.bytes.size();
  result->tensors.push_back({name, view.format, view.shape});
}

absl::StatusOr<ModelInspection> InspectEncoder(const std::string& directory) {
  const auto checkpoint = EncoderCheckpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  ModelInspection result;
  result.file_format = "Hugging Face";
  result.encoder = (*checkpoint)->config();
  for (const auto& [name, view] : (*checkpoint)->tensors()) AddTensor(name, view, &result);
  result.tokens = static_cast<uint32_t>((*checkpoint)->tokenizer().vocabulary_size());
  if (result.encoder->labels == 0) result.embedding = (*checkpoint)->sentences();
  result.fingerprint = (*checkpoint)->fingerprint();
  return result;
}

}  // namespace

absl::StatusOr<ModelInspection> InspectModel(const std::string& path) {
  if (IsDirectory(path)) {
    const auto config = ReadOptionalFile(path + "/config.json", kMaxConfigBytes);
    if (!config.ok()) return config.status();
    if (config->has_value() && IsEncoderConfig(**config)) return InspectEncoder(path);
  }
  const auto checkpoint = Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.status();
  auto file_format = FileFormat(path);
  if (!file_format.ok()) return file_format.status();

  ModelInspection result;
  result.file_format = *std::move(file_format);
  result.config = (*checkpoint)->config();
  for (const std::string& name : (*checkpoint)->TensorNames()) {
    auto view = (*checkpoint)->Find(name);
    if (!view.ok()) return view.status();
    AddTensor(name, *view, &result);
  }
  const auto tokenizer = (*checkpoint)->LoadTokenizer();
  if (tokenizer.ok()) {
    result.tokens = static_cast<uint32_t>((*tokenizer)->vocabulary_size());
  } else {
    result.tokenizer_error = std::string(tokenizer.status().message());
  }
  result.has_chat_template = !(*checkpoint)->chat_template().empty();
  if (IsDirectory(path)) {
    auto embedding = ReadSentenceTransformer(path);
    if (embedding.ok()) {
      result.embedding = *std::move(embedding);
    } else if (!absl::IsNotFound(embedding.status())) {
      result.embedding_error = std::string(embedding.status().message());
    }
  }
  result.fingerprint = (*checkpoint)->fingerprint();
  return result;
}

}  // namespace cairn::engine
