#include <CLI/CLI.hpp>
#include <cstdio>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/eval/topics.h"
#include "engine/eval/trec_files.h"
#include "services/backend.h"
#include "services/command.h"
#include "services/json_output.h"
#include "services/output_file.h"
#include "services/passage_output.h"
#include "services/server_flags.h"

namespace cairn::services {
namespace {

constexpr size_t kDefaultK = 10;
constexpr size_t kDefaultRunK = 1000;

class SearchCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("search", "Find passages, or make a TREC run");
    flags_.Register(c);
    flags_.RegisterReranking(c, &request_.rerank);
    server_.Register(c, {"--embedder", "--reranker", "--threads"}, /*with_timeout=*/true);
    c->add_option("QUERY", query_, "What to look for");
    k_ = c->add_option("-k", k_value_, "Number of hits (default 10; with --topics 1000)")
             ->check(CLI::Range(size_t{1}, size_t{1'000'000}));
    c->add_option("--mode", mode_, "hybrid, lexical or vector")
        ->check(CLI::IsMember({"hybrid", "lexical", "vector"}))
        ->capture_default_str();
    c->add_option("--filter", request_.filter, "Expression on metadata, e.g. 'year >= 2020'");
    c->add_option("--fusion", fusion_, "How hybrid search joins both lists")
        ->check(CLI::IsMember({"convex", "rrf"}))
        ->capture_default_str();
    alpha_ = c->add_option("--alpha", alpha_value_, "Weight of the vector score, 0 to 1")
                 ->check(CLI::Range(0.0f, 1.0f));
    granularity_option_ =
        c->add_option("--granularity", granularity_,
                      "chunk, or document: the best chunk of each (default with --topics)")
            ->check(CLI::IsMember({"chunk", "document"}));
    c->add_option("--k1", request_.k1, "BM25 k1")->capture_default_str();
    c->add_option("--b", request_.b, "BM25 b")->capture_default_str();
    c->add_flag("--exact", request_.exact, "Compare with every vector, not through the graph");
    c->add_flag("--explain", explain_, "Show ranks, scores and timings of each part");
    c->add_flag("--full", full_, "Show whole passages");
    c->add_flag("--json", json_, "Print JSON");
    c->add_option("--topics", topics_, "File of queries: TSV (id<TAB>text) or BEIR JSONL");
    c->add_option("--run", run_, "File to write the TREC run to; - for standard output");
    c->add_option("--tag", tag_, "Last column of the run")->capture_default_str();
    c->add_option("--threads", threads_, "Queries at once with --topics (0: one per core)")
        ->check(CLI::Range(0, 1024));
    c->footer(
        "Filters: = != < <= > >=, IN (..), EXISTS name, AND, OR, NOT, parentheses;\n"
        "text in quotes.\n\n"
        "Examples:\n"
        "  cairn search --store my.store how to hold a package back\n"
        "  cairn search --store my.store -k 3 --filter 'lang = \"en\"' --explain apt pinning\n"
        "  cairn search --store my.store --topics topics.tsv --run bm25.run --mode lexical\n"
        "  cairn search --server localhost:7700 how to hold a package back");
    return c;
  }

  int Run() override {
    request_.collection = flags_.collection;
    request_.mode = mode_ == "lexical"  ? SearchMode::kLexical
                    : mode_ == "vector" ? SearchMode::kVector
                                        : SearchMode::kHybrid;
    request_.fusion = fusion_ == "rrf" ? Fusion::kRrf : Fusion::kConvex;
    if (alpha_->count() > 0) request_.alpha = alpha_value_;
    const bool batch = !topics_.empty();
    if (batch != !run_.empty()) return FailUsage("--topics and --run go together");
    if (batch && (json_ || explain_ || full_)) {
      return FailUsage("--json, --explain and --full are for one query, not for --topics");
    }
    if (batch == !query_.empty()) {
      return FailUsage(batch ? "a query and --topics exclude each other" : "no query given");
    }
    request_.k = k_->count() > 0 ? k_value_ : batch ? kDefaultRunK : kDefaultK;
    const bool by_document = granularity_option_->count() > 0 ? granularity_ == "document" : batch;
    request_.granularity = by_document ? Granularity::kDocument : Granularity::kChunk;
    absl::StatusOr<std::unique_ptr<Backend>> backend = server_.Open(flags_, false);
    if (!backend.ok()) return Fail(backend.status());
    return batch ? RunTopics(**backend) : RunQuery(**backend);
  }

 private:
  int RunQuery(Backend& backend) {
    request_.query = absl::StrJoin(query_, " ");
    absl::StatusOr<SearchResponse> found = backend.Search(request_);
    if (!found.ok()) return Fail(found.status());
    if (json_) {
      PrintJson(*found);
    } else {
      for (size_t i = 0; i < found->hits.size(); ++i) {
        PrintPassage(i + 1, found->hits[i], full_);
        if (explain_) PrintComponents(found->hits[i]);
      }
      if (explain_) PrintTimings(*found);
    }
    return found->hits.empty() ? kExitNothingFound : kExitOk;
  }

  void PrintJson(const SearchResponse& response) const {
    Json hits = Json::array();
    for (const SearchHit& h : response.hits) hits.push_back(ToJson(h, request_.mode));
    Json out = {{"query", request_.query}, {"mode", mode_}, {"hits", std::move(hits)}};
    if (explain_) {
      const SearchTimings& t = response.timings;
      out["alpha"] = response.alpha;
      out["microseconds"] = {{"analyze", t.analyze},
                             {"embed", t.embed},
                             {"candidates", t.candidates},
                             {"rerank", t.rerank},
                             {"fetch", t.fetch}};
    }
    std::printf("%s\n", Dump(out).c_str());
  }

  void PrintComponents(const SearchHit& hit) const {
    const auto show = [](const char* name, const SearchComponent& c) {
      const std::string rank = c.rank == 0 ? "not ranked" : absl::StrCat("rank ", c.rank);
      if (c.known) {
        std::printf("   %-8s %s, score %.4f, normalised %.4f\n", name, rank.c_str(), c.raw,
                    c.normalized);
      } else {
        std::printf("   %-8s not found\n", name);
      }
    };
    if (request_.mode != SearchMode::kVector) show("lexical", hit.lexical);
    if (request_.mode != SearchMode::kLexical) show("vector", hit.vector);
    if (hit.rerank.rank > 0) {
      std::printf("   reranked rank %u, score %.4f\n", hit.rerank.rank, hit.rerank.score);
    }
    std::printf("\n");
  }

  void PrintTimings(const SearchResponse& response) const {
    const SearchTimings& t = response.timings;
    if (request_.mode == SearchMode::kHybrid && request_.fusion == Fusion::kConvex) {
      std::printf("fused: %.2f x vector + %.2f x lexical\n", response.alpha, 1 - response.alpha);
    }
    std::printf(
        "analyse %.0f us, embed %.0f us, candidates %.0f us, rerank %.0f us, fetch %.0f us\n",
        t.analyze, t.embed, t.candidates, t.rerank, t.fetch);
  }

  int RunTopics(Backend& backend) {
    absl::StatusOr<std::vector<engine::Topic>> topics = engine::ReadTopicsFile(topics_);
    if (!topics.ok()) return FailInput(topics.status());
    const size_t threads = threads_ > 0 ? static_cast<size_t>(threads_)
                                        : std::max(1u, std::thread::hardware_concurrency());
    engine::TrecRun run;
    run.tag = tag_;
    run.topics.resize(topics->size());
    const bool by_document = request_.granularity == Granularity::kDocument;
    // Each topic has a place of its own: they may come from several threads.
    const absl::Status searched =
        backend.SearchTopics(request_, *topics, threads, [&](size_t i, SearchResponse found) {
          engine::RunTopic& out = run.topics[i];
          out.id = (*topics)[i].id;
          for (const SearchHit& h : found.hits) {
            out.documents.push_back(
                {by_document ? h.document_id : absl::StrCat(h.document_id, "#", h.chunk_id),
                 h.score});
          }
        });
    if (!searched.ok()) return Fail(searched);
    size_t lines = 0;
    for (const engine::RunTopic& t : run.topics) lines += t.documents.size();
    absl::Status written = Write(run);
    if (!written.ok()) return FailInput(written);
    std::fprintf(stderr, "%zu topics, %zu lines\n", topics->size(), lines);
    return lines == 0 ? kExitNothingFound : kExitOk;
  }

  absl::Status Write(const engine::TrecRun& run) const {
    absl::StatusOr<std::unique_ptr<OutputFile>> out = OutputFile::Open(run_);
    if (!out.ok()) return out.status();
    if (absl::Status s = engine::WriteRun(run, (*out)->stream()); !s.ok()) return s;
    return (*out)->Commit();
  }

  StoreFlags flags_;
  ServerFlags server_;
  SearchRequest request_;
  std::vector<std::string> query_;
  size_t k_value_ = kDefaultK;
  std::string mode_ = "hybrid", fusion_ = "convex", granularity_ = "chunk", tag_ = "cairn";
  std::string topics_, run_;
  float alpha_value_ = 0;
  int threads_ = 0;
  bool explain_ = false, full_ = false, json_ = false;
  CLI::Option* k_ = nullptr;
  CLI::Option* alpha_ = nullptr;
  CLI::Option* granularity_option_ = nullptr;
};

}  // namespace

std::unique_ptr<Command> MakeSearchCommand() { return std::make_unique<SearchCommand>(); }

}  // namespace cairn::services
