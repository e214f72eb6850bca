#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "engine/model/model_benchmark.h"
#include "services/command.h"
#include "services/decoder_flags.h"
#include "services/json_output.h"
#include "services/kv_bench_command.h"

namespace cairn::services {
namespace {

class BenchCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("bench", "Measure how fast this machine is");
    c->require_subcommand(1);
    CLI::App* model = c->add_subcommand("model", "Prefill and decoding of a language model");
    model->add_option("PATH", path_, "GGUF file or Hugging Face directory")->required();
    model->add_option("--prefill", options_.prefill, "Lengths of prompts")
        ->delimiter(',')
        ->capture_default_str();
    model->add_option("--decode", options_.decode, "Tokens to decode one by one")
        ->capture_default_str();
    model->add_option("--context", options_.contexts, "Decode behind so many tokens as well")
        ->delimiter(',');
    model->add_option("--repeat", options_.repeat, "Measurements of each; the median counts")
        ->check(CLI::Range(size_t{1}, size_t{1000}))
        ->capture_default_str();
    decoder_.Register(model);
    model->add_flag("--json", json_, "Print JSON");
    model->footer(
        "The tokens are made up. \"of limit\" is the share of the time that reading the weights\n"
        "alone takes.\n\n"
        "Example:\n"
        "  cairn bench model --context 16384 model.gguf");
    kv_command_ = kv_.Register(c);
    return c;
  }

  int Run() override {
    if (kv_command_->parsed()) return kv_.Run();
    options_.decoder = decoder_.Options();
    const absl::StatusOr<engine::BenchmarkResult> result = engine::BenchmarkModel(path_, options_);
    if (!result.ok()) return FailInput(result.status());
    if (json_) {
      std::printf("%s\n", Dump(ToJson(*result)).c_str());
    } else {
      Print(*result);
    }
    return kExitOk;
  }

 private:
  static double Limit(const engine::BenchmarkResult& result) {
    return result.bandwidth / static_cast<double>(result.weight_bytes);
  }

  Json ToJson(const engine::BenchmarkResult& r) const {
    Json out = {{"model", path_},
                {"threads", r.threads},
                {"kv", std::string(kernels::KvTypeName(r.kv_type))},
                {"compute", decoder_.compute},
                {"prefill", Json::array()}};
    for (const engine::TokenRate& rate : r.prefill) {
      out["prefill"].push_back(
          {{"tokens", rate.tokens}, {"tokens_per_second", rate.tokens_per_second}});
    }
    if (options_.decode > 0) {
      out["decode"] = {{"tokens_per_second", r.decode_tokens_per_second},
                       {"limit_tokens_per_second", Limit(r)}};
      out["bandwidth_bytes_per_second"] = r.bandwidth;
    }
    out["decode_behind"] = Json::array();
    for (const engine::TokenRate& rate : r.decode_behind) {
      out["decode_behind"].push_back(
          {{"context", rate.tokens}, {"tokens_per_second", rate.tokens_per_second}});
    }
    out["load_seconds"] = r.load_seconds;
    out["weight_bytes"] = r.weight_bytes;
    out["peak_rss_bytes"] = r.peak_memory;
    return out;
  }

  void Print(const engine::BenchmarkResult& r) const {
    constexpr double kMebi = 1 << 20;
    std::printf("%zu threads, keys and values in %s\n", r.threads,
                std::string(kernels::KvTypeName(r.kv_type)).c_str());
    std::printf("load %23.2f s\n", r.load_seconds);
    for (const engine::TokenRate& rate : r.prefill) {
      std::printf("prefill of %6zu %11.1f tokens/s\n", rate.tokens, rate.tokens_per_second);
    }
    if (options_.decode > 0) {
      std::printf("decode %21.1f tokens/s, %.2f of limit (%.1f GB/s)\n", r.decode_tokens_per_second,
                  r.decode_tokens_per_second / Limit(r), r.bandwidth / 1e9);
    }
    for (const engine::TokenRate& rate : r.decode_behind) {
      std::printf("decode behind %6zu %8.1f tokens/s\n", rate.tokens, rate.tokens_per_second);
    }
    std::printf("weights %20.1f MiB\npeak memory %16.1f MiB\n",
                static_cast<double>(r.weight_bytes) / kMebi,
                static_cast<double>(r.peak_memory) / kMebi);
  }

  std::string path_;
  engine::BenchmarkOptions options_;
  DecoderFlags decoder_;
  CLI::App* kv_command_ = nullptr;
  KvBenchCommand kv_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeBenchCommand() { return std::make_unique<BenchCommand>(); }

}  // namespace cairn::services
