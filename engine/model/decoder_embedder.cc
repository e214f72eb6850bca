#include "engine/model/decoder_embedder.h"

#include <algorithm>
#include <filesystem>
#include <new>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/model/hf_files.h"
#include "engine/model/kv_cache.h"
#include "engine/model/model_config.h"
#include "engine/model/model_file.h"
#include "engine/model/sentence_transformers.h"
#include "engine/model/text_pooling.h"

namespace cairn::engine {
namespace {

// Longer texts are cut unless the directory says otherwise: states of every token are kept while a
// text is computed, and a passage is never as long as a language model's context.
constexpr size_t kDefaultMaxTokens = 8192;

// Part of every fingerprint: changed when the same files come to give other vectors.
constexpr const char* kDecoderFormatTag = "cairn decoder embedder 1";

// A text on its way: its tokens, and its place in the results.
struct Text {
  std::vector<uint32_t> ids;
  float* out = nullptr;
};

class DecoderEmbedder : public Embedder {
 public:
  DecoderEmbedder(std::unique_ptr<Checkpoint> checkpoint,
                  std::unique_ptr<chunking::Tokenizer> tokenizer, SentenceTransformer sentences,
                  FusionAdvice fusion, std::unique_ptr<Decoder> decoder,
                  std::unique_ptr<KvPool> pool)
      : checkpoint_(std::move(checkpoint)),
        tokenizer_(std::move(tokenizer)),
        sentences_(std::move(sentences)),
        query_prompt_(PromptFor(TextKind::kQuery, sentences_)),
        passage_prompt_(PromptFor(TextKind::kPassage, sentences_)),
        fusion_(fusion),
        fingerprint_(absl::StrCat(checkpoint_->fingerprint(), "-",
                                  static_cast<int>(sentences_.pooling), "-", *sentences_.max_tokens,
                                  "-", query_prompt_, "-", passage_prompt_, "-",
                                  kDecoderFormatTag)),
        dim_(checkpoint_->config().hidden_size),
        decoder_(std::move(decoder)),
        pool_(std::move(pool)) {}

  size_t dim() const override { return dim_; }
  size_t max_tokens() const override { return *sentences_.max_tokens; }
  const FusionAdvice& fusion() const override { return fusion_; }
  const chunking::Tokenizer& tokenizer() const override { return *tokenizer_; }
  const std::string& fingerprint() const override { return fingerprint_; }

  absl::Status Embed(TextKind kind, absl::Span<const std::string_view> texts,
                     absl::Span<float> out) const override {
    if (out.size() != texts.size() * dim()) {
      return absl::InvalidArgumentError("the room for vectors is not what the texts want");
    }
    const std::string& prompt = kind == TextKind::kQuery ? query_prompt_ : passage_prompt_;
    std::fill(out.begin(), out.end(), 0.0f);
    std::vector<Text> group;
    size_t tokens = 0;
    for (size_t i = 0; i <= texts.size(); ++i) {
      Text next;
      if (i < texts.size()) {
        next = {TokensFor(*tokenizer_, prompt, texts[i], max_tokens()), out.data() + i * dim()};
        if (next.ids.empty()) continue;
      }
      if (!group.empty() && (i == texts.size() || tokens + next.ids.size() > kPassTokens)) {
        if (absl::Status s = EmbedGroup(group); !s.ok()) return s;
        group.clear();
        tokens = 0;
      }
      tokens += next.ids.size();
      if (i < texts.size()) group.push_back(std::move(next));
    }
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kPassTokens = 512;

  // The whole of several texts, or one text that is longer than a pass in several.
  absl::Status EmbedGroup(const std::vector<Text>& group) const {
    absl::MutexLock lock(&mutex_);
    try {
      size_t rows = 0;
      std::vector<KvSequence> sequences;
      for (const Text& text : group) {
        sequences.emplace_back(pool_.get());
        if (absl::Status s = sequences.back().Reserve(text.ids.size()); !s.ok()) return s;
        rows += text.ids.size();
      }
      std::vector<float> hidden(rows * dim());
      if (group.size() == 1) {
        RunLong(group[0], &sequences[0], hidden.data());
      } else {
        RunPass(group, sequences, hidden.data());
      }
      const float* states = hidden.data();
      for (const Text& text : group) {
        const absl::Status pooled =
            PoolStates(sentences_.pooling, states, text.ids.size(), dim(), text.out);
        if (!pooled.ok()) return pooled;
        states += text.ids.size() * dim();
      }
      return absl::OkStatus();
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError("no memory for the texts' states");
    }
  }

  void RunPass(const std::vector<Text>& group, std::vector<KvSequence>& sequences,
               float* hidden) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<uint32_t> slots(kPassTokens);
    for (size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<uint32_t>(i);
    std::vector<PassSequence> parts;
    size_t row = 0;
    for (size_t t = 0; t < group.size(); ++t) {
      const size_t count = group[t].ids.size();
      parts.push_back({.sequence = &sequences[t],
                       .slots = absl::MakeConstSpan(slots).subspan(0, count),
                       .length = count});
      decoder_->Embed(group[t].ids, hidden + row * dim());
      row += count;
    }
    decoder_->RunLayers(decoder_->Plan(parts), 0, decoder_->config().layers, hidden);
    decoder_->NormStates(hidden, row, hidden);
  }

  void RunLong(const Text& text, KvSequence* sequence, float* hidden) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const absl::Span<const uint32_t> ids = text.ids;
    for (size_t begin = 0; begin < ids.size(); begin += kPassTokens) {
      const size_t count = std::min(kPassTokens, ids.size() - begin);
      std::vector<uint32_t> slots(count);
      for (size_t i = 0; i < count; ++i) slots[i] = static_cast<uint32_t>(begin + i);
      const PassSequence part = {.sequence = sequence, .slots = slots, .length = ids.size()};
      float* rows = hidden + begin * dim();
      decoder_->Embed(ids.subspan(begin, count), rows);
      decoder_->RunLayers(decoder_->Plan({&part, 1}), 0, decoder_->config().layers, rows);
      decoder_->NormStates(rows, count, rows);
      sequence->Extend(count);
    }
  }

  const std::unique_ptr<Checkpoint> checkpoint_;
  const std::unique_ptr<chunking::Tokenizer> tokenizer_;
  const SentenceTransformer sentences_;
  const std::string query_prompt_, passage_prompt_;
  const FusionAdvice fusion_;
  const std::string fingerprint_;
  const size_t dim_;
  mutable absl::Mutex mutex_;
  const std::unique_ptr<Decoder> decoder_ ABSL_PT_GUARDED_BY(mutex_);
  const std::unique_ptr<KvPool> pool_ ABSL_PT_GUARDED_BY(mutex_);
};

absl::StatusOr<SentenceTransformer> ReadSentences(const std::string& path,
                                                  const ModelConfig& config) {
  absl::StatusOr<SentenceTransformer> sentences = absl::NotFoundError("a file");
  if (std::error_code error; std::filesystem::is_directory(path, error)) {
    sentences = ReadSentenceTransformer(path);
  }
  if (absl::IsNotFound(sentences.status())) {
    sentences = SentenceTransformer();
    sentences->pooling = Pooling::kLast;
  }
  if (!sentences.ok()) return sentences.status();
  const size_t limit = sentences->max_tokens.value_or(kDefaultMaxTokens);
  sentences->max_tokens = static_cast<uint32_t>(std::min<size_t>(limit, config.context_length));
  return sentences;
}

absl::StatusOr<FusionAdvice> ReadFusion(const std::string& path) {
  FusionAdvice fusion;
  if (std::error_code error; std::filesystem::is_directory(path, error)) {
    const auto config = ReadOptionalFile(path + "/config.json", kMaxConfigBytes);
    if (!config.ok()) return config.status();
    const auto parsed = ParseFusionAdvice(config->value_or("{}"));
    if (!parsed.ok()) return parsed.status();
    fusion = *parsed;
  }
  if (!fusion.given) fusion.alpha = kEncoderAlpha;
  return fusion;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Embedder>> OpenDecoderEmbedder(const std::string& path,
                                                              const DecoderOptions& options) {
  auto checkpoint = Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.status();
  auto sentences = ReadSentences(path, (*checkpoint)->config());
  if (!sentences.ok()) return sentences.status();
  const auto fusion = ReadFusion(path);
  if (!fusion.ok()) return fusion.status();
  auto tokenizer = (*checkpoint)->LoadTokenizer();
  if (!tokenizer.ok()) return tokenizer.status();
  auto decoder = Decoder::Create(**checkpoint, options);
  if (!decoder.ok()) return decoder.status();
  // Room for the longest text, or for a group of the shortest, each of which takes a page.
  const KvLayout layout = (*decoder)->kv_layout();
  const uint64_t pages = 513 + *sentences->max_tokens / kKvPageTokens;
  auto pool = KvPool::Create(layout, pages * layout.page_bytes());
  if (!pool.ok()) return pool.status();
  return std::make_unique<DecoderEmbedder>(*std::move(checkpoint), *std::move(tokenizer),
                                           *std::move(sentences), *fusion, *std::move(decoder),
                                           *std::move(pool));
}

}  // namespace cairn::engine
