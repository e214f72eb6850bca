#include "engine/model/model_distillation.h"

#include <filesystem>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/model/distillation_texts.h"
#include "engine/model/model_directory.h"
#include "engine/model/model_file.h"
#include "engine/model/open_model.h"
#include "engine/model/static_embedder.h"
#include "engine/model/static_model_files.h"

namespace cairn::engine {
namespace {

absl::StatusOr<std::vector<std::string>> ReadTexts(const DistillationRequest& request) {
  std::vector<std::string> texts;
  if (!request.wordnet.empty()) {
    if (absl::Status s = AppendWordnet(request.wordnet, &texts); !s.ok()) return s;
  }
  for (const std::string& path : request.texts) {
    if (absl::Status s = AppendLines(path, &texts); !s.ok()) return s;
  }
  return texts;
}

std::string NameOf(const DistillationRequest& request) {
  if (!request.name.empty()) return request.name;
  std::error_code error;
  const std::filesystem::path path = std::filesystem::canonical(request.encoder, error);
  return error ? request.encoder : path.filename().string();
}

absl::Status WriteFiles(const DistilledModel& model, std::string_view tokenizer_json,
                        const DistillationRequest& request, ModelDirectory* directory,
                        DistillationReport* report) {
  const std::string config = StaticConfigJson(
      model,
      {.tokenizer_name = NameOf(request), .sif = request.options.sif, .alpha = request.alpha});
  const std::string safetensors = StaticSafetensors(model);
  const std::string tokenizer = UncutTokenizerJson(tokenizer_json);
  // Whatever is wrong with it is better seen now than by whoever loads it.
  const auto loaded = StaticEmbedder::Create({config, safetensors, tokenizer});
  if (!loaded.ok()) {
    return absl::InternalError(
        absl::StrCat("the model cannot be read: ", loaded.status().message()));
  }
  report->bytes = config.size() + safetensors.size() + tokenizer.size();
  if (absl::Status s = directory->Write("config.json", config); !s.ok()) return s;
  if (absl::Status s = directory->Write("model.safetensors", safetensors); !s.ok()) return s;
  if (absl::Status s = directory->Write("tokenizer.json", tokenizer); !s.ok()) return s;
  return directory->Finish();
}

}  // namespace

absl::StatusOr<DistillationReport> DistillModel(
    const DistillationRequest& request, absl::FunctionRef<bool(uint64_t, uint64_t)> keep_on) {
  auto directory = ModelDirectory::Create(request.to);
  if (!directory.ok()) return directory.status();
  const auto teacher = OpenEmbedder(request.encoder);
  if (!teacher.ok()) return teacher.status();
  const auto tokenizer = ReadModelFile(request.encoder + "/tokenizer.json", kMaxTokenizerBytes);
  if (!tokenizer.ok()) return tokenizer.status();
  const auto texts = ReadTexts(request);
  if (!texts.ok()) return texts.status();

  const auto model = Distill(**teacher, *texts, request.options, keep_on);
  if (!model.ok()) return model.status();
  DistillationReport report = {
      .texts = model->texts, .tokens = model->tokens, .explained = model->explained};
  absl::Status status = WriteFiles(*model, tokenizer->view(), request, directory->get(), &report);
  if (!status.ok()) return status;
  return report;
}

}  // namespace cairn::engine
