// The command line tool.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <memory>
#include <vector>

#include "services/command.h"
#include "services/configuration.h"

namespace cairn::services {
namespace {

int Main(int argc, char** argv) {
  CLI::App app(
      "cairn: documents in; ranked, cited passages out.\n"
      "Data goes to standard output, messages to standard error. Flags come before the\n"
      "environment (CAIRN_STORE, CAIRN_COLLECTION, CAIRN_EMBEDDER, CAIRN_RERANKER,\n"
      "CAIRN_SERVER, CAIRN_TOKEN_FILE), that before the configuration file.\n"
      "Exit codes: 0 done, 1 nothing found, 2 wrong use, 3 bad input or store.",
      "cairn");
  app.set_version_flag("--version", std::string("cairn ") + std::string(cairn::Version()));
  std::string config = DefaultConfigPath();
  const bool config_named = std::getenv("CAIRN_CONFIG") != nullptr;
  CLI::Option* config_option =
      app.add_option("--config", config, "Configuration file (TOML)")->capture_default_str();
  app.require_subcommand(0, 1);  // None is reported below: here it would hide a mistyped one.
  app.footer(
      "Examples:\n"
      "  cairn ingest --store my.store /usr/share/doc/debian-policy\n"
      "  cairn search --store my.store how are packages named\n"
      "  cairn ask --store my.store 'What is a virtual package?'\n"
      "  cairn COMMAND --help");

  std::vector<std::pair<std::unique_ptr<Command>, CLI::App*>> commands;
  const auto add = [&](std::unique_ptr<Command> command) {
    CLI::App* parser = command->Register(&app);
    commands.emplace_back(std::move(command), parser);
  };
  add(MakeIngestCommand());
  add(MakeSearchCommand());
  add(MakeAskCommand());
  add(MakeEvalCommand());
  add(MakeGetCommand());
  add(MakeDeleteCommand());
  add(MakeListCommand());
  add(MakeStatsCommand());
  add(MakeVerifyCommand());
  add(MakeCompactCommand());
  add(MakeReindexCommand());
  add(MakeReembedCommand());
  add(MakeSnapshotCommand());
  add(MakeRestoreCommand());
  add(MakeEmbedCommand());
  add(MakeRerankCommand());
  add(MakeGenerateCommand());
  add(MakeKvCommand());
  add(MakeBenchCommand());
  add(MakeModelCommand());
  add(MakeServeCommand());
  add(MakeTokenCommand());
  add(MakeCompletionCommand(&app));

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);  // Prints help, the version, or what is wrong.
    return code == 0 ? kExitOk : kExitUsage;
  }
  for (const auto& [command, parser] : commands) {
    if (!parser->parsed()) continue;
    const absl::Status s =
        ApplyConfiguration(config, config_named || config_option->count() > 0, app, parser);
    if (!s.ok()) return FailUsage(std::string(s.message()));
    const int code = command->Run();
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      std::fprintf(stderr, "cairn: cannot write to standard output\n");
      return kExitError;
    }
    return code;
  }
  return FailUsage("a command is required; cairn --help lists them");
}

}  // namespace
}  // namespace cairn::services

int main(int argc, char** argv) {
  // Ours does not throw, but memory may run out, and the standard library says so this way.
  try {
    return cairn::services::Main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cairn: %s\n", e.what());
    return cairn::services::kExitError;
  }
}
