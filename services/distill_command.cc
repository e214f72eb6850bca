#include "services/distill_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <thread>

#include "services/command.h"
#include "services/interrupt.h"

namespace cairn::services {
namespace {

// One line on standard error, redrawn twice a second; nothing where that is no terminal.
class TeachingLine {
 public:
  void Update(uint64_t done, uint64_t all) {
    if (!terminal_) return;
    const Clock::time_point now = Clock::now();
    if (first_ == 0) {  // What a cache had does not count for the time that is left.
      first_ = done;
      start_ = now;
    }
    if (now - drawn_ < std::chrono::milliseconds(500) && done < all) return;
    drawn_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double rate = static_cast<double>(done - first_) / std::max(seconds, 1e-3);
    const double left = std::min(static_cast<double>(all - done) / std::max(rate, 1e-3), 359'999.0);
    std::fprintf(stderr, "\r\x1b[K%3.0f%% of %" PRIu64 " texts and tokens embedded, %d:%02d left",
                 100 * static_cast<double>(done) / static_cast<double>(std::max<uint64_t>(all, 1)),
                 all, static_cast<int>(left) / 60, static_cast<int>(left) % 60);
    if (done == all) std::fprintf(stderr, "\r\x1b[KFitting the tokens' vectors");
    std::fflush(stderr);
  }
  void Clear() const {
    if (terminal_) std::fprintf(stderr, "\r\x1b[K");
  }

 private:
  using Clock = std::chrono::steady_clock;
  const bool terminal_ = ::isatty(STDERR_FILENO) != 0;
  uint64_t first_ = 0;
  Clock::time_point start_, drawn_{};
};

}  // namespace

CLI::App* DistillCommand::Register(CLI::App* parent) {
  engine::DistillationOptions& options = request_.options;
  options.threads = std::max(1u, std::thread::hardware_concurrency());
  CLI::App* c = parent->add_subcommand(
      "distill", "Make a small static embedding model from an encoder and texts");
  c->add_option("ENCODER", request_.encoder, "Hugging Face directory of an embedding encoder")
      ->required();
  c->add_option("--out", request_.to, "The directory to write; nothing may be there yet")
      ->required();
  c->add_option("--texts", request_.texts, "Files of one text in a line, to learn from");
  c->add_option("--wordnet", request_.wordnet,
                "Directory of WordNet's data files, to learn from their glosses");
  c->add_option("--dims", options.dims, "Dimensions of the model")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  c->add_option("--cache", request_.options.cache,
                "Keep the encoder's vectors in this file; a run that was stopped goes on there");
  c->add_option("--max-tokens", options.max_text_tokens, "Longer texts are cut")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  c->add_option("--whitening", options.whitening,
                "Components are scaled by variance^-W: 0 not at all, 0.5 all alike")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  c->add_option("--ridge", options.ridge, "Pull towards the vectors of bare tokens")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str();
  c->add_option("--sif", options.sif, "a of the tokens' weights a / (a + frequency)")
      ->check(CLI::Range(1e-12, 1e12))
      ->capture_default_str();
  c->add_option("--quiet-weight", options.quiet_weight,
                "Further factor of tokens that are digits or punctuation")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  c->add_option("--alpha", request_.alpha,
                "Weight of the vector score beside BM25's that the model recommends")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  c->add_option("--name", request_.name,
                "The encoder's name in config.json (default: its directory's)");
  c->add_option("--threads", options.threads, "Threads that compute (default: all)")
      ->check(CLI::Range(1, 1024));
  return c;
}

int DistillCommand::Run() {
  if (request_.texts.empty() && request_.wordnet.empty()) {
    return FailUsage("model distill needs texts: --texts FILE or --wordnet DIR");
  }
  WatchForInterrupt();
  TeachingLine line;
  const auto report = engine::DistillModel(request_, [&](uint64_t done, uint64_t all) {
    line.Update(done, all);
    return !Interrupted();
  });
  line.Clear();
  if (absl::IsCancelled(report.status())) {
    std::fprintf(stderr, "cairn: interrupted%s\n",
                 request_.options.cache.empty() ? "" : "; the cache keeps what was embedded");
    return kExitInterrupted;
  }
  if (!report.ok()) return FailInput(report.status());
  std::fprintf(stderr,
               "%s: %.1f MB, from %" PRIu64 " texts of %" PRIu64
               " tokens; their means explain %.1f%% of the encoder's variance\n",
               request_.to.c_str(), static_cast<double>(report->bytes) / 1e6, report->texts,
               report->tokens, 100 * report->explained);
  return kExitOk;
}

}  // namespace cairn::services
