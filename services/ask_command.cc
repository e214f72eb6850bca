#include <CLI/CLI.hpp>
#include <cstdio>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/answer_output.h"
#include "services/ask_topics.h"
#include "services/backend.h"
#include "services/command.h"
#include "services/interrupt.h"
#include "services/json_output.h"
#include "services/kv_flags.h"
#include "services/server_flags.h"

namespace cairn::services {
namespace {

class AskCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("ask", "Answer a question, or a file of them, with sources");
    flags_.Register(c);
    flags_.RegisterReranking(c, &request_.rerank);
    std::vector<std::string> local = KvStorageFlags();
    local.insert(local.end(),
                 {"--embedder", "--reranker", "--model", "--threads", "--max-context"});
    server_.Register(c, std::move(local), /*with_timeout=*/true);
    c->add_option("QUESTION", question_, "The question");
    c->add_option("--passages", request_.passages, "Passages to retrieve")
        ->check(CLI::Range(size_t{1}, size_t{1000}))
        ->capture_default_str();
    c->add_option("--sentences", request_.sentences, "Most sentences in an extractive answer")
        ->check(CLI::Range(size_t{1}, size_t{100}))
        ->capture_default_str();
    c->add_option("--filter", request_.filter, "Expression on metadata");
    stream_option_ = c->add_flag("--no-stream", no_stream_, "Print the answer once it is whole");
    CLI::Option* json = c->add_flag("--json", json_, "Print JSON")->excludes(stream_option_);
    c->add_flag("--timings", timings_,
                "Say where the prompt's tokens came from, and how long each stage took")
        ->excludes(json);  // Which has them.
    RegisterModel(c);
    RegisterKv(c);
    RegisterTopics(c);
    c->footer(
        "Without a model the answer is extractive: sentences of the best passages, each with its\n"
        "source. A model writes from the passages and cites them; a citation is shown only where\n"
        "its passage says what the sentence says, and [?] follows sentences without one.\n"
        "Ctrl-C ends the answer where it is; exit code 130.\n\n"
        "Examples:\n"
        "  cairn ask --store my.store 'How do I hold a package back?'\n"
        "  cairn ask --store my.store --model qwen2.5.gguf 'How do I hold a package back?'\n"
        "  cairn ask --store my.store --model qwen2.5.gguf --kv-reuse fast --timings 'Who is it?'\n"
        "  cairn ask --store my.store --topics topics.tsv --trec-rag answers.jsonl --run-id mine\n"
        "  cairn ask --server localhost:7700 'How do I hold a package back?'");
    return c;
  }

  int Run() override {
    request_.collection = flags_.collection;
    request_.question = absl::StrJoin(question_, " ");
    const absl::Status use = CheckUse();
    if (!use.ok()) return FailUsage(std::string(use.message()));
    absl::StatusOr<std::unique_ptr<Backend>> backend = server_.Open(flags_, KeepsKv());
    if (!backend.ok()) return Fail(backend.status());
    if (kv_reuse_.empty()) (*backend)->LeaveReuseToServer();
    return topics_.topics.empty() ? RunQuestion(**backend)
                                  : AskTopics(**backend, request_, topics_);
  }

 private:
  void RegisterModel(CLI::App* c) {
    c->add_option("--model", flags_.generator,
                  "Language model that writes the answer: GGUF file, or Hugging Face directory");
    c->add_option("--max-tokens", request_.max_tokens, "Most tokens of a written answer")
        ->check(CLI::Range(size_t{1}, size_t{1} << 20))
        ->capture_default_str();
    c->add_option("--temperature", request_.temperature, "0: always the most likely token")
        ->capture_default_str();
    c->add_option("--seed", request_.seed, "Of the draws")->capture_default_str();
    c->add_option("--token-budget", request_.token_budget, "Most tokens of passages that are read")
        ->check(CLI::Range(size_t{1}, size_t{1} << 30))
        ->capture_default_str();
    c->add_option("--threads", flags_.generator_threads, "Of the model; 0: one for each core")
        ->check(CLI::Range(size_t{0}, size_t{1024}))
        ->capture_default_str();
    c->add_option("--max-context", flags_.generator_context,
                  "Most tokens of prompt and answer; 0: the model's own")
        ->check(CLI::Range(size_t{0}, size_t{1} << 30))
        ->capture_default_str();
  }

  void RegisterKv(CLI::App* c) {
    RegisterKvReuse(c, &kv_reuse_);
    RegisterKvStorage(c, &flags_.kv);
    RegisterKvMemory(c, &flags_.kv);
  }

  void RegisterTopics(CLI::App* c) {
    c->add_option("--topics", topics_.topics, "File of questions: TSV (id<TAB>text) or BEIR JSONL");
    c->add_option("--answers", topics_.answers,
                  "With --topics: file of answers to write, for eval; - for standard output");
    c->add_option("--trec-rag", topics_.trec_rag,
                  "With --topics: file to write in the TREC RAG track's format; - for standard "
                  "output");
    c->add_option("--format", format_, "Of --trec-rag: the track's year")
        ->check(CLI::IsMember({"2024", "2025"}))
        ->capture_default_str();
    c->add_option("--run-id", topics_.run.run_id, "In --trec-rag")->capture_default_str();
    c->add_option("--team-id", topics_.run.team_id, "In --trec-rag of 2025")->capture_default_str();
    c->add_option("--type", topics_.run.type, "In --trec-rag of 2025")
        ->check(CLI::IsMember({"automatic", "manual"}))
        ->capture_default_str();
    c->add_option("--at-once", topics_.at_once, "Topics answered together")
        ->check(CLI::Range(size_t{1}, size_t{64}))
        ->capture_default_str();
  }

  absl::Status CheckUse() {
    const auto fault = [](const char* what) { return absl::InvalidArgumentError(what); };
    const bool batch = !topics_.topics.empty();
    const bool writes = !topics_.trec_rag.empty() || !topics_.answers.empty();
    if (batch != writes) return fault("--topics goes with --trec-rag or --answers");
    if (batch == !question_.empty()) {
      return fault(batch ? "a question and --topics exclude each other"
                         : "QUESTION or --topics is required");
    }
    if (batch && (json_ || no_stream_ || timings_)) {
      return fault("--json, --no-stream and --timings are for one question, not for --topics");
    }
    if (absl::Status s = CheckKv(); !s.ok()) return s;
    if (topics_.trec_rag == topics_.answers && batch) {
      return fault("--trec-rag and --answers cannot be the same file");
    }
    if (topics_.run.run_id.empty() || topics_.run.team_id.empty()) {
      return fault("--run-id and --team-id must not be empty");
    }
    if (!(request_.temperature >= 0 && request_.temperature <= std::numeric_limits<float>::max())) {
      return fault("--temperature must be 0 or more");
    }
    topics_.run.format =
        format_ == "2025" ? engine::TrecRagFormat::k2025 : engine::TrecRagFormat::k2024;
    return absl::OkStatus();
  }

  // What answers computed is written.
  bool KeepsKv() const {
    return flags_.kv.enabled && flags_.kv.source == "prompt" && kv_reuse_ != "exact";
  }

  absl::Status CheckKv() {
    flags_.kv.enabled = !kv_reuse_.empty();
    request_.reuse = ReuseQualityNamed(kv_reuse_);
    const absl::StatusOr<bool> remote = server_.NamesServer(flags_);
    if (!remote.ok()) return remote.status();
    if (flags_.kv.enabled && flags_.generator.empty() && !*remote) {
      return absl::InvalidArgumentError(
          "--kv-reuse takes a language model (--model): what is kept is what it read");
    }
    return absl::OkStatus();
  }

  int RunQuestion(Backend& backend) {
    const absl::StatusOr<bool> can_generate = backend.CanGenerate();
    if (!can_generate.ok()) return Fail(can_generate.status());
    const bool generates = *can_generate;
    const bool streams = generates && !json_ && !no_stream_;
    AnswerPrinter printer(/*lines=*/!generates);
    if (generates) {
      WatchForInterrupt();
      request_.is_cancelled = Interrupted;
    }
    if (streams) {
      request_.on_text = [&](std::string_view text) { printer.PrintText(text); };
      request_.on_sentence = [&](const AnswerSentence& s) { printer.PrintMarks(s); };
    }
    absl::StatusOr<AskResponse> answer = backend.Ask(request_);
    if (absl::IsCancelled(answer.status()) && Interrupted()) return kExitInterrupted;
    if (!answer.ok()) {
      if (request_.on_text) std::fflush(stdout);
      return Fail(answer.status());
    }
    if (json_) {
      Json out = {{"question", request_.question}};
      out.update(ToJson(*answer));
      std::printf("%s\n", Dump(out).c_str());
    } else {
      Print(*answer, streams, &printer);
      if (timings_) PrintTimings(*answer);
    }
    if (answer->finish == AnswerFinish::kCancelled) return kExitInterrupted;
    return answer->sentences.empty() ? kExitNothingFound : kExitOk;
  }

  static void Print(const AskResponse& answer, bool streamed, AnswerPrinter* printer) {
    if (answer.sentences.empty()) return;
    if (!streamed) PrintWhole(answer, printer);
    printer->PrintSources();
    if (answer.unsupported_sentences > 0) {
      std::fprintf(stderr, "%zu of %zu sentences are not supported by the passages\n",
                   answer.unsupported_sentences, answer.sentences.size());
    }
  }

  // As it would have been streamed.
  static void PrintWhole(const AskResponse& answer, AnswerPrinter* printer) {
    const bool lines = answer.mode == AskMode::kExtractive;
    size_t at = 0;
    for (const AnswerSentence& sentence : answer.sentences) {
      const size_t end = answer.answer.find(sentence.text, at) + sentence.text.size();
      printer->PrintText(lines ? sentence.text : answer.answer.substr(at, end - at));
      printer->PrintMarks(sentence);
      at = end;
    }
  }

  StoreFlags flags_;
  ServerFlags server_;
  AskRequest request_;
  AskTopicsOptions topics_;
  std::vector<std::string> question_;
  std::string format_ = "2024";
  std::string kv_reuse_;
  CLI::Option* stream_option_ = nullptr;
  bool no_stream_ = false;
  bool json_ = false;
  bool timings_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeAskCommand() { return std::make_unique<AskCommand>(); }

}  // namespace cairn::services
