#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/kv/reuse_gates.h"
#include "engine/model/checkpoint.h"
#include "engine/model/decoder.h"
#include "engine/model/model_conversion.h"
#include "engine/model/model_inspection.h"
#include "engine/model/model_layout.h"
#include "engine/model/model_synthesis.h"
#include "services/command.h"
#include "services/distill_command.h"
#include "services/json_output.h"
#include "services/passage_output.h"

namespace cairn::services {
namespace {

std::string AllFormats() {
  std::vector<std::string> names;
  for (size_t i = 0; i < kernels::kBlockFormats; ++i) {
    names.emplace_back(kernels::BlockFormatName(static_cast<kernels::BlockFormat>(i)));
  }
  return absl::StrJoin(names, ", ");
}

size_t DefaultThreads() { return std::max(1u, std::thread::hardware_concurrency()); }

const char* ScalingName(engine::RopeScaling::Kind kind) {
  switch (kind) {
    case engine::RopeScaling::Kind::kNone:
      return "none";
    case engine::RopeScaling::Kind::kLinear:
      return "linear";
    case engine::RopeScaling::Kind::kDynamicNtk:
      return "dynamic";
    case engine::RopeScaling::Kind::kYarn:
      return "yarn";
    case engine::RopeScaling::Kind::kLlama3:
      return "llama3";
  }
  return "";
}

const char* PoolingName(engine::Pooling pooling) {
  switch (pooling) {
    case engine::Pooling::kMean:
      return "mean";
    case engine::Pooling::kCls:
      return "first token";
    case engine::Pooling::kLast:
      return "last token";
  }
  return "";
}

class ModelCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand(
        "model", "Look at, check, convert, quantise, distil and make up models");
    c->require_subcommand(0, 1);  // None is reported below: here it would hide a mistyped one.
    RegisterInspect(c);
    RegisterCheck(c);
    RegisterConversion(c);
    RegisterSynthesis(c);
    distill_ = distillation_.Register(c);
    c->footer(
        "Examples:\n"
        "  cairn model inspect SmolLM2-135M-Instruct\n"
        "  cairn model check smollm2.gguf\n"
        "  cairn model convert SmolLM2-135M-Instruct smollm2.gguf --type q8_0\n"
        "  cairn model quantize smollm2-f16.gguf smollm2-q4.gguf --type q4_k\n"
        "  cairn model distill all-MiniLM-L6-v2 --texts corpus.txt --out small\n"
        "  cairn model synthesize --shape smollm-135m --type q8_0 random.gguf");
    return c;
  }

  int Run() override {
    if (inspect_->parsed()) return Inspect();
    if (check_->parsed()) return Check();
    if (convert_->parsed() || quantize_->parsed()) return Convert();
    if (synthesize_->parsed()) return Synthesize();
    if (distill_->parsed()) return distillation_.Run();
    return FailUsage("model needs a command; cairn model --help lists them");
  }

 private:
  void RegisterInspect(CLI::App* parent) {
    inspect_ = parent->add_subcommand("inspect", "Print a model's settings, formats and tokenizer");
    inspect_->add_option("MODEL", from_, "GGUF file or Hugging Face directory")->required();
    inspect_->add_flag("--tensors", tensors_, "List the tensors too");
    inspect_->add_flag("--json", json_, "Print JSON");
  }

  void RegisterCheck(CLI::App* parent) {
    check_ = parent->add_subcommand("check", "Whether a model's keys and values may be reused");
    check_->add_option("MODEL", from_, "GGUF file or Hugging Face directory")->required();
    check_->add_flag("--json", json_, "Print JSON");
    AddThreads(check_);
    check_->footer(
        "Computes in float32, so that what differs is not rounding. Exits with 1 where a gate\n"
        "fails: answers of this model then compute everything.");
  }

  void RegisterConversion(CLI::App* parent) {
    convert_ = parent->add_subcommand("convert", "Write a model as a GGUF file");
    convert_->add_option("MODEL", from_, "GGUF file or Hugging Face directory")->required();
    quantize_ = parent->add_subcommand("quantize", "Write a GGUF file's weights in another format");
    quantize_->add_option("MODEL", from_, "GGUF file")->required();
    for (CLI::App* command : {convert_, quantize_}) {
      command->add_option("OUTPUT", to_, "The GGUF file to write")->required();
      AddFormat(command)->required(command == quantize_);
      AddThreads(command);
    }
  }

  void RegisterSynthesis(CLI::App* parent) {
    synthesize_ = parent->add_subcommand(
        "synthesize", "Write a model of random weights with the shape of a real one");
    synthesize_->add_option("--shape", from_, "One of " + absl::StrJoin(engine::ShapeNames(), ", "))
        ->required();
    synthesize_->add_option("OUTPUT", to_, "The GGUF file to write")->required();
    AddFormat(synthesize_);
    synthesize_->add_option("--seed", seed_, "Of the random weights")->capture_default_str();
    synthesize_->add_option("--vocabulary", vocabulary_,
                            "Tokens of the vocabulary (default: the shape's)");
    synthesize_->add_option("--layers", layers_, "Layers (default: the shape's)");
    AddThreads(synthesize_);
  }

  CLI::Option* AddFormat(CLI::App* command) {
    return command->add_option("--type", type_, "Format of the matrices: " + AllFormats())
        ->capture_default_str();
  }
  void AddThreads(CLI::App* command) {
    command->add_option("--threads", threads_, "Threads that compute (default: all)")
        ->check(CLI::Range(1, 1024));
  }

  int Inspect() const {
    const auto model = engine::InspectModel(from_);
    if (!model.ok()) return FailInput(model.status());
    if (json_) {
      std::printf("%s\n", Dump(ToJson(*model)).c_str());
    } else {
      Print(*model);
    }
    return kExitOk;
  }

  int Check() const {
    const auto checkpoint = engine::Checkpoint::Open(from_);
    if (!checkpoint.ok()) return FailInput(checkpoint.status());
    engine::DecoderOptions options;
    options.threads = threads_;
    options.kv_type = kernels::KvType::kF32;
    options.compute = kernels::ComputeType::kF32;
    const auto decoder = engine::Decoder::Create(**checkpoint, options);
    if (!decoder.ok()) return FailInput(decoder.status());
    const auto report = engine::RunReuseGates(decoder->get());
    if (!report.ok()) return FailInput(report.status());
    if (json_) {
      std::printf("%s\n", Dump(GatesJson(*report)).c_str());
    } else {
      for (const engine::ReuseGate& gate : report->gates) {
        std::printf("%-16s  %.1e  %s\n", gate.name.c_str(), gate.difference,
                    gate.holds() ? "ok" : "FAILS");
      }
    }
    return report->holds() ? kExitOk : kExitNothingFound;
  }

  static Json GatesJson(const engine::ReuseGateReport& report) {
    Json gates = Json::array();
    for (const engine::ReuseGate& gate : report.gates) {
      gates.push_back(
          {{"name", gate.name}, {"difference", gate.difference}, {"holds", gate.holds()}});
    }
    return {{"holds", report.holds()},
            {"tolerance", engine::kGateTolerance},
            {"gates", std::move(gates)}};
  }

  int Convert() const {
    const auto format = kernels::ParseBlockFormat(type_);
    if (!format.has_value()) return UnknownFormat();
    engine::ConversionOptions options;
    options.format = *format;
    options.threads = threads_;
    const auto report = engine::ConvertModel(from_, to_, options);
    if (!report.ok()) return FailInput(report.status());
    for (const std::string& note : report->notes) std::fprintf(stderr, "%s\n", note.c_str());
    std::fprintf(stderr, "%" PRIu64 " tensors, %.1f MB became %.1f MB\n", report->tensors,
                 static_cast<double>(report->bytes_before) / 1e6,
                 static_cast<double>(report->bytes_after) / 1e6);
    return kExitOk;
  }

  int Synthesize() const {
    const auto format = kernels::ParseBlockFormat(type_);
    if (!format.has_value()) return UnknownFormat();
    std::optional<engine::ModelConfig> config = engine::ShapeByName(from_);
    if (!config.has_value()) {
      return FailUsage(absl::StrCat("there is no shape \"", from_, "\", but ",
                                    absl::StrJoin(engine::ShapeNames(), ", ")));
    }
    if (vocabulary_.has_value()) config->vocabulary_size = *vocabulary_;
    if (layers_.has_value()) config->layers = *layers_;
    engine::SynthesisOptions options;
    options.format = *format;
    options.seed = seed_;
    options.threads = threads_;
    const absl::Status status = engine::SynthesizeModel(*config, options, to_);
    return status.ok() ? kExitOk : Fail(status);
  }

  int UnknownFormat() const {
    return FailUsage(absl::StrCat("there is no format \"", type_, "\", but ", AllFormats()));
  }

  static Json ShapeJson(const engine::ModelConfig& c) {
    return {{"architecture", std::string(engine::ArchitectureName(c.architecture))},
            {"name", c.name},
            {"layers", c.layers},
            {"hidden_size", c.hidden_size},
            {"intermediate_size", c.intermediate_size},
            {"heads", c.heads},
            {"kv_heads", c.kv_heads},
            {"head_dim", c.head_dim},
            {"vocabulary_size", c.vocabulary_size},
            {"context_length", c.context_length},
            {"rope_theta", c.rope_theta},
            {"rope_scaling", ScalingName(c.rope_scaling.kind)},
            {"sliding_window", c.sliding_window},
            {"tied_embeddings", c.tied_embeddings}};
  }

  static Json ShapeJson(const engine::EncoderConfig& c) {
    return {{"architecture", c.family == engine::EncoderFamily::kBert ? "bert" : "roberta"},
            {"kind", c.labels == 0   ? "encoder"
                     : c.labels == 1 ? "cross-encoder"
                                     : "classifier"},
            {"layers", c.layers},
            {"hidden_size", c.hidden_size},
            {"intermediate_size", c.intermediate_size},
            {"heads", c.heads},
            {"vocabulary_size", c.vocabulary_size},
            {"max_tokens", c.max_tokens()},
            {"labels", c.labels}};
  }

  static Json ShapeJson(const engine::ModelInspection& model) {
    return model.encoder.has_value() ? ShapeJson(*model.encoder) : ShapeJson(model.config);
  }

  Json ToJson(const engine::ModelInspection& model) const {
    Json out = {{"file_format", model.file_format}, {"config", ShapeJson(model)},
                {"parameters", model.parameters},   {"bytes", Json::object()},
                {"tokens", model.tokens},           {"chat_template", model.has_chat_template},
                {"fingerprint", model.fingerprint}};
    for (const auto& [format, bytes] : model.bytes) {
      out["bytes"][std::string(kernels::BlockFormatName(format))] = bytes;
    }
    if (!model.tokenizer_error.empty()) out["tokenizer_error"] = model.tokenizer_error;
    if (model.embedding.has_value()) {
      const engine::SentenceTransformer& embedding = *model.embedding;
      out["embedding"] = {{"pooling", PoolingName(embedding.pooling)},
                          {"normalize", embedding.normalize},
                          {"prompts", embedding.prompts}};
      if (embedding.max_tokens.has_value()) out["embedding"]["max_tokens"] = *embedding.max_tokens;
    }
    if (!model.embedding_error.empty()) out["embedding_error"] = model.embedding_error;
    if (!tensors_) return out;
    out["tensors"] = Json::array();
    for (const engine::ModelInspection::Tensor& tensor : model.tensors) {
      out["tensors"].push_back({{"name", tensor.name},
                                {"type", std::string(kernels::BlockFormatName(tensor.format))},
                                {"shape", tensor.shape}});
    }
    return out;
  }

  // Names and texts are the file's.
  static void PrintLine(const std::string& label, const std::string& text) {
    std::printf("%-18s%s\n", ForTerminal(label, STDOUT_FILENO).c_str(),
                ForTerminal(text, STDOUT_FILENO).c_str());
  }

  void Print(const engine::ModelInspection& model) const {
    PrintLine("file format", model.file_format);
    const Json settings = ShapeJson(model);  // items() refers to it.
    for (const auto& [key, value] : settings.items()) {
      std::string label = key;
      std::replace(label.begin(), label.end(), '_', ' ');
      const std::string text = value.is_string() ? value.get<std::string>() : Dump(value);
      if (!text.empty()) PrintLine(label, text);
    }
    std::printf("%-18s%" PRIu64 "\n", "parameters", model.parameters);
    for (const auto& [format, bytes] : model.bytes) {
      std::printf("%-18s%.1f MB\n", std::string(kernels::BlockFormatName(format)).c_str(),
                  static_cast<double>(bytes) / 1e6);
    }
    PrintLine("tokenizer", model.tokenizer_error.empty() ? absl::StrCat(model.tokens, " tokens")
                                                         : "none: " + model.tokenizer_error);
    PrintLine("chat template", model.has_chat_template ? "yes" : "no");
    if (model.embedding.has_value()) {
      const engine::SentenceTransformer& embedding = *model.embedding;
      PrintLine("pooling", absl::StrCat(PoolingName(embedding.pooling),
                                        embedding.normalize ? ", normalised" : ""));
      for (const auto& [name, prompt] : embedding.prompts) {
        PrintLine("prompt", absl::StrCat(name, ": ", prompt));
      }
    }
    if (!model.embedding_error.empty()) PrintLine("pooling", "none: " + model.embedding_error);
    PrintLine("fingerprint", model.fingerprint);
    if (!tensors_) return;
    for (const engine::ModelInspection::Tensor& tensor : model.tensors) {
      std::printf("%s\t%s\t[%s]\n", ForTerminal(tensor.name, STDOUT_FILENO).c_str(),
                  std::string(kernels::BlockFormatName(tensor.format)).c_str(),
                  absl::StrJoin(tensor.shape, ",").c_str());
    }
  }

  CLI::App* inspect_ = nullptr;
  CLI::App* check_ = nullptr;
  CLI::App* convert_ = nullptr;
  CLI::App* quantize_ = nullptr;
  CLI::App* synthesize_ = nullptr;
  CLI::App* distill_ = nullptr;
  DistillCommand distillation_;
  std::string from_, to_, type_ = "q8_0";
  std::optional<uint32_t> vocabulary_, layers_;
  uint64_t seed_ = 1;
  size_t threads_ = DefaultThreads();
  bool tensors_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeModelCommand() { return std::make_unique<ModelCommand>(); }

}  // namespace cairn::services
