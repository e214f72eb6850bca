#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/backend.h"
#include "services/command.h"
#include "services/json_output.h"
#include "services/metadata_flag.h"
#include "services/progress_bar.h"
#include "services/server_flags.h"

namespace cairn::services {
namespace {

constexpr uint64_t kIssuesShown = 20;

// A name of a file may hold anything but NUL: neither a line break nor a terminal's control
// sequences get into a message.
std::string Shown(const std::string& name) {
  std::string shown;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      absl::StrAppendFormat(&shown, "\\x%02x", byte);
    } else {
      shown.push_back(c);
    }
  }
  return shown;
}

class IngestCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("ingest", "Read documents into a store");
    flags_.Register(c);
    server_.Register(c, {"--embedder", "--threads", "--seal-chunks", "--bulk"},
                     /*with_timeout=*/false);
    c->add_option("PATH", paths_, "Files, directories (recursive), or - for standard input")
        ->required();
    chunker_ = c->add_option("--chunker", chunker_value_, "fixed, sentence or structure (default)")
                   ->check(CLI::IsMember({"fixed", "sentence", "structure"}));
    tokens_ = c->add_option("--chunk-tokens", tokens_value_, "Most tokens in a chunk (default 512)")
                  ->check(CLI::Range(8, 65536));
    overlap_ = c->add_option("--overlap-tokens", overlap_value_,
                             "Tokens repeated between chunks (fixed only; default 0)");
    analyzer_ = c->add_option("--analyzer", analyzer_value_,
                              "english (default), unicode, none, or a Snowball language");
    c->add_option("--metadata", metadata_, "NAME=VALUE, added to every document; repeatable")
        ->allow_extra_args(false);
    c->add_option("--format", options_.format, "Format of the input")
        ->check(CLI::IsMember({"auto", "text", "markdown", "html", "jsonl", "trec"}))
        ->capture_default_str();
    c->add_option("--threads", options_.threads, "Threads that chunk and embed (0: one per core)")
        ->check(CLI::Range(0, 1024));
    vector_index_ = c->add_option("--vector-index", vector_index_value_,
                                  "Of large segments: hnsw (default), flat (exact) or ivf-pq")
                        ->check(CLI::IsMember({"hnsw", "flat", "ivf-pq"}));
    vector_encoding_ = c->add_option("--vector-encoding", vector_encoding_value_,
                                     "int8 (default), bfloat16 or float32")
                           ->check(CLI::IsMember({"int8", "bfloat16", "float32"}));
    c->add_option("--seal-chunks", flags_.seal_chunks,
                  "Chunks kept in memory before they become a segment (default 32768)")
        ->check(CLI::Range(1, 10'000'000));
    c->add_flag("--bulk", options_.bulk,
                "A large initial load: larger batches and segments, less writing");
    c->add_flag("--strict", options_.strict, "Stop at the first record that cannot be read");
    c->add_flag("--acks", acks_, "Print each document's id once it is on disk");
    c->add_flag("--json", json_, "Print the summary as JSON");
    c->footer(
        "Documents are found by content and extension: plain text, Markdown, HTML, JSONL\n"
        "({_id, title, text, metadata}), TREC SGML. Running the same command again continues:\n"
        "unchanged documents are skipped, also with --bulk.\n\n"
        "Examples:\n"
        "  cairn ingest --store my.store manuals/ notes.md\n"
        "  cairn ingest --store my.store --metadata lang=en --metadata year=2024 corpus.jsonl\n"
        "  zcat dump.jsonl.gz | cairn ingest --store my.store --format jsonl -\n"
        "  cairn ingest --server localhost:7700 manuals/");
    return c;
  }

  int Run() override {
    // A mistyped path should cost nothing, not even a new store.
    for (const std::string& path : paths_) {
      struct stat st;
      if (path != "-" && ::lstat(path.c_str(), &st) != 0) {
        return FailInput(absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", Shown(path))));
      }
    }
    absl::StatusOr<Metadata> metadata = ParseMetadata(metadata_);
    if (!metadata.ok()) return Fail(metadata.status());
    options_.metadata = *std::move(metadata);
    options_.collection = flags_.collection;
    if (chunker_->count() > 0) options_.create.chunker = chunker_value_;
    if (tokens_->count() > 0) options_.create.chunk_tokens = tokens_value_;
    if (overlap_->count() > 0) options_.create.overlap_tokens = overlap_value_;
    if (analyzer_->count() > 0) options_.create.analyzer = analyzer_value_;
    if (vector_index_->count() > 0) options_.create.vector_index = vector_index_value_;
    if (vector_encoding_->count() > 0) options_.create.vector_encoding = vector_encoding_value_;

    absl::StatusOr<bool> remote = server_.NamesServer(flags_);
    if (!remote.ok()) return Fail(remote.status());
    struct stat st;
    if (!*remote && !flags_.store.empty() && ::lstat(flags_.store.c_str(), &st) != 0) {
      // Nor should bad settings leave an empty store behind.
      if (absl::Status s = Engine::CheckOptions(options_); !s.ok()) return Fail(s);
    }
    if (std::find(paths_.begin(), paths_.end(), "-") != paths_.end()) {
      server_.LeaveInterruptsAlone();
    }
    absl::StatusOr<std::unique_ptr<Backend>> backend = server_.Open(flags_, true, true);
    if (!backend.ok()) return Fail(backend.status());
    ProgressBar bar;
    uint64_t shown = 0;
    options_.on_issue = [&](const IngestIssue& issue) {
      if (++shown > kIssuesShown) return;
      bar.Clear();
      const std::string line = issue.line > 0 ? absl::StrCat(":", issue.line) : "";
      std::fprintf(stderr, "%s%s: %s\n", Shown(issue.source).c_str(), line.c_str(),
                   issue.reason.c_str());
      if (shown == kIssuesShown) std::fprintf(stderr, "(further messages are only counted)\n");
    };
    if (bar.visible()) options_.on_progress = [&](const IngestProgress& p) { bar.Update(p); };
    if (acks_) {
      options_.on_durable = [](const std::string& id) {
        std::printf("%s\n", id.c_str());
        std::fflush(stdout);
      };
    }
    IngestReport stored;
    options_.report = &stored;
    const auto start = std::chrono::steady_clock::now();
    absl::StatusOr<IngestReport> report = (*backend)->Ingest(paths_, options_);
    // Or a store that is filled by many short runs would never get to it. What is stored is stored
    // even if this fails, and the next run tries again.
    const absl::Status sealed =
        report.ok() ? (*backend)->AwaitSeals(options_.collection) : absl::OkStatus();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    bar.Clear();
    if (report.ok() || stored.bytes > 0) Print(stored, took.count());
    // Before anything is read, the settings are at fault; after that, the input.
    if (!report.ok()) return shown == 0 ? Fail(report.status()) : FailInput(report.status());
    if (!sealed.ok()) {
      std::fprintf(stderr, "cairn: stored, but not all in segments yet: %s\n",
                   std::string(sealed.message()).c_str());
    }
    if (report->created + report->replaced + report->unchanged > 0) return kExitOk;
    if (report->issues > 0) return kExitError;
    std::fprintf(stderr, "cairn: no documents there\n");
    return kExitNothingFound;
  }

 private:
  void Print(const IngestReport& report, double seconds) const {
    if (json_) {
      std::printf("%s\n", Dump(ToJson(report)).c_str());
      return;
    }
    std::fprintf(stderr, "%s\n",
                 absl::StrFormat("%d new, %d replaced, %d unchanged, %d skipped or duplicate; "
                                 "%d chunks; %s in %.2f s (%s/s), %.0f%% of it embedding",
                                 report.created, report.replaced, report.unchanged, report.issues,
                                 report.chunks, HumanBytes(static_cast<double>(report.bytes)),
                                 seconds, HumanBytes(static_cast<double>(report.bytes) / seconds),
                                 100 * report.embed_busy)
                     .c_str());
  }

  StoreFlags flags_;
  ServerFlags server_;
  IngestOptions options_;
  std::vector<std::string> paths_, metadata_;
  std::string chunker_value_, analyzer_value_, vector_index_value_, vector_encoding_value_;
  uint32_t tokens_value_ = 0, overlap_value_ = 0;
  CLI::Option* chunker_ = nullptr;
  CLI::Option* tokens_ = nullptr;
  CLI::Option* overlap_ = nullptr;
  CLI::Option* analyzer_ = nullptr;
  CLI::Option* vector_index_ = nullptr;
  CLI::Option* vector_encoding_ = nullptr;
  bool acks_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeIngestCommand() { return std::make_unique<IngestCommand>(); }

}  // namespace cairn::services
