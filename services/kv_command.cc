// kv build, stats, verify, evict.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cinttypes>
#include <cstdio>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/command.h"
#include "services/interrupt.h"
#include "services/json_output.h"
#include "services/kv_flags.h"
#include "services/passage_output.h"
#include "services/progress_bar.h"

namespace cairn::services {
namespace {

class KvCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand(
        "kv", "Keep the keys and values of passages, so that answers need not read them anew");
    c->require_subcommand(0, 1);  // None is reported below: here it would hide a mistyped one.
    RegisterBuild(c);
    stats_ = c->add_subcommand("stats", "Show how many are kept, and how large they are");
    flags_.Register(stats_);
    verify_ = c->add_subcommand("verify", "Read all of them, and drop those that are damaged");
    flags_.Register(verify_, false);
    verify_->footer("Exits with 1 when something was damaged: it will be computed again.");
    RegisterEvict(c);
    for (CLI::App* command : {build_, stats_, verify_, evict_}) {
      command->add_flag("--json", json_, "Print JSON");
    }
    c->footer(
        "Examples:\n"
        "  cairn kv build --store my.store --model qwen2.5.gguf\n"
        "  cairn ask --store my.store --model qwen2.5.gguf --kv-reuse balanced 'Who wrote it?'\n"
        "  cairn kv stats --store my.store\n"
        "  cairn kv verify --store my.store\n"
        "  cairn kv evict --store my.store --bytes 1000000000");
    return c;
  }

  int Run() override {
    if (build_->parsed()) return Build();
    if (stats_->parsed()) return Stats();
    if (verify_->parsed()) return Verify();
    if (evict_->parsed()) return Evict();
    return FailUsage("kv needs a command; cairn kv --help lists them");
  }

 private:
  void RegisterBuild(CLI::App* parent) {
    build_ = parent->add_subcommand("build", "Compute those of all chunks of a collection");
    flags_.Register(build_);
    build_->add_option("--model,--generator", flags_.generator,
                       "Language model that will write answers: GGUF file, or Hugging Face "
                       "directory");
    build_->add_option("--threads", flags_.generator_threads, "Of the model; 0: one for each core")
        ->check(CLI::Range(size_t{0}, size_t{1024}))
        ->capture_default_str();
    build_
        ->add_option("--max-context", flags_.generator_context,
                     "Most tokens of prompt and answer; 0: the model's own")
        ->check(CLI::Range(size_t{0}, size_t{1} << 30))
        ->capture_default_str();
    RegisterKvStorage(build_, &flags_.kv);
    build_->footer(
        "They are the model's own: another model needs others. Stopped at any moment, the same\n"
        "command goes on where it stopped. Ctrl-C stops it; exit code 130.");
  }

  void RegisterEvict(CLI::App* parent) {
    evict_ = parent->add_subcommand("evict", "Delete those that are worth the least");
    flags_.Register(evict_, false);
    CLI::Option* bytes = evict_->add_option("--bytes", bytes_, "Until so many bytes are gone")
                             ->check(CLI::Range(uint64_t{1}, std::numeric_limits<uint64_t>::max()));
    evict_->add_flag("--all", all_, "All of them")->excludes(bytes);
  }

  absl::StatusOr<std::unique_ptr<Engine>> Open(bool writable) {
    flags_.kv.enabled = true;
    return flags_.Open(writable);
  }
  // For who only looks after what is there: a budget that was chosen elsewhere must not cost any of
  // it.
  absl::StatusOr<std::unique_ptr<Engine>> OpenAsItIs(bool writable) {
    flags_.kv.disk_bytes = std::numeric_limits<int64_t>::max();
    return Open(writable);
  }

  int Build() {
    if (flags_.generator.empty()) {
      return FailUsage("no language model named: use --model, the one that will write answers");
    }
    absl::StatusOr<std::unique_ptr<Engine>> engine = Open(true);
    if (!engine.ok()) return Fail(engine.status());
    WatchForInterrupt();
    KvBuildOptions options;
    options.collection = flags_.collection;
    options.is_cancelled = Interrupted;
    ProgressBar bar;
    KvBuildProgress reached;
    options.on_progress = [&](const KvBuildProgress& progress) {
      reached = progress;
      bar.UpdateShare(progress.documents, progress.total_documents);
    };
    const absl::StatusOr<KvBuildReport> report = (*engine)->BuildKv(options);
    bar.Clear();
    if (absl::IsCancelled(report.status()) && Interrupted()) {
      std::fprintf(stderr,
                   "cairn: stopped after %" PRIu64 " of %" PRIu64 " documents, %" PRIu64
                   " chunks made; the next run goes on from there\n",
                   reached.documents, reached.total_documents, reached.chunks);
      return kExitInterrupted;
    }
    if (!report.ok()) return Fail(report.status());
    PrintReport(*report);
    return kExitOk;
  }

  void PrintReport(const KvBuildReport& report) const {
    if (json_) {
      std::printf("%s\n", Dump(ToJson(report)).c_str());
      return;
    }
    std::fprintf(stderr, "%s\n",
                 absl::StrFormat("%d documents; %d chunks made, %d there before; %d tokens, %s in "
                                 "%.2f s",
                                 report.documents, report.chunks, report.known, report.tokens,
                                 HumanBytes(static_cast<double>(report.bytes)), report.seconds)
                     .c_str());
    if (report.skipped > 0) {
      std::fprintf(stderr,
                   "%" PRIu64
                   " chunks are not kept: they do not fit the model's context, or the "
                   "disk's budget (--kv-disk-bytes)\n",
                   report.skipped);
    }
  }

  int Stats() {
    absl::StatusOr<std::unique_ptr<Engine>> engine = OpenAsItIs(false);
    if (!engine.ok()) return Fail(engine.status());
    const absl::StatusOr<KvInfo> info = (*engine)->DescribeKv(flags_.collection);
    if (!info.ok()) return Fail(info.status());
    if (json_) {
      std::printf("%s\n", Dump(ToJson(*info)).c_str());
      return kExitOk;
    }
    // Memory, hits and misses are those of this process, which has only just begun.
    std::printf("%" PRIu64 " chunks, %s\n", info->disk_blobs,
                HumanBytes(static_cast<double>(info->disk_bytes)).c_str());
    return kExitOk;
  }

  int Verify() {
    absl::StatusOr<std::unique_ptr<Engine>> engine = OpenAsItIs(true);
    if (!engine.ok()) return Fail(engine.status());
    const absl::StatusOr<KvVerifyResult> result = (*engine)->VerifyKv();
    if (!result.ok()) return Fail(result.status());
    if (json_) {
      std::printf("%s\n", Dump(ToJson(*result)).c_str());
    } else {
      for (const std::string& problem : result->problems) {
        std::printf("%s\n", ForTerminal(problem, STDOUT_FILENO).c_str());
      }
      const std::string found =
          result->bad == 0
              ? "sound"
              : absl::StrCat(result->bad, " damaged and dropped; they will be computed again");
      std::fprintf(stderr, "%" PRIu64 " chunks, %s: %s\n", result->blobs,
                   HumanBytes(static_cast<double>(result->bytes)).c_str(), found.c_str());
    }
    return result->bad == 0 ? kExitOk : kExitNothingFound;
  }

  int Evict() {
    if (!all_ && !bytes_.has_value()) return FailUsage("evict needs --bytes N or --all");
    absl::StatusOr<std::unique_ptr<Engine>> engine = OpenAsItIs(true);
    if (!engine.ok()) return Fail(engine.status());
    const absl::StatusOr<uint64_t> evicted =
        (*engine)->EvictKv(all_ ? std::numeric_limits<uint64_t>::max() : *bytes_);
    if (!evicted.ok()) return Fail(evicted.status());
    if (json_) {
      std::printf("%s\n", Dump({{"evicted_bytes", *evicted}}).c_str());
    } else {
      std::fprintf(stderr, "%s deleted\n", HumanBytes(static_cast<double>(*evicted)).c_str());
    }
    return kExitOk;
  }

  StoreFlags flags_;
  CLI::App* build_ = nullptr;
  CLI::App* stats_ = nullptr;
  CLI::App* verify_ = nullptr;
  CLI::App* evict_ = nullptr;
  std::optional<uint64_t> bytes_;
  bool all_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeKvCommand() { return std::make_unique<KvCommand>(); }

}  // namespace cairn::services
