#include "engine/model/sentence_transformers.h"

#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/model/hf_files.h"
#include "engine/model/json_document.h"
#include "engine/model/json_reader.h"
#include "engine/model/model_file.h"

namespace cairn::engine {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxBytes = 1 << 20;

// A module's class without its package, and its folder.
struct Module {
  std::string type;
  std::string path;
};

absl::StatusOr<std::vector<Module>> ParseModules(std::string_view text) {
  // The file is a list; the tree's reader takes objects.
  const auto tree = ParseJsonObject(absl::StrCat("{\"modules\":", std::string(text), "}"));
  if (!tree.ok()) return tree.status();
  const json& list = (*tree)["modules"];
  if (tree->size() != 1 || !list.is_array()) return absl::InvalidArgumentError("not a list");
  std::vector<Module> modules;
  for (const json& entry : list) {
    absl::Status status;
    const JsonObject object(entry, &status);
    Module module = {object.String("type").value_or(""), object.String("path").value_or("")};
    if (!status.ok()) return status;
    module.type.erase(0, module.type.rfind('.') + 1);
    // A folder's plain name, or nothing for the directory itself.
    if (module.path.find('/') != module.path.npos || module.path.substr(0, 1) == "." ||
        module.path.find('\0') != module.path.npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", Printable(module.path), "\" is not a folder's plain name"));
    }
    modules.push_back(std::move(module));
  }
  return modules;
}

// Older files have a flag for each mode, newer ones its name.
absl::StatusOr<Pooling> ParsePooling(std::string_view text) {
  constexpr std::pair<const char*, Pooling> kFlags[] = {
      {"pooling_mode_mean_tokens", Pooling::kMean},
      {"pooling_mode_cls_token", Pooling::kCls},
      {"pooling_mode_lasttoken", Pooling::kLast},
  };
  constexpr std::pair<std::string_view, Pooling> kNames[] = {
      {"mean", Pooling::kMean}, {"cls", Pooling::kCls}, {"lasttoken", Pooling::kLast}};
  const auto tree = ParseJsonObject(text);
  if (!tree.ok()) return tree.status();
  absl::Status status;
  const JsonObject object(*tree, &status);
  std::vector<Pooling> chosen;
  size_t set = 0;  // Flags of all modes, those that there are none of here too.
  if (const auto name = object.String("pooling_mode"); name.has_value()) {
    set = 1;
    for (const auto& [text_name, mode] : kNames) {
      if (*name == text_name) chosen.push_back(mode);
    }
  } else {
    for (const auto& [key, value] : tree->items()) {
      set += key.compare(0, 13, "pooling_mode_") == 0 && value == true;
    }
    for (const auto& [key, mode] : kFlags) {
      if (object.Bool(key).value_or(false)) chosen.push_back(mode);
    }
  }
  if (!status.ok()) return status;
  if (chosen.size() == 1 && set == 1) return chosen[0];
  return absl::InvalidArgumentError("pooling is not one of mean, cls and last token");
}

absl::Status ReadLimit(const std::string& path, SentenceTransformer* result) {
  const auto text = ReadOptionalFile(path, kMaxBytes);
  if (!text.ok()) return text.status();
  if (!text->has_value()) return absl::OkStatus();
  const auto tree = ParseJsonObject(**text);
  if (!tree.ok()) return AtPath(path, tree.status());
  absl::Status status;
  result->max_tokens = JsonObject(*tree, &status).Unsigned("max_seq_length");
  if (result->max_tokens == 0u) status = absl::InvalidArgumentError("max_seq_length is 0");
  return status.ok() ? status : AtPath(path, status);
}

absl::Status ReadPrompts(const std::string& path, SentenceTransformer* result) {
  const auto text = ReadOptionalFile(path, kMaxBytes);
  if (!text.ok()) return text.status();
  if (!text->has_value()) return absl::OkStatus();
  const auto tree = ParseJsonObject(**text);
  if (!tree.ok()) return AtPath(path, tree.status());
  absl::Status status;
  const JsonObject object(*tree, &status);
  result->default_prompt = object.String("default_prompt_name").value_or("");
  if (const json* prompts = object.Find("prompts"); prompts != nullptr) {
    if (!prompts->is_object()) object.Fail("prompts is not a JSON object");
    for (const auto& [name, prompt] : prompts->items()) {
      if (prompt.is_string()) {
        result->prompts[name] = prompt.get<std::string>();
      } else {
        object.Fail(absl::StrCat("prompt \"", Printable(name), "\" is not a string"));
      }
    }
  }
  if (!result->default_prompt.empty() && result->prompts.count(result->default_prompt) == 0) {
    object.Fail("default_prompt_name names no prompt");
  }
  return status.ok() ? status : AtPath(path, status);
}

}  // namespace

absl::StatusOr<SentenceTransformer> ReadSentenceTransformer(const std::string& directory) {
  const std::string modules_path = directory + "/modules.json";
  const auto text = ReadOptionalFile(modules_path, kMaxBytes);
  if (!text.ok()) return text.status();
  if (!text->has_value()) return absl::NotFoundError(absl::StrCat(directory, ": no modules.json"));
  const auto modules = ParseModules(**text);
  if (!modules.ok()) return AtPath(modules_path, modules.status());
  const bool known = modules->size() >= 2 && modules->size() <= 3 &&
                     (*modules)[0].type == "Transformer" && (*modules)[1].type == "Pooling" &&
                     (modules->size() == 2 || (*modules)[2].type == "Normalize");
  if (!known) {
    return AtPath(
        modules_path,
        absl::InvalidArgumentError("its modules are not Transformer, Pooling and maybe Normalize"));
  }
  SentenceTransformer result;
  result.normalize = modules->size() == 3;
  const std::string pooling_path = absl::StrCat(directory, "/", (*modules)[1].path, "/config.json");
  const auto pooling_text = ReadOptionalFile(pooling_path, kMaxBytes);
  if (!pooling_text.ok()) return pooling_text.status();
  if (!pooling_text->has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(pooling_path, ": missing"));
  }
  const auto pooling = ParsePooling(**pooling_text);
  if (!pooling.ok()) return AtPath(pooling_path, pooling.status());
  result.pooling = *pooling;
  absl::Status status = ReadLimit(directory + "/sentence_bert_config.json", &result);
  if (!status.ok()) return status;
  status = ReadPrompts(directory + "/config_sentence_transformers.json", &result);
  if (!status.ok()) return status;
  return result;
}

}  // namespace cairn::engine
