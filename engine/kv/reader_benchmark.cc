#include "engine/kv/reader_benchmark.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/kv/reader_trial.h"

namespace cairn::engine {
namespace {

using Chosen = std::vector<const ReaderQuestion*>;
using Outcomes = std::vector<std::vector<ReaderOutcome>>;  // [question][arm]

Chosen Choose(const std::vector<ReaderQuestion>& questions, size_t limit) {
  const size_t count = limit == 0 ? questions.size() : std::min(limit, questions.size());
  Chosen chosen(count);
  for (size_t i = 0; i < count; ++i) chosen[i] = &questions[i * questions.size() / count];
  return chosen;
}

// The most tokens that a sequence of it has, while answering or reading.
size_t MostTokens(const ReaderQuestion& question) {
  size_t most = question.prompt_tokens();
  for (const auto& document : question.documents) {
    size_t tokens = question.preface.size();
    for (const std::vector<uint32_t>& chunk : document) tokens += chunk.size();
    most = std::max(most, tokens);
  }
  return most;
}

absl::Status CheckFits(const Chosen& questions, const Decoder& decoder) {
  for (size_t q = 0; q < questions.size(); ++q) {
    if (questions[q]->prompt_tokens() <= decoder.context_length()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "question ", q + 1, " makes a prompt of ", questions[q]->prompt_tokens(),
        " tokens, which does not fit the model's context of ", decoder.context_length()));
  }
  return absl::OkStatus();
}

// Questions shared among threads, each with a model of its own.
class Workers {
 public:
  Workers(const Chosen& questions, const std::vector<ReaderArm>& arms,
          const ReaderBenchmarkOptions& options)
      : questions_(questions), arms_(arms), options_(options), outcomes_(questions.size()) {}

  absl::StatusOr<Outcomes> Run(const std::vector<std::unique_ptr<Decoder>>& decoders) {
    std::vector<std::thread> threads;
    for (const std::unique_ptr<Decoder>& decoder : decoders) {
      threads.emplace_back([this, d = decoder.get()] { Record(Answer(d)); });
    }
    for (std::thread& thread : threads) thread.join();
    absl::MutexLock lock(&mutex_);
    if (!status_.ok()) return status_;
    return std::move(outcomes_);
  }

 private:
  // Questions that follow each other are often about the same documents.
  static constexpr size_t kAtOnce = 4;

  absl::Status Answer(Decoder* decoder) {
    size_t most = 0;
    for (const ReaderQuestion* question : questions_) {
      most = std::max(most, std::min(MostTokens(*question), decoder->context_length()));
    }
    auto trial =
        ReaderTrial::Create(decoder, most, {.encoding = options_.encoding, .seed = options_.seed});
    if (!trial.ok()) return trial.status();
    while (!stopped_) {
      const size_t first = next_.fetch_add(kAtOnce);
      if (first >= questions_.size()) break;
      for (size_t q = first; q < std::min(first + kAtOnce, questions_.size()); ++q) {
        auto outcomes = (*trial)->Run(*questions_[q], q, arms_);
        if (!outcomes.ok()) {
          return absl::Status(outcomes.status().code(),
                              absl::StrCat("question ", q + 1, ": ", outcomes.status().message()));
        }
        outcomes_[q] = *std::move(outcomes);
        absl::MutexLock lock(&mutex_);
        ++done_;
        if (options_.on_progress) options_.on_progress(done_, questions_.size());
      }
    }
    return absl::OkStatus();
  }

  void Record(const absl::Status& status) {
    if (status.ok()) return;
    stopped_ = true;
    absl::MutexLock lock(&mutex_);
    if (status_.ok()) status_ = status;
  }

  const Chosen& questions_;
  const std::vector<ReaderArm>& arms_;
  const ReaderBenchmarkOptions& options_;
  Outcomes outcomes_;  // Each written by the thread that has the question.
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> stopped_ = false;
  absl::Mutex mutex_;
  size_t done_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// Questions that are scored together.
struct Group {
  std::string setting, kind;
  std::vector<size_t> questions;
};

std::vector<Group> GroupsOf(const Chosen& questions) {
  std::vector<Group> groups;
  const auto add = [&](const std::string& setting, const std::string& kind, size_t question) {
    for (Group& group : groups) {
      if (group.setting != setting || group.kind != kind) continue;
      group.questions.push_back(question);
      return;
    }
    // Behind the setting's others.
    auto at = groups.begin();
    while (at != groups.end() && at->setting != setting) ++at;
    while (at != groups.end() && at->setting == setting) ++at;
    groups.insert(at, {setting, kind, {question}});
  };
  for (size_t q = 0; q < questions.size(); ++q) {
    add(questions[q]->setting, "", q);
    add(questions[q]->setting, questions[q]->kind, q);
  }
  return groups;
}

ReaderScore ScoreOf(const Group& group, const Outcomes& outcomes, size_t arm,
                    const ReaderBenchmarkOptions& options) {
  ReaderScore score;
  score.setting = group.setting;
  score.kind = group.kind;
  score.questions = group.questions.size();
  std::vector<float> differences;
  for (size_t q : group.questions) {
    const ReaderOutcome& outcome = outcomes[q][arm];
    const ReaderOutcome& full = outcomes[q][0];
    score.exact_match += outcome.right ? 1 : 0;
    score.divergence += outcome.divergence;
    score.agreement += outcome.agrees ? 1 : 0;
    score.loss_gap += outcome.answer_loss - full.answer_loss;
    score.charged += outcome.charged;
    differences.push_back(static_cast<float>(outcome.right) - static_cast<float>(full.right));
  }
  for (double* mean :
       {&score.exact_match, &score.divergence, &score.agreement, &score.loss_gap, &score.charged}) {
    *mean /= static_cast<double>(group.questions.size());
  }
  // The same questions are drawn for every arm.
  score.difference = PairedBootstrap(differences, options.resamples, options.seed);
  return score;
}

}  // namespace

const ReaderScore* ReaderBenchmarkResult::Find(const std::string& arm, const std::string& setting,
                                               const std::string& kind) const {
  for (const ReaderArmResult& result : arms) {
    if (result.arm.Name() != arm) continue;
    for (const ReaderScore& score : result.scores) {
      if (score.setting == setting && score.kind == kind) return &score;
    }
  }
  return nullptr;
}

absl::StatusOr<ReaderBenchmarkResult> BenchmarkReader(const Checkpoint& checkpoint,
                                                      const std::vector<ReaderQuestion>& questions,
                                                      const ReaderBenchmarkOptions& options) {
  const Chosen chosen = Choose(questions, options.limit);
  if (chosen.empty()) return absl::InvalidArgumentError("no questions");
  if (options.resamples < 40) return absl::InvalidArgumentError("an interval of too few resamples");
  DecoderOptions one = options.decoder;
  one.threads = 1;
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  const size_t threads =
      std::min(options.decoder.threads == 0 ? cores : options.decoder.threads, chosen.size());
  std::vector<std::unique_ptr<Decoder>> decoders;
  for (size_t t = 0; t < threads; ++t) {
    absl::StatusOr<std::unique_ptr<Decoder>> decoder = Decoder::Create(checkpoint, one);
    if (!decoder.ok()) return decoder.status();
    decoders.push_back(*std::move(decoder));
  }
  if (absl::Status status = CheckFits(chosen, *decoders[0]); !status.ok()) return status;

  ReaderBenchmarkResult result;
  result.questions = chosen.size();
  result.layers = decoders[0]->config().layers;
  result.threads = threads;
  for (const ReaderQuestion* question : chosen) {
    result.mean_prompt_tokens +=
        static_cast<double>(question->prompt_tokens()) / static_cast<double>(chosen.size());
  }
  const std::vector<ReaderArm> arms = MakeReaderArms(options.arms, result.layers);
  const auto start = std::chrono::steady_clock::now();
  const absl::StatusOr<Outcomes> outcomes = Workers(chosen, arms, options).Run(decoders);
  if (!outcomes.ok()) return outcomes.status();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::vector<Group> groups = GroupsOf(chosen);
  for (size_t a = 0; a < arms.size(); ++a) {
    result.arms.push_back({arms[a], {}});
    for (const Group& group : groups) {
      result.arms.back().scores.push_back(ScoreOf(group, *outcomes, a, options));
    }
  }
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  result.peak_memory = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  return result;
}

}  // namespace cairn::engine
