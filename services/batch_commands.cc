// embed, rerank: models over files, without a store.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "chunking/readers/reader.h"
#include "engine/batch/embed_records.h"
#include "engine/batch/passage_lists.h"
#include "engine/batch/rerank_run.h"
#include "engine/eval/topics.h"
#include "engine/eval/trec_files.h"
#include "engine/model/open_model.h"
#include "engine/model/static_embedder.h"
#include "services/command.h"
#include "services/output_file.h"
#include "services/progress_bar.h"

namespace cairn::services {
namespace {

absl::StatusOr<std::unique_ptr<chunking::ByteSource>> OpenInput(const std::string& path) {
  if (path == "-") return chunking::StandardInput();
  return chunking::OpenFile(path);
}

// How a batch goes, on a terminal; and at its end what it did.
class BatchProgress {
 public:
  void Show(const engine::BatchReport& report) {
    if (bar_.visible()) bar_.Update({report.bytes, 0, report.records});
  }
  void End(const engine::BatchReport& report, const char* what) {
    bar_.Clear();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
    const std::string skipped =
        report.skipped > 0 ? absl::StrCat(", ", report.skipped, " bad lines skipped") : "";
    std::fprintf(stderr, "%s\n",
                 absl::StrFormat("%d %s%s in %.2f s (%.0f/s)", report.records, what, skipped,
                                 took.count(), static_cast<double>(report.records) / took.count())
                     .c_str());
  }

 private:
  ProgressBar bar_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class EmbedCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("embed", "Compute the vectors of a file of texts");
    c->add_option("IN", in_, "JSON lines {id, text[, title]} or BEIR's; - for standard input")
        ->capture_default_str();
    c->add_option("--out", out_, "File to write; - for standard output")->capture_default_str();
    c->add_option("--embedder", embedder_,
                  "Directory of an embedding model, static or an encoder (default: the built-in "
                  "one)")
        ->envname("CAIRN_EMBEDDER");
    c->add_option("--kind", kind_, "What the texts are to a search: passage or query")
        ->check(CLI::IsMember({"passage", "query"}))
        ->capture_default_str();
    c->add_option("--format", format_, "jsonl: {id, vector}; f32: little-endian float32 rows")
        ->check(CLI::IsMember({"jsonl", "f32"}))
        ->capture_default_str();
    c->add_option("--threads", threads_, "Threads (0: one per core)")->check(CLI::Range(0, 1024));
    c->add_flag("--skip-bad", options_.skip_bad, "Leave out lines that cannot be read");
    c->footer(
        "Vectors come in the order of the lines. A title is put before its text; what is too long\n"
        "for the model is cut; a text without any known token gets zeros.\n\n"
        "Examples:\n"
        "  cairn embed corpus.jsonl --out vectors.jsonl\n"
        "  cairn embed --kind query --format f32 --out queries.f32 queries.jsonl");
    return c;
  }

  int Run() override {
    options_.kind = kind_ == "query" ? engine::TextKind::kQuery : engine::TextKind::kPassage;
    options_.format = format_ == "f32" ? engine::VectorFormat::kF32 : engine::VectorFormat::kJsonl;
    options_.threads = threads_ > 0
                           ? threads_
                           : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    absl::StatusOr<std::unique_ptr<chunking::ByteSource>> in = OpenInput(in_);
    if (!in.ok()) return FailInput(in.status());
    absl::StatusOr<std::unique_ptr<engine::Embedder>> embedder =
        embedder_.empty() ? engine::StaticEmbedder::Default() : engine::OpenEmbedder(embedder_);
    if (!embedder.ok()) return FailInput(embedder.status());
    absl::StatusOr<std::unique_ptr<OutputFile>> out = OutputFile::Open(out_);
    if (!out.ok()) return FailInput(out.status());
    BatchProgress progress;
    options_.on_progress = [&](const engine::BatchReport& r) { progress.Show(r); };
    engine::BatchReport report;
    absl::Status s = engine::EmbedRecords(**embedder, **in, in_ == "-" ? "standard input" : in_,
                                          (*out)->stream(), options_, &report);
    if (s.ok()) s = (*out)->Commit();
    progress.End(report, "vectors");
    if (!s.ok()) return FailInput(s);
    return report.records > 0 ? kExitOk : kExitNothingFound;
  }

 private:
  engine::EmbedRecordsOptions options_;
  std::string in_ = "-", out_ = "-", embedder_, kind_ = "passage", format_ = "jsonl";
  int threads_ = 0;
};

class RerankCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("rerank", "Put passages into a cross-encoder's order");
    in_option_ = c->add_option("IN", in_, "JSON lines {query, passages}; - for standard input")
                     ->capture_default_str();
    c->add_option("--reranker", reranker_, "Directory of a cross-encoder")
        ->envname("CAIRN_RERANKER");
    c->add_option("--out", out_, "File to write; - for standard output")->capture_default_str();
    skip_bad_ = c->add_flag("--skip-bad", options_.skip_bad, "Leave out lines that cannot be read");
    run_option_ = c->add_option("--run", run_, "Instead: TREC run to reorder");
    topics_option_ = c->add_option("--topics", topics_, "Its queries: TSV (id<TAB>text) or BEIR");
    corpus_option_ = c->add_option("--corpus", corpus_, "Its documents: BEIR JSON lines");
    depth_option_ = c->add_option("--depth", depth_, "Documents of each topic that are reranked")
                        ->check(CLI::Range(size_t{1}, size_t{1'000'000}))
                        ->capture_default_str();
    c->footer(
        "A passage is a string, or an object with a text and perhaps a title; the output has\n"
        "objects with scores, best first. Of a run, what is beyond --depth follows below.\n\n"
        "Examples:\n"
        "  cairn rerank --reranker minilm candidates.jsonl --out ranked.jsonl\n"
        "  cairn rerank --reranker minilm --run bm25.run --topics topics.tsv \\\n"
        "      --corpus corpus.jsonl --out reranked.run");
    return c;
  }

  int Run() override {
    if (reranker_.empty()) return FailUsage("no model: use --reranker DIR or CAIRN_RERANKER");
    const bool run = run_option_->count() > 0;
    const bool whole = topics_option_->count() > 0 && corpus_option_->count() > 0;
    const bool part =
        topics_option_->count() + corpus_option_->count() + depth_option_->count() > 0;
    if (run ? !whole : part) return FailUsage("--run, --topics and --corpus go together");
    if (run && (in_option_->count() > 0 || skip_bad_->count() > 0)) {
      return FailUsage("IN and --skip-bad are not for --run");
    }
    absl::StatusOr<std::unique_ptr<engine::Reranker>> reranker = engine::OpenReranker(reranker_);
    if (!reranker.ok()) return FailInput(reranker.status());
    return run ? RunTrec(**reranker) : RunLists(**reranker);
  }

 private:
  int RunLists(const engine::Reranker& reranker) {
    absl::StatusOr<std::unique_ptr<chunking::ByteSource>> in = OpenInput(in_);
    if (!in.ok()) return FailInput(in.status());
    absl::StatusOr<std::unique_ptr<OutputFile>> out = OutputFile::Open(out_);
    if (!out.ok()) return FailInput(out.status());
    BatchProgress progress;
    options_.on_progress = [&](const engine::BatchReport& r) { progress.Show(r); };
    engine::BatchReport report;
    absl::Status s = engine::RerankLists(reranker, **in, in_ == "-" ? "standard input" : in_,
                                         (*out)->stream(), options_, &report);
    if (s.ok()) s = (*out)->Commit();
    progress.End(report, "lists");
    if (!s.ok()) return FailInput(s);
    return report.records > 0 ? kExitOk : kExitNothingFound;
  }

  int RunTrec(const engine::Reranker& reranker) const {
    absl::StatusOr<engine::TrecRun> run = engine::ReadRunFile(run_);
    if (!run.ok()) return FailInput(run.status());
    absl::StatusOr<std::vector<engine::Topic>> topics = engine::ReadTopicsFile(topics_);
    if (!topics.ok()) return FailInput(topics.status());
    absl::StatusOr<std::unique_ptr<chunking::ByteSource>> corpus = OpenInput(corpus_);
    if (!corpus.ok()) return FailInput(corpus.status());
    absl::StatusOr<std::unique_ptr<OutputFile>> out = OutputFile::Open(out_);
    if (!out.ok()) return FailInput(out.status());
    BatchProgress progress;
    engine::BatchReport report;
    engine::RerankRunOptions options;
    options.depth = depth_;
    options.on_progress = [&](size_t done) {
      report.records = done;
      progress.Show(report);
    };
    absl::Status s = engine::RerankRun(reranker, *topics, **corpus, corpus_, options, &*run);
    if (s.ok()) s = engine::WriteRun(*run, (*out)->stream());
    if (s.ok()) s = (*out)->Commit();
    progress.End(report, "topics");
    if (!s.ok()) return FailInput(s);
    return run->topics.empty() ? kExitNothingFound : kExitOk;
  }

  engine::PassageListsOptions options_;
  std::string in_ = "-", out_ = "-", reranker_, run_, topics_, corpus_;
  size_t depth_ = 100;
  CLI::Option* in_option_ = nullptr;
  CLI::Option* skip_bad_ = nullptr;
  CLI::Option* run_option_ = nullptr;
  CLI::Option* topics_option_ = nullptr;
  CLI::Option* corpus_option_ = nullptr;
  CLI::Option* depth_option_ = nullptr;
};

}  // namespace

std::unique_ptr<Command> MakeEmbedCommand() { return std::make_unique<EmbedCommand>(); }
std::unique_ptr<Command> MakeRerankCommand() { return std::make_unique<RerankCommand>(); }

}  // namespace cairn::services
