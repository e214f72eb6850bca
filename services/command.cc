#include "services/command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "services/interrupt.h"
#include "services/passage_output.h"

namespace cairn::services {
namespace {

// Messages quote files and arguments.
void PrintMessage(const std::string& message) {
  std::fprintf(stderr, "cairn: %s\n", ForTerminal(message, STDERR_FILENO).c_str());
}

}  // namespace

void StoreFlags::Register(CLI::App* command, bool with_collection) {
  command->add_option("--store", store, "Directory of the store")->envname("CAIRN_STORE");
  if (with_collection) {
    command->add_option("--collection", collection, "Collection in the store")
        ->envname("CAIRN_COLLECTION")
        ->capture_default_str();
  }
  command
      ->add_option(
          "--embedder", embedder,
          "Directory of an embedding model, static or an encoder (default: the built-in one)")
      ->envname("CAIRN_EMBEDDER");
}

void StoreFlags::RegisterReranking(CLI::App* command, std::optional<size_t>* rerank) {
  command
      ->add_option("--reranker", reranker,
                   "Directory of a cross-encoder that reorders what is found (default: none)")
      ->envname("CAIRN_RERANKER");
  command
      ->add_option("--rerank", *rerank,
                   "Candidates it reads; the rest follows (default 100; 0: none)")
      ->check(CLI::Range(size_t{0}, size_t{10'000}));
}

absl::StatusOr<std::unique_ptr<Engine>> StoreFlags::Open(bool writable, bool create) const {
  if (store.empty()) {
    return absl::InvalidArgumentError(
        "no store named: use --store DIR, CAIRN_STORE, or \"store\" in the configuration file");
  }
  EngineOptions options;
  options.create_if_missing = create;
  options.read_only = !writable;
  options.embedder = embedder;
  options.reranker = reranker;
  options.seal_chunks = seal_chunks;
  options.generator = generator;
  options.generator_threads = generator_threads;
  options.generator_context = generator_context;
  options.kv = kv;
  options.kv.on_problem = [](const std::string& problem) {
    PrintMessage(absl::StrCat("warning: ", problem));
  };
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(store, options);
  // A damaged model, for example: not the command line's fault.
  if (absl::IsInvalidArgument(engine.status())) {
    return absl::FailedPreconditionError(engine.status().message());
  }
  return engine;
}

int Fail(const absl::Status& status) {
  PrintMessage(std::string(status.message()));
  if (absl::IsCancelled(status) && Interrupted()) return kExitInterrupted;
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitError;
}

int FailInput(const absl::Status& status) {
  const int code = Fail(status);
  return code == kExitInterrupted ? code : kExitError;
}

int FailUsage(const std::string& message) {
  PrintMessage(message);
  return kExitUsage;
}

}  // namespace cairn::services
