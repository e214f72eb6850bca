// What every subcommand of the command line tool shares.
#ifndef CAIRN_SERVICES_COMMAND_H_
#define CAIRN_SERVICES_COMMAND_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace CLI {
class App;
}

namespace cairn::services {

// Exit codes, documented in the README.
inline constexpr int kExitOk = 0;
inline constexpr int kExitNothingFound = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitError = 3;
inline constexpr int kExitInterrupted = 130;  // 128 and SIGINT, as shells have it.

// One subcommand: registers its flags, then runs once they are filled in.
class Command {
 public:
  virtual ~Command() = default;
  // Adds the subcommand to `app`, whose lifetime ends after Run. The parser writes into this
  // object.
  virtual CLI::App* Register(CLI::App* app) = 0;
  // Returns an exit code. Data goes to standard output, messages to standard error.
  virtual int Run() = 0;
};

// The flags that name a store and a collection.
struct StoreFlags {
  std::string store;
  std::string collection = "default";
  std::string embedder;
  std::string reranker;
  size_t seal_chunks = 0;  // EngineOptions::seal_chunks
  // As EngineOptions has them.
  std::string generator;
  size_t generator_threads = 0;
  size_t generator_context = 0;
  KvReuseOptions kv;

  void Register(CLI::App* command, bool with_collection = true);
  // The flags of commands that search: --reranker, and --rerank, which writes into *rerank.
  void RegisterReranking(CLI::App* command, std::optional<size_t>* rerank);
  // InvalidArgument when no store is named, and for nothing else.
  absl::StatusOr<std::unique_ptr<Engine>> Open(bool writable, bool create = false) const;
};

// Prints "cairn: MESSAGE" and gives the exit code that fits the status.
int Fail(const absl::Status& status);
// The same for input: whatever its fault, the command line was right.
int FailInput(const absl::Status& status);
// The same for a wrong use of the command line.
int FailUsage(const std::string& message);

std::unique_ptr<Command> MakeIngestCommand();
std::unique_ptr<Command> MakeSearchCommand();
std::unique_ptr<Command> MakeAskCommand();
std::unique_ptr<Command> MakeGenerateCommand();
std::unique_ptr<Command> MakeEvalCommand();
std::unique_ptr<Command> MakeGetCommand();
std::unique_ptr<Command> MakeDeleteCommand();
std::unique_ptr<Command> MakeListCommand();
std::unique_ptr<Command> MakeStatsCommand();
std::unique_ptr<Command> MakeVerifyCommand();
std::unique_ptr<Command> MakeCompactCommand();
std::unique_ptr<Command> MakeReindexCommand();
std::unique_ptr<Command> MakeReembedCommand();
std::unique_ptr<Command> MakeSnapshotCommand();
std::unique_ptr<Command> MakeRestoreCommand();
std::unique_ptr<Command> MakeEmbedCommand();
std::unique_ptr<Command> MakeRerankCommand();
std::unique_ptr<Command> MakeBenchCommand();
std::unique_ptr<Command> MakeKvCommand();
std::unique_ptr<Command> MakeModelCommand();
std::unique_ptr<Command> MakeServeCommand();
std::unique_ptr<Command> MakeTokenCommand();
// `root` is the complete command line, which the script is made from.
std::unique_ptr<Command> MakeCompletionCommand(const CLI::App* root);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_COMMAND_H_
