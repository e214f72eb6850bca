#include "services/configuration.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace cairn::services {
namespace {

// Of the command, or of the commands below it; `parsed`: only of those that the line names.
const CLI::Option* FindFlag(const CLI::App& command, const std::string& name, bool parsed) {
  for (const CLI::Option* option : command.get_options()) {
    if (option->check_lname(name) || option->check_sname(name)) return option;
  }
  for (const CLI::App* below : command.get_subcommands({})) {
    if (parsed && !below->parsed()) continue;
    if (const CLI::Option* option = FindFlag(*below, name, parsed)) return option;
  }
  return nullptr;
}

const CLI::App* FindCommand(const CLI::App& root, const std::string& name) {
  for (const CLI::App* command : root.get_subcommands({})) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

bool AnyCommandHas(const CLI::App& root, const std::string& name) {
  for (const CLI::App* command : root.get_subcommands({})) {
    if (FindFlag(*command, name, /*parsed=*/false) != nullptr) return true;
  }
  return false;
}

// Where the command line or the environment named a server, what the file says of a store does not
// count, and the other way round.
class ChosenPlace {
 public:
  explicit ChosenPlace(const CLI::App& command)
      : server_(IsSet(command, "server")), store_(IsSet(command, "store")) {}

  bool Overrules(const std::string& name) const {
    // The server decides these; how much an answer reuses is its asker's to say.
    const bool kept = name.starts_with("kv-") && name != "kv-reuse";
    if (server_) return kept || name == "store" || name == "embedder" || name == "reranker";
    return store_ && name == "server";
  }

 private:
  static bool IsSet(const CLI::App& command, const std::string& name) {
    const CLI::Option* option = FindFlag(command, name, /*parsed=*/true);
    return option != nullptr && option->count() > 0;
  }

  const bool server_;
  const bool store_;
};

}  // namespace

std::string DefaultConfigPath() {
  if (const char* path = std::getenv("CAIRN_CONFIG")) return path;
  if (const char* dir = std::getenv("XDG_CONFIG_HOME"); dir != nullptr && *dir != '\0') {
    return absl::StrCat(dir, "/cairn/config.toml");
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return absl::StrCat(home, "/.config/cairn/config.toml");
  }
  return "";
}

absl::Status ApplyConfiguration(const std::string& path, bool must_exist, const CLI::App& root,
                                CLI::App* command) {
  std::error_code ignored;  // What cannot be looked at is not there, or cannot be read either.
  if (path.empty() || (!must_exist && !std::filesystem::exists(path, ignored))) {
    return absl::OkStatus();
  }
  // A folder opens like a file, and would read as an empty one.
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory"));
  }
  const ChosenPlace chosen(*command);
  // The parser library throws; nothing past this function does.
  try {
    for (const CLI::ConfigItem& item : CLI::ConfigTOML().from_file(path)) {
      // Section marks.
      if (item.name == "++" || item.name == "--") continue;
      const std::string section = item.parents.empty() ? "" : item.parents.front();
      if (section.empty() || section == "default") {
        if (!AnyCommandHas(root, item.name)) {
          return absl::InvalidArgumentError(
              absl::StrCat(path, ": no command has a flag \"", item.name, "\""));
        }
      } else {
        const CLI::App* named = FindCommand(root, section);
        if (named == nullptr || FindFlag(*named, item.name, /*parsed=*/false) == nullptr) {
          return absl::InvalidArgumentError(
              absl::StrCat(path, ": unknown setting \"", item.fullname(), "\""));
        }
        if (named != command) continue;
      }
      auto* option = const_cast<CLI::Option*>(FindFlag(*command, item.name, /*parsed=*/true));
      // Set on the command line or by the environment: those come first.
      if (option == nullptr || option->count() > 0 || chosen.Overrules(item.name)) continue;
      for (const std::string& value : item.inputs) option->add_result(value);
      option->run_callback();
    }
  } catch (const CLI::Error& e) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", e.what()));
  }
  return absl::OkStatus();
}

}  // namespace cairn::services
