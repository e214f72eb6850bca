#include "engine/model/cross_encoder.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <new>
#include <numeric>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace cairn::engine {
namespace {

// Tokens of the passages that a thread takes at a time.
constexpr size_t kBatchTokens = 512;

// Texts that a thread turns into tokens at a time.
constexpr size_t kTexts = 8;

// Passages, by number, that are computed together.
using Batch = absl::Span<const size_t>;

class CrossEncoder : public Reranker {
 public:
  CrossEncoder(std::unique_ptr<EncoderCheckpoint> checkpoint, std::unique_ptr<Encoder> encoder,
               size_t threads)
      : checkpoint_(std::move(checkpoint)), encoder_(std::move(encoder)), threads_(threads) {}

  const std::string& fingerprint() const override { return checkpoint_->fingerprint(); }

  using Reranker::Score;
  absl::Status Score(std::string_view query, absl::Span<const std::string_view> passages,
                     absl::Span<float> scores,
                     const std::function<bool()>& is_cancelled) const override {
    if (scores.size() != passages.size()) {
      return absl::InvalidArgumentError("the room for scores is not what the passages want");
    }
    const std::vector<uint32_t> start = EncodeQuery(query);
    std::vector<std::vector<uint32_t>> pairs(passages.size());
    const size_t shares = (passages.size() + kTexts - 1) / kTexts;
    absl::Status status = RunShared(shares, is_cancelled, [&](size_t share) {
      const size_t end = std::min(passages.size(), (share + 1) * kTexts);
      for (size_t i = share * kTexts; i < end; ++i) pairs[i] = EncodePair(start, passages[i]);
      return absl::OkStatus();
    });
    if (!status.ok()) return status;

    // Long ones first, so that the threads end together.
    std::vector<size_t> order(pairs.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return pairs[a].size() > pairs[b].size(); });
    std::vector<Batch> batches;
    for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
      size_t tokens = 0;
      while (end < order.size() && tokens < kBatchTokens) tokens += pairs[order[end++]].size();
      batches.push_back(absl::MakeConstSpan(order).subspan(begin, end - begin));
    }
    return RunShared(batches.size(), is_cancelled, [&](size_t batch) {
      return RunBatch(batches[batch], pairs, start.size(), is_cancelled, scores);
    });
  }

 private:
  // [CLS] query [SEP], and the second [SEP] of RoBERTa's pairs.
  std::vector<uint32_t> EncodeQuery(std::string_view query) const {
    std::vector<uint32_t> ids =
        checkpoint_->tokenizer().EncodePrompt(query, chunking::ControlText::kAsText);
    const uint32_t separator = ids.back();
    const size_t most = std::max<size_t>(2, checkpoint_->max_tokens() / 2);
    if (ids.size() > most) {
      ids.resize(most);
      ids.back() = separator;
    }
    if (encoder_->config().family == EncoderFamily::kRoberta) ids.push_back(separator);
    return ids;
  }

  // `start`, then passage [SEP].
  std::vector<uint32_t> EncodePair(const std::vector<uint32_t>& start,
                                   std::string_view passage) const {
    std::vector<uint32_t> ids = start;
    const std::vector<uint32_t> rest =
        checkpoint_->tokenizer().EncodePrompt(passage, chunking::ControlText::kAsText);
    ids.insert(ids.end(), rest.begin() + 1, rest.end());
    if (ids.size() > checkpoint_->max_tokens()) {
      ids.resize(checkpoint_->max_tokens());
      ids.back() = rest.back();
    }
    return ids;
  }

  // Calls run(share) for each share in [0, shares), on up to threads_ threads; the first error.
  // Cancelled, leaving shares out, once `is_cancelled` says so.
  absl::Status RunShared(size_t shares, const std::function<bool()>& is_cancelled,
                         absl::FunctionRef<absl::Status(size_t)> run) const {
    std::atomic<size_t> next{0};
    std::vector<absl::Status> statuses(std::max<size_t>(1, std::min(threads_, shares)));
    const auto work = [&](size_t worker) {
      try {
        for (size_t share; (share = next++) < shares;) {
          if (is_cancelled && is_cancelled()) {
            statuses[worker].Update(absl::CancelledError("cancelled by the caller"));
            return;
          }
          statuses[worker].Update(run(share));
        }
      } catch (const std::bad_alloc&) {
        statuses[worker].Update(absl::ResourceExhaustedError("no memory for the passages"));
      }
    };
    std::vector<std::thread> workers;
    for (size_t worker = 1; worker < statuses.size(); ++worker) {
      try {
        workers.emplace_back(work, worker);
      } catch (const std::system_error&) {
        break;  // Those that there are do the work.
      }
    }
    work(0);
    for (std::thread& worker : workers) worker.join();
    absl::Status first;
    for (const absl::Status& status : statuses) first.Update(status);
    return first;
  }

  absl::Status RunBatch(Batch batch, const std::vector<std::vector<uint32_t>>& pairs, size_t second,
                        const std::function<bool()>& is_cancelled, absl::Span<float> scores) const {
    const size_t width = encoder_->config().hidden_size;
    std::vector<EncoderText> texts;
    texts.reserve(batch.size());
    for (size_t i : batch) texts.push_back({.tokens = pairs[i], .second = second});
    std::vector<float> states(batch.size() * width);
    absl::Status status = encoder_->Run(texts, EncoderRows::kFirst, states.data(), is_cancelled);
    if (!status.ok()) return status;
    for (size_t i = 0; i < batch.size(); ++i) {
      encoder_->Classify(&states[i * width], &scores[batch[i]]);
      if (!std::isfinite(scores[batch[i]])) {  // Could not be sorted by.
        return absl::InvalidArgumentError(
            "the model's scores are no finite numbers: damaged weights?");
      }
    }
    return absl::OkStatus();
  }

  const std::unique_ptr<EncoderCheckpoint> checkpoint_;
  const std::unique_ptr<Encoder> encoder_;
  const size_t threads_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Reranker>> OpenCrossEncoder(const std::string& directory,
                                                           const CrossEncoderOptions& options) {
  auto checkpoint = EncoderCheckpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  const uint32_t labels = (*checkpoint)->config().labels;
  if (labels == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        directory, " is no cross-encoder: it has no classification head (an embedding model?)"));
  }
  if (labels != 1) {
    return absl::InvalidArgumentError(absl::StrCat(directory, " is a classifier with ", labels,
                                                   " labels; a cross-encoder has one output"));
  }
  auto encoder = Encoder::Load(checkpoint->get(), options.encoder);
  if (!encoder.ok()) return encoder.status();
  const size_t threads = options.threads != 0
                             ? options.threads
                             : std::max<size_t>(1, std::thread::hardware_concurrency());
  return std::make_unique<CrossEncoder>(*std::move(checkpoint), *std::move(encoder), threads);
}

}  // namespace cairn::engine
