#include "engine/kv/kv_benchmark.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/kv/reuse_policy.h"
#include "engine/model/benchmark_clock.h"
#include "engine/model/kv_cache.h"
#include "engine/model/model_synthesis.h"

namespace cairn::engine {
namespace {

constexpr double kCacheCraftShare = 0.30;  // What the paper needs for the base's quality.
constexpr size_t kNoTier = SIZE_MAX;

class MemoryTier final : public ChunkTier {
 public:
  explicit MemoryTier(const std::vector<BenchmarkChunk>& chunks) {
    for (const BenchmarkChunk& chunk : chunks) kvs_.push_back(chunk.kv);
  }
  absl::StatusOr<std::vector<std::shared_ptr<const ChunkKv>>> Get() override { return kvs_; }

 private:
  std::vector<std::shared_ptr<const ChunkKv>> kvs_;
};

// An arm as it is run.
struct Arm {
  KvArmResult result;
  ReuseOptions reuse;
  size_t tier = kNoTier;
  std::vector<ReuseUsage> usages;  // By round.
};

Arm MakeArm(ReuseMethod method, double share, std::string name) {
  Arm arm;
  arm.result.name = std::move(name);
  arm.result.method = ReuseMethodName(method);
  arm.result.share = share;
  arm.reuse.method = method;
  if (share > 0) arm.reuse.share = share;
  arm.tier = 0;
  return arm;
}

std::string Percent(double share) { return absl::StrCat(std::round(share * 1000) / 10, "%"); }

std::vector<Arm> MakeArms(const KvBenchmarkOptions& options) {
  std::vector<Arm> arms;
  arms.push_back(MakeArm(ReuseMethod::kFull, 0, "prefill"));
  arms.back().result.method = "prefill";
  arms.back().tier = kNoTier;
  arms.push_back(MakeArm(ReuseMethod::kFull, 0, "full"));
  arms.push_back(MakeArm(ReuseMethod::kReposition, 0, "reposition"));
  const auto blend = [](double share) {
    return MakeArm(ReuseMethod::kCacheBlend, share, "cacheblend " + Percent(share));
  };
  for (double share : options.shares) arms.push_back(blend(share));
  arms.push_back(blend(kUsualShare));
  arms.back().reuse.offset = arms.back().result.offset = true;
  arms.back().result.name += " offset";
  arms.push_back(MakeArm(ReuseMethod::kQuestionAttention, kUsualShare,
                         "question-attention " + Percent(kUsualShare)));
  for (uint32_t tokens : {16, 32}) {
    const double share =
        std::min(1.0, static_cast<double>(tokens) / static_cast<double>(options.chunk_tokens));
    arms.push_back(
        MakeArm(ReuseMethod::kFirstTokens, share, absl::StrCat("first-tokens ", tokens)));
    arms.back().reuse.first_tokens = tokens;
  }
  arms.push_back(MakeArm(ReuseMethod::kCacheCraft, kCacheCraftShare, "cache-craft"));
  for (size_t t = 0; t < options.tiers.size(); ++t) {
    arms.push_back(MakeArm(ReuseMethod::kReposition, 0, "reposition"));
    arms.back().tier = t + 1;
    arms.push_back(blend(kUsualShare));
    arms.back().tier = t + 1;
  }
  for (Arm& arm : arms) {
    if (arm.tier == kNoTier) continue;
    arm.result.tier = arm.tier == 0 ? "memory" : options.tiers[arm.tier - 1].name;
  }
  return arms;
}

absl::Status CheckNumbers(const KvBenchmarkOptions& options, size_t prompt, size_t context) {
  if (options.chunks == 0 || options.chunk_tokens == 0) {
    return absl::InvalidArgumentError("nothing is reused: 0 chunks, or chunks of 0 tokens");
  }
  if (options.question_tokens == 0) return absl::InvalidArgumentError("a question of 0 tokens");
  if (options.repeat == 0) return absl::InvalidArgumentError("nothing is measured 0 times");
  for (double share : options.shares) {
    if (!(share >= 0 && share <= 1)) {
      return absl::InvalidArgumentError("the share to compute again must be between 0 and 1");
    }
  }
  if (prompt <= context) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "a prompt of ", prompt, " tokens does not fit the model's context of ", context));
}

class Benchmark {
 public:
  Benchmark(const KvBenchmarkOptions& options, Decoder* decoder, KvPool* pool)
      : options_(options),
        decoder_(decoder),
        pool_(pool),
        random_(options.seed),
        logits_(decoder->vocabulary_size()) {}

  absl::Status Run(KvBenchmarkResult* result) {
    const double start = Seconds();
    if (absl::Status status = ReadChunks(); !status.ok()) return status;
    result->read_seconds = Seconds() - start;
    question_ = MadeUp(options_.question_tokens);
    for (const BenchmarkChunk& chunk : chunks_) result->chunk_bytes += chunk.kv->bytes();
    tiers_.push_back(std::make_unique<MemoryTier>(chunks_));
    for (const ChunkTierMaker& tier : options_.tiers) {
      auto made = tier.make(chunks_);
      if (!made.ok()) return made.status();
      tiers_.push_back(*std::move(made));
    }
    std::vector<Arm> arms = MakeArms(options_);
    for (size_t round = 0; round < options_.repeat; ++round) {
      // Each round begins with another arm: whoever comes first finds other caches than the rest.
      for (size_t i = 0; i < arms.size(); ++i) {
        if (absl::Status s = Turn(&arms[(i + round) % arms.size()]); !s.ok()) return s;
      }
    }
    Report(&arms, result);
    return absl::OkStatus();
  }

 private:
  std::vector<uint32_t> MadeUp(size_t tokens) {
    std::vector<uint32_t> made(tokens);
    for (uint32_t& token : made) {
      token = static_cast<uint32_t>(random_() % decoder_->vocabulary_size());
    }
    return made;
  }

  absl::Status ReadChunks() {
    preface_ = MadeUp(options_.preface_tokens);
    DocumentReaderOptions reading;
    reading.source = options_.source;
    reading.encoding = options_.encoding;
    reading.window = decoder_->context_length();
    reading.attention_layers = kCacheCraftLayers;
    auto reader = DocumentReader::Create(decoder_, pool_, preface_, reading);
    if (!reader.ok()) return reader.status();
    // Something stands before the chunk in its document, for Cache-Craft to go by.
    const size_t lead =
        std::min(options_.chunk_tokens,
                 decoder_->context_length() - options_.preface_tokens - options_.chunk_tokens);
    for (size_t c = 0; c < options_.chunks; ++c) {
      const std::vector<uint32_t> before = MadeUp(lead);
      BenchmarkChunk chunk = {MadeUp(options_.chunk_tokens), nullptr};
      const std::vector<absl::Span<const uint32_t>> pieces = {before, chunk.tokens};
      (*reader)->Begin();
      auto read = (*reader)->Read(pieces);
      if (!read.ok()) return read.status();
      chunk.kv = read->back();
      chunks_.push_back(std::move(chunk));
    }
    return absl::OkStatus();
  }

  absl::Status Turn(Arm* arm) {
    ReuseUsage usage;
    double seconds = 0;
    KvSequence sequence(pool_);
    if (arm->tier == kNoTier) {
      std::vector<uint32_t> prompt = preface_;
      for (const BenchmarkChunk& chunk : chunks_) {
        prompt.insert(prompt.end(), chunk.tokens.begin(), chunk.tokens.end());
      }
      prompt.insert(prompt.end(), question_.begin(), question_.end());
      const double start = Seconds();
      const SequenceInput input = {&sequence, prompt, 1};
      if (absl::Status s = decoder_->Forward({&input, 1}, absl::MakeSpan(logits_)); !s.ok()) {
        return s;
      }
      seconds = Seconds() - start;
      usage.fresh_tokens = prompt.size();
      usage.charged = 1;
      usage.compute_seconds = seconds;
      prefill_logits_ = logits_;
    } else {
      ChunkTier& tier = *tiers_[arm->tier];
      if (absl::Status s = tier.Prepare(); !s.ok()) return s;
      const double start = Seconds();
      auto kvs = tier.Get();
      if (!kvs.ok()) return kvs.status();
      std::vector<BlendPart> parts = {{preface_, nullptr}};
      for (size_t c = 0; c < chunks_.size(); ++c) {
        parts.push_back({chunks_[c].tokens, (*kvs)[c]});
      }
      parts.push_back({question_, nullptr});
      auto policy = MakeReusePolicy(arm->reuse);
      if (!policy.ok()) return policy.status();
      auto ran = Blender(decoder_).Run(parts, policy->get(), &sequence, logits_.data());
      if (!ran.ok()) return ran.status();
      seconds = Seconds() - start;
      usage = *ran;
      if (arm->reuse.method == ReuseMethod::kFull) full_logits_ = logits_;
    }
    arm->result.all_seconds.push_back(seconds);
    arm->usages.push_back(usage);
    return absl::OkStatus();
  }

  void Report(std::vector<Arm>* arms, KvBenchmarkResult* result) const {
    for (Arm& arm : *arms) {
      KvArmResult& r = arm.result;
      std::vector<size_t> order(r.all_seconds.size());
      for (size_t i = 0; i < order.size(); ++i) order[i] = i;
      std::sort(order.begin(), order.end(),
                [&](size_t a, size_t b) { return r.all_seconds[a] < r.all_seconds[b]; });
      const size_t middle = order[order.size() / 2];
      r.seconds = r.all_seconds[middle];
      r.usage = arm.usages[middle];
      r.speedup = (result->arms.empty() ? r.seconds : result->arms[0].seconds) / r.seconds;
      result->arms.push_back(std::move(r));
    }
    for (size_t i = 0; i < logits_.size(); ++i) {
      const double difference =
          std::fabs(static_cast<double>(prefill_logits_[i]) - full_logits_[i]);
      if (!(difference <= result->largest_difference)) result->largest_difference = difference;
    }
  }

  const KvBenchmarkOptions& options_;
  Decoder* const decoder_;
  KvPool* const pool_;
  std::mt19937_64 random_;
  std::vector<float> logits_, prefill_logits_, full_logits_;
  std::vector<uint32_t> preface_, question_;
  std::vector<BenchmarkChunk> chunks_;
  std::vector<std::unique_ptr<ChunkTier>> tiers_;  // Memory first.
};

}  // namespace

const KvArmResult* KvBenchmarkResult::Find(const std::string& name, const std::string& tier) const {
  for (const KvArmResult& arm : arms) {
    if (arm.name == name && arm.tier == tier) return &arm;
  }
  return nullptr;
}

absl::StatusOr<KvBenchmarkResult> BenchmarkKv(const Checkpoint& checkpoint,
                                              const KvBenchmarkOptions& options) {
  const size_t prompt =
      options.preface_tokens + options.chunks * options.chunk_tokens + options.question_tokens;
  size_t context = checkpoint.config().context_length;
  if (options.decoder.context_length > 0) context = options.decoder.context_length;
  // Before the weights are loaded, which takes its time.
  if (absl::Status s = CheckNumbers(options, prompt, context); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<Decoder>> decoder = Decoder::Create(checkpoint, options.decoder);
  if (!decoder.ok()) return decoder.status();
  const KvLayout layout = (*decoder)->kv_layout();
  // The preface, and the longer of the prompt and of a document being read.
  const size_t longest = options.preface_tokens + std::max(prompt, 2 * options.chunk_tokens);
  auto pool = KvPool::Create(layout, (longest / kKvPageTokens + 4) * layout.page_bytes());
  if (!pool.ok()) return pool.status();
  KvBenchmarkResult result;
  result.threads = (*decoder)->threads();
  result.kv_type = layout.type;
  result.layers = layout.layers;
  result.prompt_tokens = prompt;
  absl::Status status = Benchmark(options, decoder->get(), pool->get()).Run(&result);
  if (!status.ok()) return status;
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  result.peak_memory = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  return result;
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenSynthetic(const std::string& shape,
                                                          kernels::BlockFormat format,
                                                          size_t threads) {
  const std::optional<ModelConfig> config = ShapeByName(shape);
  if (!config.has_value()) {
    return absl::NotFoundError(
        absl::StrCat("there is no shape \"", shape, "\", but ", absl::StrJoin(ShapeNames(), ", ")));
  }
  std::error_code error;
  const std::filesystem::path directory = std::filesystem::temp_directory_path(error);
  if (error) return absl::NotFoundError("no directory for temporary files: " + error.message());
  std::string path = (directory / "cairn-bench-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path));
  }
  const std::string file = path + "/model.gguf";
  SynthesisOptions synthesis;
  synthesis.format = format;
  synthesis.threads = std::max<size_t>(1, threads);
  const absl::Status made = SynthesizeModel(*config, synthesis, file);
  // Once mapped, the file needs no name.
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
      made.ok() ? Checkpoint::Open(file) : absl::StatusOr<std::unique_ptr<Checkpoint>>(made);
  std::filesystem::remove_all(path, error);
  return checkpoint;
}

}  // namespace cairn::engine
