#include "engine/kv/reader_trial.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <utility>

#include "engine/kv/cache_craft.h"
#include "engine/kv/chunk_kv_buffer.h"
#include "engine/kv/reuse_policy.h"

namespace cairn::engine {
namespace {

constexpr size_t kDocumentsKept = 96;

// log of softmax(logits).
std::vector<double> LogProbabilities(absl::Span<const float> logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - most);
  const double log_sum = std::log(sum) + most;
  std::vector<double> logs(logits.size());
  for (size_t i = 0; i < logs.size(); ++i) logs[i] = logits[i] - log_sum;
  return logs;
}

size_t Likeliest(absl::Span<const float> logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

double Divergence(absl::Span<const double> p, absl::Span<const double> q) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
  return std::max(0.0, sum);
}

uint64_t Key(const ReaderQuestion& question, size_t document, KvSource source) {
  std::vector<uint32_t> tokens = {static_cast<uint32_t>(source)};
  const auto add = [&](const std::vector<uint32_t>& more) {
    tokens.push_back(static_cast<uint32_t>(more.size()));
    tokens.insert(tokens.end(), more.begin(), more.end());
  };
  add(question.preface);
  for (const std::vector<uint32_t>& chunk : question.documents[document]) add(chunk);
  return HashTokens(tokens);
}

// Fisher and Yates's, since std::shuffle differs from library to library.
std::vector<size_t> SomeOrder(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  return order;
}

}  // namespace

struct ReaderTrial::Prepared {
  const ReaderQuestion* question = nullptr;
  uint64_t seed = 0;
  std::vector<size_t> in_order, shuffled;  // Places in the context.
  std::map<KvSource, Kvs> caches;
  std::map<size_t, Kvs> best_variants;  // By how many there are.
  std::map<KvEncoding, Kvs> own_caches;
  std::map<KvSource, std::vector<float>> deviations;

  const std::vector<size_t>& order(const ReaderArm& arm) const {
    return arm.shuffled ? shuffled : in_order;
  }
  absl::Span<const uint32_t> TokensAt(size_t place) const {
    const ChunkPlace& at = question->context[place];
    return question->documents[at.document][at.chunk];
  }
};

ReaderTrial::ReaderTrial(Decoder* decoder, std::unique_ptr<KvPool> pool,
                         const ReaderTrialOptions& options)
    : decoder_(decoder),
      pool_(std::move(pool)),
      options_(options),
      logits_(decoder->vocabulary_size()) {}

absl::StatusOr<std::unique_ptr<ReaderTrial>> ReaderTrial::Create(
    Decoder* decoder, size_t most_tokens, const ReaderTrialOptions& options) {
  const KvLayout layout = decoder->kv_layout();
  const uint64_t pages = 2 * (most_tokens / kKvPageTokens + 4);
  auto pool = KvPool::Create(layout, pages * layout.page_bytes());
  if (!pool.ok()) return pool.status();
  return std::unique_ptr<ReaderTrial>(new ReaderTrial(decoder, *std::move(pool), options));
}

absl::StatusOr<std::vector<ReaderOutcome>> ReaderTrial::Run(const ReaderQuestion& question,
                                                            uint64_t number,
                                                            absl::Span<const ReaderArm> arms) {
  if (documents_.size() > kDocumentsKept) documents_.clear();
  Prepared prepared;
  prepared.question = &question;
  prepared.seed = options_.seed * 0x9E3779B97F4A7C15u + number;
  prepared.shuffled = SomeOrder(question.context.size(), prepared.seed);
  prepared.in_order = prepared.shuffled;
  std::sort(prepared.in_order.begin(), prepared.in_order.end());
  std::vector<ReaderOutcome> outcomes;
  std::vector<double> full;
  size_t full_token = 0;
  for (const ReaderArm& arm : arms) {
    ReaderOutcome outcome;
    if (arm.prompt == ReaderArm::Prompt::kComputed || arm.prompt == ReaderArm::Prompt::kNoContext) {
      if (absl::Status status = Compute(prepared, arm); !status.ok()) return status;
      const size_t left_out =
          arm.prompt == ReaderArm::Prompt::kNoContext ? question.context_tokens() : 0;
      outcome.charged =
          1 - static_cast<float>(left_out) / static_cast<float>(question.prompt_tokens());
    } else {
      absl::StatusOr<ReuseUsage> usage = Blend(&prepared, arm);
      if (!usage.ok()) return usage.status();
      outcome.charged = static_cast<float>(usage->charged);
    }
    const std::vector<double> logs = LogProbabilities(logits_);
    const size_t token = Likeliest(logits_);
    if (outcomes.empty()) {
      full = logs;
      full_token = token;
    }
    outcome.right = token == question.answer;
    outcome.agrees = token == full_token;
    outcome.divergence = static_cast<float>(Divergence(full, logs));
    outcome.answer_loss = static_cast<float>(-logs[question.answer]);
    outcomes.push_back(outcome);
  }
  return outcomes;
}

absl::Status ReaderTrial::Compute(const Prepared& prepared, const ReaderArm& arm) {
  std::vector<uint32_t> prompt = prepared.question->preface;
  if (arm.prompt == ReaderArm::Prompt::kComputed) {
    for (size_t place : prepared.order(arm)) {
      const absl::Span<const uint32_t> tokens = prepared.TokensAt(place);
      prompt.insert(prompt.end(), tokens.begin(), tokens.end());
    }
  }
  const std::vector<uint32_t>& question = prepared.question->question;
  prompt.insert(prompt.end(), question.begin(), question.end());
  KvSequence sequence(pool_.get());
  const SequenceInput input = {&sequence, prompt, 1};
  return decoder_->Forward({&input, 1}, absl::MakeSpan(logits_));
}

absl::StatusOr<ReuseUsage> ReaderTrial::Blend(Prepared* prepared, const ReaderArm& arm) {
  const absl::StatusOr<const Kvs*> kvs = CachesOf(prepared, arm);
  if (!kvs.ok()) return kvs.status();
  ReuseOptions reuse = arm.reuse;
  reuse.seed = prepared->seed;
  if (arm.oracle) {
    std::vector<float>& deviations = prepared->deviations[*arm.source];
    if (deviations.empty()) {
      absl::StatusOr<std::vector<float>> computed = Deviations(prepared, **kvs);
      if (!computed.ok()) return computed.status();
      deviations = *std::move(computed);
    }
    reuse.scores = deviations;
  }
  const ReaderQuestion& question = *prepared->question;
  if (reuse.method == ReuseMethod::kFirstTokens) {
    const double mean = static_cast<double>(question.context_tokens()) /
                        static_cast<double>(std::max<size_t>(1, question.context.size()));
    reuse.first_tokens = static_cast<uint32_t>(std::lround(arm.share * mean));
  }
  auto policy = MakeReusePolicy(reuse);
  if (!policy.ok()) return policy.status();
  std::vector<BlendPart> parts = {{question.preface, nullptr}};
  for (size_t place : prepared->order(arm)) {
    const absl::Span<const uint32_t> tokens = prepared->TokensAt(place);
    parts.push_back({{tokens.begin(), tokens.end()}, (**kvs)[place]});
  }
  parts.push_back({question.question, nullptr});
  KvSequence sequence(pool_.get());
  BlendOptions options;
  options.reposition = arm.reposition;
  return Blender(decoder_).Run(parts, policy->get(), &sequence, logits_.data(), options);
}

absl::StatusOr<const ReaderTrial::Kvs*> ReaderTrial::CachesOf(Prepared* prepared,
                                                              const ReaderArm& arm) {
  const ReaderQuestion& question = *prepared->question;
  if (arm.prompt == ReaderArm::Prompt::kOwnCaches) {
    Kvs& exact = prepared->own_caches[KvEncoding::kF32];
    if (exact.empty()) {
      absl::StatusOr<Kvs> read = ReadPrompt(question);
      if (!read.ok()) return read.status();
      exact = *std::move(read);
    }
    Kvs& stored = prepared->own_caches[*arm.encoding];
    if (stored.empty()) {
      absl::StatusOr<Kvs> encoded = Stored(exact, *arm.encoding);
      if (!encoded.ok()) return encoded.status();
      stored = *std::move(encoded);
    }
    return &stored;
  }
  if (arm.variants > 0) {
    Kvs& best = prepared->best_variants[arm.variants];
    if (best.empty()) {
      absl::StatusOr<Kvs> read = BestVariants(*prepared, arm.variants);
      if (!read.ok()) return read.status();
      best = *std::move(read);
    }
    return &best;
  }
  Kvs& caches = prepared->caches[*arm.source];
  if (caches.empty()) {
    for (const ChunkPlace& place : question.context) {
      absl::StatusOr<Kvs> document = ReadDocument(question, place.document, *arm.source);
      if (!document.ok()) return document.status();
      caches.push_back((*document)[place.chunk]);
    }
  }
  return &caches;
}

absl::StatusOr<ReaderTrial::Kvs> ReaderTrial::ReadDocument(const ReaderQuestion& question,
                                                           size_t document, KvSource source) {
  Kvs& known = documents_[Key(question, document, source)];
  if (!known.empty()) return known;
  DocumentReaderOptions reading;
  reading.source = source;
  reading.encoding = options_.encoding;
  reading.attention_layers = source == KvSource::kDocument ? kCacheCraftLayers : 0;
  auto reader = DocumentReader::Create(decoder_, pool_.get(), question.preface, reading);
  if (!reader.ok()) return reader.status();
  const std::vector<std::vector<uint32_t>>& chunks = question.documents[document];
  const std::vector<absl::Span<const uint32_t>> pieces(chunks.begin(), chunks.end());
  auto read = (*reader)->Read(pieces);
  if (!read.ok()) return read.status();
  known.assign(read->begin(), read->end());
  return known;
}

// As a document that begins with the preface: then nothing but rounding is between its keys and
// values and those of the prompt computed at once.
absl::StatusOr<ReaderTrial::Kvs> ReaderTrial::ReadPrompt(const ReaderQuestion& question) {
  DocumentReaderOptions reading;
  reading.source = KvSource::kDocument;
  reading.encoding = KvEncoding::kF32;
  reading.window = decoder_->context_length();
  auto reader = DocumentReader::Create(decoder_, pool_.get(), {}, reading);
  if (!reader.ok()) return reader.status();
  std::vector<absl::Span<const uint32_t>> pieces = {question.preface};
  for (const ChunkPlace& place : question.context) {
    pieces.emplace_back(question.documents[place.document][place.chunk]);
  }
  auto read = (*reader)->Read(pieces);
  if (!read.ok()) return read.status();
  return Kvs(read->begin() + 1, read->end());
}

absl::StatusOr<ReaderTrial::Kvs> ReaderTrial::BestVariants(const Prepared& prepared, size_t count) {
  const size_t places = prepared.in_order.size();
  DocumentReaderOptions reading;
  reading.source = KvSource::kDocument;
  reading.encoding = options_.encoding;
  reading.window = decoder_->context_length();
  reading.attention_layers = kCacheCraftLayers;
  auto reader = DocumentReader::Create(decoder_, pool_.get(), prepared.question->preface, reading);
  if (!reader.ok()) return reader.status();
  std::vector<Kvs> variants(places);
  for (size_t v = 0; v < count; ++v) {
    std::vector<absl::Span<const uint32_t>> pieces;
    const std::vector<size_t> order = SomeOrder(places, prepared.seed + 1 + v);
    for (size_t place : order) pieces.push_back(prepared.TokensAt(place));
    (*reader)->Begin();
    auto read = (*reader)->Read(pieces);
    if (!read.ok()) return read.status();
    for (size_t i = 0; i < places; ++i) variants[order[i]].push_back((*read)[i]);
  }
  Kvs best;
  std::vector<uint64_t> before;
  for (size_t place : prepared.in_order) {
    const absl::Span<const uint32_t> tokens = prepared.TokensAt(place);
    std::vector<const ChunkAttention*> attention;
    for (const auto& variant : variants[place]) attention.push_back(variant->attention());
    best.push_back(variants[place][BestVariant(attention, tokens.size(), before, 1).variant]);
    before.push_back(HashTokens(tokens));
  }
  return best;
}

absl::StatusOr<ReaderTrial::Kvs> ReaderTrial::Stored(const Kvs& kvs, KvEncoding encoding) const {
  Kvs stored;
  std::vector<float> keys, values;
  for (const std::shared_ptr<const ChunkKv>& kv : kvs) {
    auto copy =
        std::make_shared<ChunkKvBuffer>(encoding, kv->shape(), kv->tokens(), kv->first_position());
    keys.resize(kv->tokens() * kv->shape().width());
    values.resize(keys.size());
    for (size_t layer = 0; layer < kv->shape().layers; ++layer) {
      absl::Status status = kv->Read(layer, 0, kv->tokens(), keys.data(), values.data());
      if (!status.ok()) return status;
      copy->Fill(layer, 0, kv->tokens(), keys.data(), values.data());
    }
    stored.push_back(std::move(copy));
  }
  return stored;
}

absl::StatusOr<std::vector<float>> ReaderTrial::Deviations(Prepared* prepared, const Kvs& cached) {
  ReaderArm own;
  own.prompt = ReaderArm::Prompt::kOwnCaches;
  own.encoding = KvEncoding::kF32;
  const absl::StatusOr<const Kvs*> exact = CachesOf(prepared, own);
  if (!exact.ok()) return exact.status();
  std::vector<float> deviations(prepared->question->preface.size());
  std::vector<float> own_keys, own_values, keys, values;
  for (size_t place = 0; place < cached.size(); ++place) {
    const ChunkKv& kv = *cached[place];
    const size_t width = kv.shape().width(), floats = kv.tokens() * width;
    for (std::vector<float>* to : {&own_keys, &own_values, &keys, &values}) to->resize(floats);
    const size_t first = deviations.size();
    deviations.resize(first + kv.tokens());
    for (size_t layer = 0; layer < kv.shape().layers; ++layer) {
      absl::Status status = kv.Read(layer, 0, kv.tokens(), keys.data(), values.data());
      if (status.ok()) {
        status = (**exact)[place]->Read(layer, 0, kv.tokens(), own_keys.data(), own_values.data());
      }
      if (!status.ok()) return status;
      for (size_t i = 0; i < floats; ++i) {
        const float key = own_keys[i] - keys[i], value = own_values[i] - values[i];
        deviations[first + i / width] += key * key + value * value;
      }
    }
  }
  return deviations;
}

}  // namespace cairn::engine
