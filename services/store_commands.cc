// stats, verify.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "services/command.h"
#include "services/json_output.h"
#include "services/progress_bar.h"

namespace cairn::services {
namespace {

class StatsCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("stats", "Show what a store holds");
    flags_.Register(c, false);
    c->add_flag("--json", json_, "Print JSON");
    c->footer("Example:\n  cairn stats --store my.store");
    return c;
  }

  int Run() override {
    absl::StatusOr<std::unique_ptr<Engine>> engine = flags_.Open(false);
    if (!engine.ok()) return Fail(engine.status());
    absl::StatusOr<StoreInfo> info = (*engine)->Stats();
    if (!info.ok()) return Fail(info.status());
    if (json_) {
      std::printf("%s\n", Dump(ToJson(*info)).c_str());
      return kExitOk;
    }
    std::printf("store %s, %s on disk\n", info->uuid.c_str(),
                HumanBytes(static_cast<double>(info->disk_bytes)).c_str());
    for (const CollectionInfo& c : info->collections) {
      std::printf("\ncollection %s\n", c.name.c_str());
      std::printf("  documents  %lu\n", static_cast<unsigned long>(c.documents));
      std::printf("  chunks     %lu (%s, at most %u tokens, overlap %u)\n",
                  static_cast<unsigned long>(c.chunks), c.chunker.c_str(), c.chunk_tokens,
                  c.overlap_tokens);
      std::printf("  terms      %lu distinct, %.1f per chunk (%s)\n",
                  static_cast<unsigned long>(c.terms), c.average_terms, c.analyzer.c_str());
      std::printf("  vectors    %u dimensions (embedder %s)\n", c.dim,
                  c.embedder_fingerprint.c_str());
      std::printf("  in memory  %s\n", HumanBytes(static_cast<double>(c.memory_bytes)).c_str());
    }
    return kExitOk;
  }

 private:
  StoreFlags flags_;
  bool json_ = false;
};

class VerifyCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("verify", "Check every row, span and checksum of a store");
    flags_.Register(c, false);
    c->add_flag("--json", json_, "Print JSON");
    c->footer(
        "Exits with 3 when something is damaged.\n\n"
        "Example:\n  cairn verify --store my.store");
    return c;
  }

  int Run() override {
    absl::StatusOr<std::unique_ptr<Engine>> engine = flags_.Open(false);
    if (!engine.ok()) return Fail(engine.status());
    absl::StatusOr<VerifyResult> result = (*engine)->Verify();
    if (!result.ok()) return Fail(result.status());
    if (json_) {
      std::printf("%s\n", Dump(ToJson(*result)).c_str());
    } else {
      for (const std::string& p : result->problems) std::printf("%s\n", p.c_str());
      std::fprintf(
          stderr, "%lu collections, %lu documents, %lu chunks, %lu vectors, %lu terms: %s\n",
          static_cast<unsigned long>(result->collections),
          static_cast<unsigned long>(result->documents), static_cast<unsigned long>(result->chunks),
          static_cast<unsigned long>(result->vectors), static_cast<unsigned long>(result->terms),
          result->problem_count == 0
              ? "sound"
              : (std::to_string(result->problem_count) + " problems").c_str());
    }
    return result->problem_count == 0 ? kExitOk : kExitError;
  }

 private:
  StoreFlags flags_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeStatsCommand() { return std::make_unique<StatsCommand>(); }
std::unique_ptr<Command> MakeVerifyCommand() { return std::make_unique<VerifyCommand>(); }

}  // namespace cairn::services
