// What a long prompt costs those who are being answered: eight answers under way, then a prompt of
// 2,000 tokens arrives. Prints how long the passes took before, while it was read, and at most; and
// how long passes of a whole token budget take when there is nothing else to do, which bounds what
// an answer may have to wait for its next token.
//
//   bench_scheduler MODEL.gguf [BUDGET]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "engine/generation/scheduler.h"
#include "engine/model/checkpoint.h"
#include "engine/model/decoder.h"

namespace {

using namespace cairn::engine;

constexpr size_t kAnswers = 8, kPrompt = 2000;

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::vector<uint32_t> Prompt(size_t tokens, size_t vocabulary, size_t salt) {
  std::vector<uint32_t> prompt(tokens);
  for (size_t i = 0; i < tokens; ++i) {
    prompt[i] = static_cast<uint32_t>(((i + salt) * 7919 + 13) % vocabulary);
  }
  return prompt;
}

// Seconds of each pass of `budget` tokens that read a prompt of kPrompt tokens by itself.
std::vector<double> FullPasses(Decoder* decoder, KvPool* pool, size_t budget) {
  std::vector<double> seconds;
  std::vector<float> logits(decoder->vocabulary_size());
  const std::vector<uint32_t> prompt = Prompt(kPrompt, decoder->vocabulary_size(), 77);
  KvSequence sequence(pool);
  for (size_t done = 0; done + budget <= kPrompt; done += budget) {
    const SequenceInput input = {&sequence, absl::MakeConstSpan(prompt).subspan(done, budget), 1};
    const auto start = std::chrono::steady_clock::now();
    if (!decoder->Forward({&input, 1}, absl::MakeSpan(logits)).ok()) std::exit(1);
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return seconds;
}

int Main(const char* path, size_t budget) {
  const auto checkpoint = Checkpoint::Open(path);
  if (!checkpoint.ok()) {
    std::fprintf(stderr, "%s\n", std::string(checkpoint.status().message()).c_str());
    return 1;
  }
  const auto decoder = Decoder::Create(**checkpoint, DecoderOptions()).value().release();
  const std::unique_ptr<Decoder> owner(decoder);
  const auto tokenizer = (*checkpoint)->LoadTokenizer().value().release();
  const std::unique_ptr<cairn::chunking::Tokenizer> tokenizer_owner(tokenizer);
  const std::unique_ptr<KvPool> pool =
      KvPool::Create(decoder->kv_layout(), 128 * decoder->kv_layout().page_bytes()).value();
  SchedulerOptions options;
  options.token_budget = budget;
  const std::unique_ptr<Scheduler> scheduler =
      Scheduler::Create(decoder, tokenizer, pool.get(), nullptr, options).value();
  const auto submit = [&](size_t tokens, size_t salt, size_t answer) {
    GenerationRequest request;
    request.prompt = Prompt(tokens, decoder->vocabulary_size(), salt);
    request.options.max_tokens = answer;
    request.options.ignore_eos = true;
    if (!scheduler->Submit(std::move(request)).ok()) std::exit(1);
  };
  for (size_t i = 0; i < kAnswers; ++i) submit(20, i * 100, 200);
  std::vector<double> alone, beside;
  size_t stalled = 0, most_tokens = 0;
  for (int step = 0; scheduler->HasWork(); ++step) {
    if (step == 40) submit(kPrompt, 5000, 4);
    const StepStatistics s = scheduler->Step();
    if (s.decode_sequences < kAnswers) {
      if (step > 0 && step < 100) ++stalled;  // An answer got no token in this pass.
      continue;
    }
    (s.prefill_tokens > 0 ? beside : alone).push_back(s.seconds);
    most_tokens = std::max(most_tokens, s.tokens());
  }
  std::vector<double> full = FullPasses(decoder, pool.get(), budget);
  std::sort(full.begin(), full.end());
  std::printf(
      "passes beside the prompt %zu, of at most %zu tokens; passes that left an answer "
      "waiting %zu\n",
      beside.size(), most_tokens, stalled);
  std::printf("seconds of a pass: %.4f without it, %.4f beside it, %.4f at most\n", Median(alone),
              Median(beside), *std::max_element(beside.begin(), beside.end()));
  std::printf("seconds of a pass of %zu prompt tokens alone: %.4f, %.4f at most\n", budget,
              Median(full), full.back());
  std::printf("longest_wait_ratio %.3f\n",
              *std::max_element(beside.begin(), beside.end()) / full.back());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_scheduler MODEL.gguf [BUDGET]\n");
    return 2;
  }
  return Main(argv[1], argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 512);
}
