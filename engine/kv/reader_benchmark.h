// Measures how well a model answers from cached chunks.
#ifndef CAIRN_ENGINE_KV_READER_BENCHMARK_H_
#define CAIRN_ENGINE_KV_READER_BENCHMARK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/kv/paired_bootstrap.h"
#include "engine/kv/reader_arms.h"
#include "engine/kv/reader_questions.h"
#include "engine/model/checkpoint.h"
#include "engine/model/decoder.h"

namespace cairn::engine {

struct ReaderBenchmarkOptions {
  // Each of the threads answers questions by itself, with a copy of the weights: for small models.
  DecoderOptions decoder;
  ReaderArmSet arms = ReaderArmSet::kAll;
  KvEncoding encoding = KvEncoding::kF16;  // Of caches.
  size_t limit = 0;                        // Questions, evenly spread over the file; 0: all.
  uint64_t seed = 1;
  size_t resamples = 2000;  // Of intervals.
  // Told after each question how many are done; called by one thread at a time. Optional.
  std::function<void(size_t done, size_t all)> on_progress;
};

// An arm on the questions of a setting and a kind. Means over questions.
struct ReaderScore {
  std::string setting;
  std::string kind;  // Empty: of all kinds.
  size_t questions = 0;
  // The likeliest first token is the answer. Answers are one token: the F1 of words is the same.
  double exact_match = 0;
  MeanInterval difference;  // Of exact_match to that of the whole prompt computed.
  double divergence = 0;    // KL(whole prompt computed || this arm) at the first token, in nats.
  double agreement = 0;     // How often the likeliest token is the same as there.
  double loss_gap = 0;      // What the answer's negative log-likelihood is above that one.
  double charged = 0;       // ReuseUsage::charged
};

struct ReaderArmResult {
  ReaderArm arm;
  std::vector<ReaderScore> scores;  // Settings as they come in the file; in each all kinds first.
};

struct ReaderBenchmarkResult {
  size_t questions = 0;
  size_t layers = 0;
  size_t threads = 0;
  double mean_prompt_tokens = 0;
  double seconds = 0;  // For all answers.
  std::vector<ReaderArmResult> arms;
  uint64_t peak_memory = 0;  // The process's largest resident size, in bytes.

  // Null where there is none; `arm` as ReaderArm::Name() has it.
  const ReaderScore* Find(const std::string& arm, const std::string& setting,
                          const std::string& kind) const;
};

// InvalidArgument where a question does not fit the model's context.
absl::StatusOr<ReaderBenchmarkResult> BenchmarkReader(const Checkpoint& checkpoint,
                                                      const std::vector<ReaderQuestion>& questions,
                                                      const ReaderBenchmarkOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_READER_BENCHMARK_H_
