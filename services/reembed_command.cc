#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>

#include "absl/strings/str_format.h"
#include "services/command.h"
#include "services/json_output.h"
#include "services/passage_output.h"
#include "services/progress_bar.h"

namespace cairn::services {
namespace {

class ReembedCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("reembed", "Give a collection another model's vectors");
    flags_.Register(c);
    threads_ = c->add_option("--threads", options_.threads, "Threads that embed (0: one per core)")
                   ->check(CLI::Range(0, 1024));
    c->add_flag("--abort", abort_, "Give up one that is not complete");
    c->add_flag("--json", json_, "Print the summary as JSON");
    c->footer(
        "Searches go on with the old vectors until all new ones are there. Stopped at any moment\n"
        "the collection is as it was, and the same command goes on where it stopped. Chunks stay\n"
        "as they are. Afterwards the store is opened with --embedder (or CAIRN_EMBEDDER).\n\n"
        "Examples:\n"
        "  cairn reembed --store my.store --embedder bge-small\n"
        "  cairn reembed --store my.store --abort");
    return c;
  }

  int Run() override {
    if (abort_ && (json_ || threads_->count() > 0)) {
      return FailUsage("--abort goes with nothing but the store and the collection");
    }
    absl::StatusOr<std::unique_ptr<Engine>> engine = flags_.Open(true);
    if (!engine.ok()) return Fail(engine.status());
    if (abort_) {
      const absl::Status s = (*engine)->AbortReembedding(flags_.collection);
      return s.ok() ? kExitOk : Fail(s);
    }
    options_.collection = flags_.collection;
    options_.embedder = flags_.embedder;
    ProgressBar bar;
    if (bar.visible()) {
      options_.on_progress = [&](const ReembedProgress& p) {
        bar.UpdateShare(p.documents, p.total);
      };
    }
    const auto start = std::chrono::steady_clock::now();
    absl::StatusOr<ReembedReport> report = (*engine)->Reembed(options_);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    bar.Clear();
    if (!report.ok()) return Fail(report.status());
    if (json_) {
      std::printf("%s\n", Dump(ToJson(*report)).c_str());
    } else if (!report->changed) {
      std::fprintf(stderr, "nothing to do: collection %s has this model's vectors\n",
                   flags_.collection.c_str());
    } else {
      std::fprintf(stderr, "%s\n",
                   absl::StrFormat("%d documents, %d of them before; %d chunks in %.2f s",
                                   report->documents + report->resumed, report->resumed,
                                   report->chunks, took.count())
                       .c_str());
    }
    return kExitOk;
  }

 private:
  StoreFlags flags_;
  ReembedOptions options_;
  bool abort_ = false, json_ = false;
  CLI::Option* threads_ = nullptr;
};

}  // namespace

std::unique_ptr<Command> MakeReembedCommand() { return std::make_unique<ReembedCommand>(); }

}  // namespace cairn::services
