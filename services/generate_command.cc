#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/generation/text_generator.h"
#include "engine/model/checkpoint.h"
#include "engine/model/decoder.h"
#include "services/command.h"
#include "services/decoder_flags.h"
#include "services/generation_output.h"
#include "services/interrupt.h"
#include "services/json_output.h"
#include "services/passage_output.h"

namespace cairn::services {
namespace {

constexpr std::streamsize kMaxPromptBytes = std::streamsize{64} << 20;

// A file, or standard input for "-", less one line break at its end.
absl::StatusOr<std::string> ReadPrompt(const std::string& path) {
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& in = path == "-" ? std::cin : file;
  std::string prompt(4096, '\0');
  std::streamsize size = 0;
  while (in.read(prompt.data() + size, static_cast<std::streamsize>(prompt.size()) - size)) {
    size = static_cast<std::streamsize>(prompt.size());
    if (size > kMaxPromptBytes) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": a prompt of more than 64 MiB"));
    }
    prompt.resize(prompt.size() * 2);
  }
  if (in.bad() || !in.eof()) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  prompt.resize(static_cast<size_t>(size + in.gcount()));
  if (prompt.ends_with('\n')) prompt.pop_back();
  if (prompt.ends_with('\r')) prompt.pop_back();
  return prompt;
}

// Everything that belongs to an open model. The decoder reads from the checkpoint as it runs.
struct OpenModel {
  std::unique_ptr<engine::Checkpoint> checkpoint;
  std::unique_ptr<engine::TextGenerator> generator;
};

class GenerateCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("generate", "Let a language model go on from a prompt");
    c->add_option("--model", model_, "GGUF file, or directory of a Hugging Face model")->required();
    prompt_option_ = c->add_option("--prompt", prompt_, "The prompt; may be empty");
    c->add_option("--prompt-file", prompt_file_,
                  "File with the prompt, less its last line break; - for standard input")
        ->excludes(prompt_option_);
    RegisterChat(c);
    RegisterSampling(c);
    RegisterOutput(c);
    decoder_.Register(c);
    c->footer(
        "Steps apply in the order repeat penalty, top-k, top-p, min-p, temperature. The same seed\n"
        "gives the same text. Ctrl-C ends the text where it is; exit code 130.\n\n"
        "Examples:\n"
        "  cairn generate --model qwen2.5.gguf --chat --prompt 'Why is the sky blue?' --stream\n"
        "  cairn generate --model smollm.gguf --prompt 'Once upon a time' --temperature 0.8\n"
        "  cairn generate --model smollm.gguf --prompt 'The sky is' --choices ' blue' "
        "--choices ' green'");
    return c;
  }

  int Run() override {
    const absl::Status use = CheckUse();
    if (!use.ok()) return FailUsage(std::string(use.message()));
    if (!prompt_file_.empty()) {
      absl::StatusOr<std::string> prompt = ReadPrompt(prompt_file_);
      if (!prompt.ok()) return FailInput(prompt.status());
      prompt_ = *std::move(prompt);
    }
    absl::StatusOr<OpenModel> model = Open();
    if (!model.ok()) return FailInput(model.status());
    return choices_.empty() ? Generate(model->generator.get()) : Choose(model->generator.get());
  }

 private:
  void RegisterChat(CLI::App* c) {
    c->add_flag("--chat", chat_, "The prompt is a message that the model is to answer");
    system_option_ = c->add_option("--system", system_, "System message before it; implies --chat");
    c->add_option("--chat-template", template_,
                  absl::StrCat("Form of the conversation, where the model's files do not say: ",
                               engine::ChatTemplate::Names(), "; implies --chat"));
  }

  void RegisterSampling(CLI::App* c) {
    engine::SamplingOptions& sampling = options_.sampling;
    c->add_option("--temperature", sampling.temperature, "0: always the most likely token")
        ->capture_default_str();
    c->add_option("--top-k", sampling.top_k, "Only the K most likely tokens; 0: all")
        ->capture_default_str();
    c->add_option("--top-p", sampling.top_p,
                  "Only the most likely tokens that are this probable together")
        ->capture_default_str();
    c->add_option("--min-p", sampling.min_p,
                  "Only tokens at least this share as likely as the most likely one")
        ->capture_default_str();
    c->add_option("--repeat-penalty", sampling.repetition_penalty,
                  "Makes the last 64 tokens less likely; 1: off")
        ->capture_default_str();
    c->add_option("--seed", sampling.seed, "Of the draws")->capture_default_str();
    c->add_option("--max-tokens", options_.max_tokens, "Most tokens of the answer")
        ->check(CLI::Range(size_t{1}, size_t{std::numeric_limits<int32_t>::max()}))
        ->capture_default_str();
    c->add_flag("--ignore-eos", options_.ignore_eos, "Go on where the model would end the text");
    c->add_option("--stop", options_.stop, "The text ends before this; repeatable")
        ->allow_extra_args(false);
  }

  void RegisterOutput(CLI::App* c) {
    stream_option_ = c->add_flag("--stream", stream_, "Print the text as it comes");
    c->add_flag("--json", json_, "Print JSON")->excludes(stream_option_);
    logprobs_option_ =
        c->add_option("--logprobs", logprobs_,
                      "With --json: log probabilities of the tokens, and of the N most likely ones")
            ->check(CLI::Range(0, 1000));
    c->add_option("--choices", choices_,
                  "Instead of writing, rank these by how likely the model finds them; repeatable")
        ->allow_extra_args(false);
    c->add_flag("--choice-per-token", per_token_,
                "Rank by the mean log probability of a token, not that of the whole choice");
    c->add_flag("--choice-end", choice_end_,
                "Count the text's ending after a choice too, where one choice begins another");
  }

  absl::Status CheckUse() {
    const auto fault = [](const char* what) { return absl::InvalidArgumentError(what); };
    chat_ = chat_ || system_option_->count() > 0 || !template_.empty();
    if (prompt_option_->count() == 0 && prompt_file_.empty()) {
      return fault("no prompt given: use --prompt or --prompt-file");
    }
    if (logprobs_option_->count() > 0) {
      if (!json_) return fault("--logprobs needs --json");
      options_.logprobs = logprobs_;
    }
    if (choices_.empty() && (per_token_ || choice_end_)) {
      return fault("--choice-per-token and --choice-end are for --choices");
    }
    if (!choices_.empty() && (stream_ || logprobs_option_->count() > 0)) {
      return fault("--stream and --logprobs are for writing, not for --choices");
    }
    absl::Status status = engine::CheckSamplingOptions(options_.sampling);
    if (status.ok()) status = engine::CheckStopStrings(options_.stop);
    return status;
  }

  absl::StatusOr<OpenModel> Open() const {
    absl::StatusOr<std::unique_ptr<engine::Checkpoint>> checkpoint =
        engine::Checkpoint::Open(model_);
    if (!checkpoint.ok()) return checkpoint.status();
    absl::StatusOr<std::unique_ptr<chunking::Tokenizer>> tokenizer = (*checkpoint)->LoadTokenizer();
    if (!tokenizer.ok()) return tokenizer.status();
    // Before the weights, which take longer.
    std::optional<engine::ChatTemplate> chat;
    if (chat_) {
      absl::StatusOr<engine::ChatTemplate> found =
          template_.empty()
              ? engine::ChatTemplate::Detect((*checkpoint)->chat_template(), **tokenizer)
              : engine::ChatTemplate::ByName(template_, **tokenizer);
      if (!found.ok()) {
        return absl::FailedPreconditionError(
            absl::StrCat("--chat-template: ", found.status().message()));
      }
      chat = *std::move(found);
    }
    absl::StatusOr<std::unique_ptr<engine::Decoder>> decoder =
        engine::Decoder::Create(**checkpoint, decoder_.Options());
    if (!decoder.ok()) return decoder.status();
    engine::TextGeneratorOptions options;
    options.end_tokens = (*checkpoint)->config().end_tokens;
    absl::StatusOr<std::unique_ptr<engine::TextGenerator>> generator =
        engine::TextGenerator::Create(*std::move(decoder), *std::move(tokenizer), std::move(chat),
                                      options);
    if (!generator.ok()) return generator.status();
    return OpenModel{*std::move(checkpoint), *std::move(generator)};
  }

  std::vector<engine::ChatMessage> Conversation() const {
    std::vector<engine::ChatMessage> messages;
    if (system_option_->count() > 0) messages.push_back({engine::ChatRole::kSystem, system_});
    messages.push_back({engine::ChatRole::kUser, prompt_});
    return messages;
  }

  int Generate(engine::TextGenerator* generator) const {
    WatchForInterrupt();  // Only here: nothing else asks for it.
    engine::TextGenerator::Watch watch;
    watch.is_cancelled = Interrupted;
    if (stream_) {
      watch.on_text = [](std::string_view text) {
        std::fputs(ForTerminal(text, STDOUT_FILENO).c_str(), stdout);
        std::fflush(stdout);
      };
    }
    const absl::StatusOr<engine::GenerationOutput> output =
        chat_ ? generator->Chat(Conversation(), options_, watch)
              : generator->Generate(prompt_, options_, watch);
    if (!output.ok()) return FailInput(output.status());
    if (json_) {
      std::printf("%s\n", Dump(ToJson(*output, generator->tokenizer())).c_str());
    } else {
      const std::string rest = stream_ ? "" : ForTerminal(output->text, STDOUT_FILENO);
      std::printf("%s\n", rest.c_str());
    }
    return output->finish == engine::FinishReason::kCancelled ? kExitInterrupted : kExitOk;
  }

  int Choose(engine::TextGenerator* generator) const {
    const absl::StatusOr<std::vector<engine::RankedChoice>> ranked =
        chat_ ? generator->ChooseAnswer(Conversation(), choices_, choice_end_, per_token_)
              : generator->Choose(prompt_, choices_, choice_end_, per_token_);
    if (!ranked.ok()) return FailInput(ranked.status());
    if (json_) {
      Json out;
      out["choices"] = ToJson(*ranked, choices_);
      std::printf("%s\n", Dump(out).c_str());
      return kExitOk;
    }
    for (const engine::RankedChoice& choice : *ranked) {
      std::printf("%.4f\t%s\n", per_token_ ? choice.logprob_per_token() : choice.logprob,
                  ForTerminal(choices_[choice.index], STDOUT_FILENO).c_str());
    }
    return kExitOk;
  }

  std::string model_;
  CLI::Option* prompt_option_ = nullptr;
  std::string prompt_;
  std::string prompt_file_;
  bool chat_ = false;
  CLI::Option* system_option_ = nullptr;
  std::string system_;
  std::string template_;
  engine::GenerateOptions options_;
  CLI::Option* stream_option_ = nullptr;
  bool stream_ = false;
  bool json_ = false;
  CLI::Option* logprobs_option_ = nullptr;
  size_t logprobs_ = 0;
  std::vector<std::string> choices_;
  bool per_token_ = false;
  bool choice_end_ = false;
  DecoderFlags decoder_;
};

}  // namespace

std::unique_ptr<Command> MakeGenerateCommand() { return std::make_unique<GenerateCommand>(); }

}  // namespace cairn::services
