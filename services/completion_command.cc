#include <CLI/CLI.hpp>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "services/command.h"

namespace cairn::services {
namespace {

// "-k --mode ..." of a command.
std::vector<std::string> FlagsOf(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_snames()) flags.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return flags;
}

std::string BashScript(const CLI::App& root) {
  std::vector<std::string> names;
  std::string cases;
  for (const CLI::App* command : root.get_subcommands({})) {
    names.push_back(command->get_name());
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

std::string FishScript(const CLI::App& root) {
  std::string script;
  for (const CLI::App* command : root.get_subcommands({})) {
    absl::StrAppend(&script, "complete -c cairn -n __fish_use_subcommand -a ", command->get_name(),
                    " -d ", FishQuoted(command->get_description()), "\n");
    for (const CLI::Option* option : command->get_options()) {
      if (option->get_positional()) continue;
      std::string names;
      for (const std::string& n : option->get_snames()) absl::StrAppend(&names, " -s ", n);
      for (const std::string& n : option->get_lnames()) absl::StrAppend(&names, " -l ", n);
      absl::StrAppend(&script, "complete -c cairn -n '__fish_seen_subcommand_from ",
                      command->get_name(), "'", names, option->get_expected_min() > 0 ? " -r" : "",
                      " -d ", FishQuoted(option->get_description()), "\n");
    }
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
