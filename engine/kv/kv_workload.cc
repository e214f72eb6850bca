#include "engine/kv/kv_workload.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/kv/blender.h"
#include "engine/kv/reuse_policy.h"
#include "engine/kv/scratch_kv_store.h"
#include "engine/model/benchmark_clock.h"
#include "engine/model/kv_cache.h"

namespace cairn::engine {
namespace {

constexpr size_t kWindows = 4;

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct StoredChunk {
  std::vector<uint32_t> tokens;
  KvKey key;
};

class Workload {
 public:
  Workload(const KvWorkloadOptions& options, Decoder* decoder, KvPool* pool)
      : options_(options),
        decoder_(decoder),
        pool_(pool),
        random_(options.seed),
        logits_(decoder->vocabulary_size()) {
    double sum = 0;
    for (size_t d = 0; d < options.documents; ++d) {
      sum += std::pow(static_cast<double>(d + 1), -options.zipf);
      cumulative_.push_back(sum);
    }
  }

  absl::Status Run(KvWorkloadResult* result) {
    preface_ = MadeUp(options_.preface_tokens);
    if (absl::Status status = Store(result); !status.ok()) return status;
    if (absl::Status status = MeasureFull(result); !status.ok()) return status;
    for (size_t w = 0; w < kWindows; ++w) {
      KvWorkloadWindow window;
      window.first = options_.queries * w / kWindows;
      window.queries = options_.queries * (w + 1) / kWindows - window.first;
      const KvCollectionStats before = store_->stats();
      std::vector<double> seconds(window.queries);
      for (double& one : seconds) {
        const absl::StatusOr<double> taken = Query();
        if (!taken.ok()) return taken.status();
        one = *taken;
      }
      const KvCollectionStats after = store_->stats();
      const auto wanted = static_cast<double>(window.queries * options_.chunks);
      window.memory_hits = static_cast<double>(after.memory_hits - before.memory_hits) / wanted;
      window.disk_hits = static_cast<double>(after.disk_hits - before.disk_hits) / wanted;
      window.slowest_seconds = *std::max_element(seconds.begin(), seconds.end());
      window.median_seconds = Median(std::move(seconds));
      result->windows.push_back(window);
    }
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

  // Reads all documents.
  absl::Status Store(KvWorkloadResult* result) {
    const KvLayout layout = decoder_->kv_layout();
    const KvShape shape = {static_cast<uint32_t>(layout.layers),
                           static_cast<uint32_t>(layout.kv_heads),
                           static_cast<uint32_t>(layout.head_dim)};
    result->stored_bytes = options_.documents * options_.chunks_of_document * shape.layers *
                           KvLayerBytes(options_.encoding, shape, options_.chunk_tokens);
    auto store = ScratchKvStore::Create(
        static_cast<uint64_t>(options_.memory_share * static_cast<double>(result->stored_bytes)));
    if (!store.ok()) return store.status();
    store_ = *std::move(store);
    DocumentReaderOptions reading;
    reading.source = options_.source;
    reading.encoding = options_.encoding;
    auto reader = DocumentReader::Create(decoder_, pool_, preface_, reading);
    if (!reader.ok()) return reader.status();
    for (size_t d = 0; d < options_.documents; ++d) {
      std::vector<std::vector<uint32_t>> chunks(options_.chunks_of_document);
      for (std::vector<uint32_t>& chunk : chunks) chunk = MadeUp(options_.chunk_tokens);
      const std::vector<absl::Span<const uint32_t>> pieces(chunks.begin(), chunks.end());
      (*reader)->Begin();
      const auto read = (*reader)->Read(pieces);
      if (!read.ok()) return read.status();
      documents_.emplace_back();
      for (size_t c = 0; c < chunks.size(); ++c) {
        const auto key = store_->Put(chunks[c], *(*read)[c], options_.encoding);
        if (!key.ok()) return key.status();
        documents_.back().push_back({std::move(chunks[c]), *key});
      }
    }
    return absl::OkStatus();
  }

  absl::Status MeasureFull(KvWorkloadResult* result) {
    const std::vector<uint32_t> prompt = MadeUp(result->prompt_tokens);
    std::vector<double> seconds;
    for (int i = 0; i < 3; ++i) {
      KvSequence sequence(pool_);
      const double start = Seconds();
      const SequenceInput input = {&sequence, prompt, 1};
      if (absl::Status s = decoder_->Forward({&input, 1}, absl::MakeSpan(logits_)); !s.ok()) {
        return s;
      }
      seconds.push_back(Seconds() - start);
    }
    result->full_seconds = Median(std::move(seconds));
    return absl::OkStatus();
  }

  double Uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

  // No chunk twice.
  std::vector<const StoredChunk*> Draw() {
    std::vector<const StoredChunk*> drawn;
    while (drawn.size() < options_.chunks) {
      const double at = Uniform() * cumulative_.back();
      const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, at);
      const auto& chunks = documents_[static_cast<size_t>(found - cumulative_.begin())];
      const StoredChunk* chunk = &chunks[random_() % chunks.size()];
      if (std::find(drawn.begin(), drawn.end(), chunk) == drawn.end()) drawn.push_back(chunk);
    }
    return drawn;
  }

  absl::StatusOr<double> Query() {
    const std::vector<const StoredChunk*> drawn = Draw();
    const std::vector<uint32_t> question = MadeUp(options_.question_tokens);
    ReuseOptions reuse;
    reuse.share = options_.share;
    KvSequence sequence(pool_);
    const double start = Seconds();
    std::vector<BlendPart> parts = {{preface_, nullptr}};
    // What is not there is computed as text is.
    for (const StoredChunk* chunk : drawn) {
      parts.push_back({chunk->tokens, store_->kv().Find(chunk->key)});
    }
    parts.push_back({question, nullptr});
    auto policy = MakeReusePolicy(reuse);
    if (!policy.ok()) return policy.status();
    const auto usage = Blender(decoder_).Run(parts, policy->get(), &sequence, logits_.data());
    if (!usage.ok()) return usage.status();
    return Seconds() - start;
  }

  const KvWorkloadOptions& options_;
  Decoder* const decoder_;
  KvPool* const pool_;
  std::mt19937_64 random_;
  std::vector<float> logits_;
  std::vector<double> cumulative_;  // By document.
  std::vector<uint32_t> preface_;
  std::unique_ptr<ScratchKvStore> store_;
  std::vector<std::vector<StoredChunk>> documents_;
};

absl::Status Check(const KvWorkloadOptions& o, size_t longest, size_t context) {
  if (o.chunks == 0 || o.chunk_tokens == 0) {
    return absl::InvalidArgumentError("nothing is reused: 0 chunks, or chunks of 0 tokens");
  }
  if (o.question_tokens == 0) return absl::InvalidArgumentError("a question of 0 tokens");
  if (o.queries < kWindows) {
    return absl::InvalidArgumentError(absl::StrCat("at least ", kWindows, " queries"));
  }
  if (o.documents * o.chunks_of_document < o.chunks) {
    return absl::InvalidArgumentError("fewer chunks in all documents than in a prompt");
  }
  if (!(o.memory_share >= 0 && o.memory_share <= 1) || !(o.zipf >= 0 && o.zipf < 10)) {
    return absl::InvalidArgumentError("shares of memory are from 0 to 1, exponents from 0 to 10");
  }
  if (longest <= context) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      longest, " tokens of a prompt or document do not fit the model's context of ", context));
}

}  // namespace

double KvWorkloadResult::slowdown() const {
  return windows.empty() ? 1 : windows.back().median_seconds / windows.front().median_seconds;
}

absl::StatusOr<KvWorkloadResult> RunKvWorkload(const Checkpoint& checkpoint,
                                               const KvWorkloadOptions& options) {
  KvWorkloadResult result;
  result.prompt_tokens =
      options.preface_tokens + options.chunks * options.chunk_tokens + options.question_tokens;
  const size_t longest =
      std::max(result.prompt_tokens,
               options.preface_tokens + options.chunks_of_document * options.chunk_tokens);
  size_t context = checkpoint.config().context_length;
  if (options.decoder.context_length > 0) context = options.decoder.context_length;
  if (absl::Status status = Check(options, longest, context); !status.ok()) return status;
  const auto decoder = Decoder::Create(checkpoint, options.decoder);
  if (!decoder.ok()) return decoder.status();
  const KvLayout layout = (*decoder)->kv_layout();
  const auto pool = KvPool::Create(
      layout, ((longest + options.preface_tokens) / kKvPageTokens + 4) * layout.page_bytes());
  if (!pool.ok()) return pool.status();
  result.threads = (*decoder)->threads();
  absl::Status status = Workload(options, decoder->get(), pool->get()).Run(&result);
  if (!status.ok()) return status;
  return result;
}

}  // namespace cairn::engine
