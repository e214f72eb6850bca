#include "services/kv_bench_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/kv/reader_questions.h"
#include "engine/kv/scratch_kv_store.h"
#include "engine/model/model_synthesis.h"
#include "services/command.h"
#include "services/json_output.h"
#include "services/kv_bench_output.h"
#include "services/output_file.h"
#include "services/progress_bar.h"

namespace cairn::services {

CLI::App* KvBenchCommand::Register(CLI::App* parent) {
  CLI::App* c = parent->add_subcommand(
      "kv", "Time to the first token, and answers, when chunks' keys and values are reused");
  const auto count = [&](const char* name, size_t* value, const char* help) {
    c->add_option(name, *value, help)
        ->check(CLI::Range(size_t{0}, size_t{1} << 24))
        ->capture_default_str();
  };
  c->add_option("--model", model_, "Time this model: a GGUF file or Hugging Face directory");
  c->add_option("--shape", shape_,
                "Time random weights of this shape: " + absl::StrJoin(engine::ShapeNames(), ", "));
  c->add_option("--format", format_, "Format of the random weights' matrices")
      ->capture_default_str();
  count("--chunks", &times_.chunks, "Chunks in the prompt");
  count("--chunk-tokens", &times_.chunk_tokens, "Tokens of each");
  count("--question-tokens", &times_.question_tokens, "Tokens behind the chunks");
  count("--preface-tokens", &times_.preface_tokens, "Tokens before them");
  c->add_option("--source", source_, "What chunks saw when their keys and values were computed")
      ->check(CLI::IsMember({"isolated", "preface", "document"}))
      ->capture_default_str();
  c->add_option("--kv-encoding", encoding_, "How chunks' keys and values are stored")
      ->check(CLI::IsMember({"f32", "f16", "int8"}))
      ->capture_default_str();
  count("--repeat", &times_.repeat, "Measurements of each; the median counts");
  c->add_flag("--memory-only", memory_only_, "Nothing is loaded from disk");
  workload_.queries = 0;
  count("--queries", &workload_.queries,
        "So many prompts of changing chunks instead, a third of all of which fit in memory");
  count("--documents", &workload_.documents, "That those chunks are from");
  c->add_option("--reader", reader_, "Have this model answer questions instead");
  c->add_option("--questions", questions_, "The questions, one JSON object a line");
  count("--limit", &answers_.limit, "So many questions, evenly spread; 0: all");
  c->add_option("--arms", arms_, "Ways to answer: a few, or all")
      ->check(CLI::IsMember({"few", "all"}))
      ->capture_default_str();
  c->add_option("--seed", times_.seed, "Of what is random")->capture_default_str();
  c->add_option("--plot", plot_, "Write a plot to this SVG file");
  decoder_.Register(c);
  c->add_flag("--json", json_, "End with a line of JSON");
  c->footer(
      "The tokens that are timed are made up. A reader's keys and values are kept in float32, and\n"
      "it computes in float32, unless --kv and --compute say otherwise.\n\n"
      "Examples:\n"
      "  cairn bench kv --shape qwen2.5-0.5b --plot times.svg\n"
      "  cairn bench kv --shape smollm-135m --queries 200 --chunk-tokens 128\n"
      "  cairn bench kv --reader reader.gguf --questions questions.jsonl --plot answers.svg");
  return c;
}

int KvBenchCommand::Run() {
  const int subjects = static_cast<int>(!model_.empty()) + static_cast<int>(!shape_.empty()) +
                       static_cast<int>(!reader_.empty());
  if (subjects != 1) return FailUsage("bench kv needs one of --model, --shape and --reader");
  if (reader_.empty() != questions_.empty()) {
    return FailUsage("--reader and --questions go together");
  }
  if (!shape_.empty()) {
    const std::vector<std::string> shapes = engine::ShapeNames();
    if (std::find(shapes.begin(), shapes.end(), shape_) == shapes.end()) {
      return FailUsage(
          absl::StrCat("there is no shape \"", shape_, "\", but ", absl::StrJoin(shapes, ", ")));
    }
    if (!kernels::ParseBlockFormat(format_).has_value()) {
      return FailUsage(absl::StrCat("there is no format \"", format_, "\""));
    }
  }
  if (!reader_.empty()) return RunReader();
  return workload_.queries > 0 ? RunWorkload() : RunTimes();
}

absl::StatusOr<std::unique_ptr<engine::Checkpoint>> KvBenchCommand::OpenSubject() const {
  if (shape_.empty()) return engine::Checkpoint::Open(model_);
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  return engine::OpenSynthetic(shape_, *kernels::ParseBlockFormat(format_),
                               decoder_.threads == 0 ? cores : decoder_.threads);
}

void KvBenchCommand::AddSubject(Json* json) const {
  (*json)["model"] = shape_.empty() ? model_ : shape_;
  if (!shape_.empty()) (*json)["format"] = format_;
  (*json)["source"] = source_;
  (*json)["kv_encoding"] = encoding_;
  (*json)["chunks"] = times_.chunks;
  (*json)["chunk_tokens"] = times_.chunk_tokens;
  (*json)["question_tokens"] = times_.question_tokens;
}

int KvBenchCommand::RunTimes() {
  const auto checkpoint = OpenSubject();
  if (!checkpoint.ok()) return FailInput(checkpoint.status());
  times_.decoder = decoder_.Options();
  times_.source = *engine::ParseKvSource(source_);
  times_.encoding = *engine::ParseKvEncoding(encoding_);
  if (!memory_only_) times_.tiers.push_back(engine::ColdDiskTier(times_.encoding));
  const absl::StatusOr<engine::KvBenchmarkResult> result =
      engine::BenchmarkKv(**checkpoint, times_);
  if (!result.ok()) return Fail(result.status());
  PrintTimes(*result);
  if (absl::Status s = WritePlot(engine::RenderSvg(PlotOf(*result))); !s.ok()) return Fail(s);
  if (json_) {
    Json json = ToJson(*result);
    AddSubject(&json);
    std::printf("%s\n", Dump(json, -1).c_str());
  }
  return kExitOk;
}

int KvBenchCommand::RunWorkload() {
  const auto checkpoint = OpenSubject();
  if (!checkpoint.ok()) return FailInput(checkpoint.status());
  workload_.decoder = decoder_.Options();
  workload_.source = *engine::ParseKvSource(source_);
  workload_.encoding = *engine::ParseKvEncoding(encoding_);
  workload_.preface_tokens = times_.preface_tokens;
  workload_.chunks = times_.chunks;
  workload_.chunk_tokens = times_.chunk_tokens;
  workload_.question_tokens = times_.question_tokens;
  workload_.seed = times_.seed;
  const absl::StatusOr<engine::KvWorkloadResult> result =
      engine::RunKvWorkload(**checkpoint, workload_);
  if (!result.ok()) return Fail(result.status());
  PrintWorkload(*result);
  if (absl::Status s = WritePlot(engine::RenderSvg(PlotOf(*result))); !s.ok()) return Fail(s);
  if (json_) {
    Json json = ToJson(*result);
    AddSubject(&json);
    json["queries"] = workload_.queries;
    json["documents"] = workload_.documents;
    std::printf("%s\n", Dump(json, -1).c_str());
  }
  return kExitOk;
}

absl::StatusOr<engine::ReaderBenchmarkResult> KvBenchCommand::Answer() {
  auto checkpoint = engine::Checkpoint::Open(reader_);
  if (!checkpoint.ok()) return checkpoint.status();
  const auto tokenizer = (*checkpoint)->LoadTokenizer();
  if (!tokenizer.ok()) return tokenizer.status();
  const auto questions = engine::ReadReaderQuestions(questions_, **tokenizer);
  if (!questions.ok()) return questions.status();
  ProgressBar progress;
  answers_.on_progress = [&](size_t done, size_t all) { progress.UpdateShare(done, all); };
  auto result = engine::BenchmarkReader(**checkpoint, *questions, answers_);
  progress.Clear();
  return result;
}

int KvBenchCommand::RunReader() {
  answers_.decoder = decoder_.Options();
  if (!answers_.decoder.kv_type.has_value()) answers_.decoder.kv_type = kernels::KvType::kF32;
  if (!answers_.decoder.compute.has_value()) answers_.decoder.compute = kernels::ComputeType::kF32;
  answers_.encoding = *engine::ParseKvEncoding(encoding_);
  answers_.arms = arms_ == "few" ? engine::ReaderArmSet::kFew : engine::ReaderArmSet::kAll;
  answers_.seed = times_.seed;
  const absl::StatusOr<engine::ReaderBenchmarkResult> result = Answer();
  if (!result.ok()) return FailInput(result.status());
  PrintAnswers(*result);
  if (absl::Status s = WritePlot(engine::RenderSvg(PlotOf(*result))); !s.ok()) return Fail(s);
  if (json_) {
    Json json = ToJson(*result);
    json["reader"] = reader_;
    json["kv_encoding"] = encoding_;
    json["seed"] = times_.seed;
    std::printf("%s\n", Dump(json, -1).c_str());
  }
  return kExitOk;
}

absl::Status KvBenchCommand::WritePlot(const std::string& svg) const {
  if (plot_.empty()) return absl::OkStatus();
  auto file = OutputFile::Open(plot_);
  if (!file.ok()) return file.status();
  (*file)->stream() << svg;
  return (*file)->Commit();
}

}  // namespace cairn::services
