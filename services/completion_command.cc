#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "services/command.h"

namespace cairn::services {
namespace {

void AddOnce(std::string flag, std::vector<std::string>* flags) {
  if (std::find(flags->begin(), flags->end(), flag) == flags->end()) {
    flags->push_back(std::move(flag));
  }
}

// "-k --mode ..." of a command and of the commands below it.
std::vector<std::string> FlagsOf(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_snames()) AddOnce("-" + name, &flags);
    for (const std::string& name : option->get_lnames()) AddOnce("--" + name, &flags);
  }
  for (const CLI::App* below : command.get_subcommands({})) {
    for (std::string& flag : FlagsOf(*below)) AddOnce(std::move(flag), &flags);
  }
  return flags;
}

std::vector<std::string> NamesBelow(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* below : command.get_subcommands({})) names.push_back(below->get_name());
  return names;
}

std::string BashScript(const CLI::App& root) {
  const std::vector<std::string> names = NamesBelow(root);
  std::string cases;
  std::string commands_below;
  for (const CLI::App* command : root.get_subcommands({})) {
    if (const std::vector<std::string> below = NamesBelow(*command); !below.empty()) {
      absl::StrAppend(&commands_below, "    ", command->get_name(), ") COMPREPLY=($(compgen -W \"",
                      absl::StrJoin(below, " "), "\" -- \"$current\")); return ;;\n");
    }
    absl::StrAppend(&cases, "    ", command->get_name(), ") words=\"",
                    absl::StrJoin(FlagsOf(*command), " "), "\" ;;\n");
  }
  return absl::StrCat(
      "_cairn() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\"\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"",
      absl::StrJoin(names, " "),
      " --help --version\" -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  [ \"$COMP_CWORD\" -eq 2 ] && case \"${COMP_WORDS[1]}\" in\n",
      commands_below,
      "  esac\n"
      "  case \"${COMP_WORDS[1]}\" in\n",
      cases,
      "  esac\n"
      "  case \"$current\" in\n"
      "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$current\")) ;;\n"
      "    *) COMPREPLY=($(compgen -f -- \"$current\")) ;;\n"
      "  esac\n"
      "}\n"
      "complete -o filenames -F _cairn cairn\n");
}

std::string FishQuoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

// Completions of `command`'s options and of those of the commands below it, where the line begins
// with `words`.
void AddFishOptions(const CLI::App& command, const std::string& words, std::string* script) {
  const std::string line = absl::StrCat("complete -c cairn -n '__cairn_begins ", words, "'");
  for (const CLI::App* below : command.get_subcommands({})) {
    absl::StrAppend(script, "complete -c cairn -n '__cairn_is ", words, "' -a ", below->get_name(),
                    " -d ", FishQuoted(below->get_description()), "\n");
    AddFishOptions(*below, absl::StrCat(words, " ", below->get_name()), script);
  }
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) continue;
    std::string names;
    for (const std::string& n : option->get_snames()) absl::StrAppend(&names, " -s ", n);
    for (const std::string& n : option->get_lnames()) absl::StrAppend(&names, " -l ", n);
    absl::StrAppend(script, line, names, option->get_expected_min() > 0 ? " -r" : "", " -d ",
                    FishQuoted(option->get_description()), "\n");
  }
}

std::string FishScript(const CLI::App& root) {
  // Whether the words after "cairn" begin with some, and whether they are just those.
  std::string script =
      "function __cairn_begins\n"
      "  set -l words (commandline -opc)\n"
      "  set -e words[1]\n"
      "  test (count $words) -ge (count $argv)\n"
      "  and test \"$words[1..(count $argv)]\" = \"$argv\"\n"
      "end\n"
      "function __cairn_is\n"
      "  set -l words (commandline -opc)\n"
      "  set -e words[1]\n"
      "  test \"$words\" = \"$argv\"\n"
      "end\n";
  for (const CLI::App* command : root.get_subcommands({})) {
    absl::StrAppend(&script, "complete -c cairn -n __fish_use_subcommand -a ", command->get_name(),
                    " -d ", FishQuoted(command->get_description()), "\n");
    AddFishOptions(*command, command->get_name(), &script);
  }
  return script;
}

class CompletionCommand : public Command {
 public:
  explicit CompletionCommand(const CLI::App* root) : root_(*root) {}

  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("completion", "Print a shell completion script");
    c->add_option("SHELL", shell_, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    c->footer(
        "Examples:\n"
        "  source <(cairn completion bash)\n"
        "  cairn completion fish > ~/.config/fish/completions/cairn.fish");
    return c;
  }

  int Run() override {
    std::string script;
    if (shell_ == "fish") {
      script = FishScript(root_);
    } else if (shell_ == "zsh") {
      // zsh runs bash completions.
      script = absl::StrCat("autoload -U +X bashcompinit && bashcompinit\n", BashScript(root_));
    } else {
      script = BashScript(root_);
    }
    std::fputs(script.c_str(), stdout);
    return kExitOk;
  }

 private:
  const CLI::App& root_;
  std::string shell_;
};

}  // namespace

std::unique_ptr<Command> MakeCompletionCommand(const CLI::App* root) {
  return std::make_unique<CompletionCommand>(root);
}

}  // namespace cairn::services
