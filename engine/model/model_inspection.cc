#include "engine/model/model_inspection.h"

#include <sys/stat.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/model/mapped_file.h"

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

}  // namespace

absl::StatusOr<ModelInspection> InspectModel(const std::string& path) {
  const auto checkpoint = Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.status();
  auto file_format = FileFormat(path);
  if (!file_format.ok()) return file_format.status();

  ModelInspection result;
  result.file_format = *std::move(file_format);
  result.config = (*checkpoint)->config();
  for (std::string& name : (*checkpoint)->TensorNames()) {
    auto view = (*checkpoint)->Find(name);
    if (!view.ok()) return view.status();
    uint64_t values = 1;
    for (uint64_t size : view->shape) values *= size;
    result.parameters += values;
    result.bytes[view->format] += view->bytes.size();
    result.tensors.push_back({std::move(name), view->format, std::move(view->shape)});
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
