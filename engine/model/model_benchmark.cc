#include "engine/model/model_benchmark.h"

#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/model/benchmark_clock.h"
namespace cairn::engine {
namespace {

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Runs sequences of made-up tokens through a decoder.
class Runner {
 public:
  Runner(Decoder* decoder, KvPool* pool, size_t longest) : decoder_(decoder), pool_(pool) {
    logits_.resize(decoder->vocabulary_size());
    // All over the vocabulary, so that no two rows of embeddings are the same.
    for (size_t i = 0; i < longest; ++i) {
      tokens_.push_back(static_cast<uint32_t>((i * 7919 + 13) % decoder->vocabulary_size()));
    }
  }

  // Appends `count` tokens in one pass.
  absl::Status Append(KvSequence* sequence, size_t count) {
    const SequenceInput input = {sequence, absl::MakeConstSpan(tokens_).subspan(0, count), 1};
    return decoder_->Forward({&input, 1}, absl::MakeSpan(logits_));
  }

  absl::StatusOr<double> SecondsOfPrefill(size_t tokens) {
    KvSequence sequence(pool_);
    const double start = Seconds();
    if (absl::Status s = Append(&sequence, tokens); !s.ok()) return s;
    return Seconds() - start;
  }

  // Of one token, over `count` tokens one by one.
  absl::StatusOr<double> SecondsOfDecode(KvSequence* sequence, size_t count) {
    const double start = Seconds();
    for (size_t i = 0; i < count; ++i) {
      if (absl::Status s = Append(sequence, 1); !s.ok()) return s;
    }
    return (Seconds() - start) / static_cast<double>(count);
  }

 private:
  Decoder* const decoder_;
  KvPool* const pool_;
  std::vector<uint32_t> tokens_;
  std::vector<float> logits_;
};

// The median of `repeat` measurements.
absl::StatusOr<double> Repeated(size_t repeat,
                                absl::FunctionRef<absl::StatusOr<double>()> measure) {
  std::vector<double> values;
  for (size_t i = 0; i < repeat; ++i) {
    absl::StatusOr<double> value = measure();
    if (!value.ok()) return value.status();
    values.push_back(*value);
  }
  return Median(std::move(values));
}

absl::Status CheckLengths(const BenchmarkOptions& options, size_t context, size_t* longest) {
  if (options.repeat == 0) return absl::InvalidArgumentError("nothing is measured 0 times");
  *longest = options.decode + 1;
  for (size_t tokens : options.prefill) *longest = std::max(*longest, tokens);
  for (size_t tokens : options.contexts) *longest = std::max(*longest, tokens + options.decode);
  for (const std::vector<size_t>* lengths : {&options.prefill, &options.contexts}) {
    if (std::count(lengths->begin(), lengths->end(), 0u) > 0) {
      return absl::InvalidArgumentError("a length of 0 tokens");
    }
  }
  if (options.decode == 0 && !options.contexts.empty()) {
    return absl::InvalidArgumentError("nothing is decoded behind a context: 0 tokens to decode");
  }
  if (*longest <= context) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(*longest, " tokens do not fit the model's context of ", context));
}

absl::Status Measure(const BenchmarkOptions& options, Decoder* decoder, Runner* runner,
                     KvPool* pool, BenchmarkResult* result) {
  for (size_t tokens : options.prefill) {
    const auto seconds = Repeated(options.repeat, [&] { return runner->SecondsOfPrefill(tokens); });
    if (!seconds.ok()) return seconds.status();
    result->prefill.push_back({tokens, static_cast<double>(tokens) / *seconds});
  }
  if (options.decode == 0) return absl::OkStatus();
  // Memory's pace changes from second to second where others use it too: reading and decoding take
  // turns, a few steps each.
  constexpr size_t kStepsPerRead = 4;
  std::vector<double> reads;
  const auto decode = Repeated(options.repeat, [&]() -> absl::StatusOr<double> {
    KvSequence sequence(pool);
    if (absl::Status s = runner->Append(&sequence, 1); !s.ok()) return s;
    double seconds = 0, reading = 0;
    size_t read = 0;
    for (size_t done = 0; done < options.decode; ++read) {
      const size_t steps = std::min(kStepsPerRead, options.decode - done);
      const auto step = runner->SecondsOfDecode(&sequence, steps);
      if (!step.ok()) return step.status();
      seconds += *step * static_cast<double>(steps);
      done += steps;
      const double start = Seconds();
      decoder->ReadWeights();
      reading += Seconds() - start;
    }
    reads.push_back(reading / static_cast<double>(read));
    return seconds / static_cast<double>(options.decode);
  });
  if (!decode.ok()) return decode.status();
  result->decode_tokens_per_second = 1 / *decode;
  result->bandwidth = static_cast<double>(result->weight_bytes) / Median(std::move(reads));
  for (size_t context : options.contexts) {
    KvSequence sequence(pool);
    if (absl::Status s = runner->Append(&sequence, context); !s.ok()) return s;
    const auto seconds = Repeated(options.repeat, [&] {
      sequence.Truncate(context);
      return runner->SecondsOfDecode(&sequence, options.decode);
    });
    if (!seconds.ok()) return seconds.status();
    result->decode_behind.push_back({context, 1 / *seconds});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BenchmarkResult> BenchmarkModel(const std::string& path,
                                               const BenchmarkOptions& options) {
  const double start = Seconds();
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.status();
  absl::StatusOr<std::unique_ptr<Decoder>> decoder = Decoder::Create(**checkpoint, options.decoder);
  if (!decoder.ok()) return decoder.status();
  BenchmarkResult result;
  result.load_seconds = Seconds() - start;
  result.threads = (*decoder)->threads();
  result.kv_type = (*decoder)->kv_layout().type;
  result.weight_bytes = (*decoder)->weight_bytes();

  size_t longest = 0;
  absl::Status status = CheckLengths(options, (*decoder)->context_length(), &longest);
  if (!status.ok()) return status;
  const uint64_t pages = longest / kKvPageTokens + 2;
  auto pool = KvPool::Create((*decoder)->kv_layout(), pages * (*decoder)->kv_layout().page_bytes());
  if (!pool.ok()) return pool.status();
  Runner runner(decoder->get(), pool->get(), longest);
  // One pass for what is set up at first use.
  if (const auto warm = runner.SecondsOfPrefill(1); !warm.ok()) return warm.status();
  status = Measure(options, decoder->get(), &runner, pool->get(), &result);
  if (!status.ok()) return status;
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  result.peak_memory = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  return result;
}

}  // namespace cairn::engine
