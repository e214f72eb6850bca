// stats, verify, compact, reindex, snapshot, restore.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "services/command.h"
#include "services/json_output.h"
#include "services/passage_output.h"
#include "services/progress_bar.h"
#include "services/server_flags.h"

namespace cairn::services {
namespace {

class StatsCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("stats", "Show what a store holds");
    flags_.Register(c, false);
    server_.Register(c, {"--embedder"}, /*with_timeout=*/true);
    c->add_flag("--json", json_, "Print JSON");
    c->footer(
        "Examples:\n"
        "  cairn stats --store my.store\n"
        "  cairn stats --server localhost:7700");
    return c;
  }

  int Run() override {
    absl::StatusOr<std::unique_ptr<Backend>> backend = server_.Open(flags_, false);
    if (!backend.ok()) return Fail(backend.status());
    absl::StatusOr<StoreInfo> info = (*backend)->Stats();
    if (!info.ok()) return Fail(info.status());
    if (json_) {
      std::printf("%s\n", Dump(ToJson(*info)).c_str());
      return kExitOk;
    }
    // A server tells this to its administrators only.
    if (!info->uuid.empty()) {
      std::printf("store %s, %s on disk\n", info->uuid.c_str(),
                  HumanBytes(static_cast<double>(info->disk_bytes)).c_str());
    }
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
      std::printf("             %s, %s\n", c.vector_index.c_str(), c.vector_encoding.c_str());
      if (c.reembedding.has_value()) {
        std::printf(
            "             re-embedding in progress: %lu documents done, %u dimensions (%s)\n",
            static_cast<unsigned long>(c.reembedding->documents), c.reembedding->dim,
            ForTerminal(c.reembedding->model, STDOUT_FILENO).c_str());
      }
      std::printf(
          "  segments   %lu, %s mapped; %lu chunks not in one yet, %lu deleted ones still\n",
          static_cast<unsigned long>(c.segments),
          HumanBytes(static_cast<double>(c.mapped_bytes)).c_str(),
          static_cast<unsigned long>(c.tail_chunks), static_cast<unsigned long>(c.dead_chunks));
      std::printf("  in memory  %s\n", HumanBytes(static_cast<double>(c.memory_bytes)).c_str());
    }
    return kExitOk;
  }

 private:
  StoreFlags flags_;
  ServerFlags server_;
  bool json_ = false;
};

class VerifyCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("verify", "Check every row, span and checksum of a store");
    flags_.Register(c, false);
    c->add_flag("--json", json_, "Print JSON");
    c->add_flag("--deep", deep_, "Also compare every segment with the rows it was built from");
    c->footer(
        "Exits with 3 when something is damaged.\n\n"
        "Example:\n  cairn verify --store my.store");
    return c;
  }

  int Run() override {
    absl::StatusOr<std::unique_ptr<Engine>> engine = flags_.Open(false);
    if (!engine.ok()) return Fail(engine.status());
    absl::StatusOr<VerifyResult> result = (*engine)->Verify(deep_);
    if (!result.ok()) return Fail(result.status());
    if (json_) {
      std::printf("%s\n", Dump(ToJson(*result)).c_str());
    } else {
      for (const std::string& p : result->problems) std::printf("%s\n", p.c_str());
      std::fprintf(
          stderr,
          "%lu collections, %lu documents, %lu chunks, %lu vectors, %lu terms, %lu segments: %s\n",
          static_cast<unsigned long>(result->collections),
          static_cast<unsigned long>(result->documents), static_cast<unsigned long>(result->chunks),
          static_cast<unsigned long>(result->vectors), static_cast<unsigned long>(result->terms),
          static_cast<unsigned long>(result->segments),
          result->problem_count == 0
              ? "sound"
              : (std::to_string(result->problem_count) + " problems").c_str());
    }
    return result->problem_count == 0 ? kExitOk : kExitError;
  }

 private:
  StoreFlags flags_;
  bool json_ = false;
  bool deep_ = false;
};

// A command that changes nothing but how the index is stored.
class RebuildCommand : public Command {
 public:
  using Rebuild = absl::Status (Engine::*)(const MaintenanceOptions&);
  RebuildCommand(const char* name, const char* description, const char* footer, Rebuild rebuild)
      : name_(name), description_(description), footer_(footer), rebuild_(rebuild) {}

  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand(name_, description_);
    flags_.Register(c, false);
    c->footer(footer_);
    return c;
  }

  int Run() override {
    absl::StatusOr<std::unique_ptr<Engine>> engine = flags_.Open(true);
    if (!engine.ok()) return Fail(engine.status());
    const absl::Status s = (engine->get()->*rebuild_)({});
    return s.ok() ? kExitOk : Fail(s);
  }

 private:
  const char* const name_;
  const char* const description_;
  const char* const footer_;
  const Rebuild rebuild_;
  StoreFlags flags_;
};

class SnapshotCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("snapshot", "Copy a store as it is now into a new directory");
    flags_.Register(c, false);
    c->add_option("DIRECTORY", directory_, "Where to; must not exist, or be empty")->required();
    c->footer(
        "Files that never change are shared with the store (hard links) where the file system\n"
        "allows it, so a snapshot is quick and small. It can be opened like any store; cairn\n"
        "restore makes an independent store of it.\n\n"
        "Example:\n  cairn snapshot --store my.store backups/monday");
    return c;
  }

  int Run() override {
    absl::StatusOr<std::unique_ptr<Engine>> engine = flags_.Open(true);
    if (!engine.ok()) return Fail(engine.status());
    const absl::Status s = (*engine)->Snapshot(directory_);
    return s.ok() ? kExitOk : Fail(s);
  }

 private:
  StoreFlags flags_;
  std::string directory_;
};

class RestoreCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("restore", "Make a store from a snapshot");
    flags_.Register(c, false);
    c->add_option("SNAPSHOT", snapshot_, "What cairn snapshot made")->required();
    c->footer(
        "The snapshot stays as it is. --store names the new store, which must not exist.\n\n"
        "Example:\n  cairn restore --store my.store backups/monday");
    return c;
  }

  int Run() override {
    if (flags_.store.empty()) return FailUsage("no store: use --store or CAIRN_STORE");
    const absl::Status s = Engine::Restore(snapshot_, flags_.store);
    return s.ok() ? kExitOk : Fail(s);
  }

 private:
  StoreFlags flags_;
  std::string snapshot_;
};

}  // namespace

std::unique_ptr<Command> MakeStatsCommand() { return std::make_unique<StatsCommand>(); }
std::unique_ptr<Command> MakeVerifyCommand() { return std::make_unique<VerifyCommand>(); }
std::unique_ptr<Command> MakeCompactCommand() {
  return std::make_unique<RebuildCommand>(
      "compact", "Merge a store's index into one segment a collection",
      "The fastest to search, without anything deleted. Takes about as long as building the\n"
      "index did.\n\nExample:\n  cairn compact --store my.store",
      &Engine::Compact);
}
std::unique_ptr<Command> MakeReindexCommand() {
  return std::make_unique<RebuildCommand>(
      "reindex", "Build a store's segments anew from its rows",
      "Needed only when segments are suspected to be wrong: damaged ones are found and built\n"
      "anew by themselves.\n\nExample:\n  cairn reindex --store my.store",
      &Engine::Reindex);
}
std::unique_ptr<Command> MakeSnapshotCommand() { return std::make_unique<SnapshotCommand>(); }
std::unique_ptr<Command> MakeRestoreCommand() { return std::make_unique<RestoreCommand>(); }

}  // namespace cairn::services
