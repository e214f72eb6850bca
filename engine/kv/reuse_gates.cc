#include "engine/kv/reuse_gates.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/kv/blender.h"
#include "engine/kv/document_reader.h"
#include "engine/kv/reuse_policy.h"
#include "engine/model/kv_cache.h"
#include "engine/model/rope.h"
#include "kernels/attention.h"

namespace cairn::engine {
namespace {

constexpr size_t kMostGateTokens = 300;
constexpr size_t kLeastTokens = 32;

double Difference(absl::Span<const float> a, absl::Span<const float> b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= largest)) largest = difference;  // What is no number stays.
    if (std::isnan(largest)) return std::numeric_limits<double>::infinity();
  }
  return largest;
}

std::vector<uint32_t> SomeTokens(size_t count, size_t vocabulary, uint32_t salt) {
  std::vector<uint32_t> tokens(count);
  uint32_t state = salt;
  for (uint32_t& token : tokens) {
    state = state * 1664525u + 1013904223u;
    token = static_cast<uint32_t>((state >> 8) % vocabulary);
  }
  return tokens;
}

class Gates {
 public:
  Gates(Decoder* decoder, KvPool* pool, const std::function<bool()>& is_cancelled)
      : decoder_(decoder), pool_(pool), is_cancelled_(is_cancelled) {
    const size_t tokens = std::min(kMostGateTokens, decoder->context_length());
    const size_t vocabulary = decoder->vocabulary_size();
    preface_ = SomeTokens(tokens / 16, vocabulary, 1);
    for (uint32_t c = 0; c < 3; ++c) {  // Of uneven lengths.
      chunks_.push_back(SomeTokens(tokens / 4 + c, vocabulary, 2 + c));
    }
    question_ = SomeTokens(tokens / 16, vocabulary, 9);
  }

  ReuseGate RoundTrip() const {
    const ModelConfig& config = decoder_->config();
    const Rope rope(config);
    std::vector<float> cos(rope.pairs()), sin(rope.pairs()), head(config.head_dim);
    double worst = 0;
    for (uint32_t position : {0u, 1u, 63u, config.context_length / 2, config.context_length - 1}) {
      for (size_t d = 0; d < head.size(); ++d) head[d] = std::sin(static_cast<float>(d + 1));
      const std::vector<float> before = head;
      rope.Angles(position, config.context_length, cos.data(), sin.data());
      rope.Rotate(cos.data(), sin.data(), head.data());
      rope.Unrotate(cos.data(), sin.data(), head.data());
      worst = std::max(worst, Difference(head, before));
    }
    return {"rope round trip", worst};
  }

  absl::StatusOr<ReuseGate> MovedKeys() {
    const ModelConfig& config = decoder_->config();
    const std::vector<uint32_t>& tokens = chunks_[0];
    const size_t width = size_t{config.kv_heads} * config.head_dim;
    const auto apart = static_cast<uint32_t>(chunks_[1].size());  // How far they move.
    std::vector<float> hidden(tokens.size() * config.hidden_size);
    std::vector<float> keys(tokens.size() * width), values(keys.size());
    decoder_->Embed(tokens, hidden.data());
    KvSequence here(pool_), moved(pool_), there(pool_);
    for (KvSequence* sequence : {&here, &moved, &there}) {
      if (absl::Status s = sequence->Reserve(tokens.size()); !s.ok()) return s;
    }
    std::vector<uint32_t> slots(tokens.size()), positions(tokens.size());
    for (uint32_t i = 0; i < slots.size(); ++i) {
      slots[i] = i;
      positions[i] = i + apart;
    }
    const size_t length = positions.back() + 1;
    const auto plan = [&](KvSequence* sequence, const std::vector<uint32_t>& at) {
      const PassSequence rows = {
          .sequence = sequence, .slots = slots, .positions = at, .length = length};
      return decoder_->Plan({&rows, 1});
    };
    decoder_->RunKeysAndValues(plan(&here, slots), 0, hidden.data(),
                               {.keys = keys.data(), .values = values.data(), .queries = nullptr});
    decoder_->WriteKv(plan(&moved, positions), 0, keys.data(), values.data());
    decoder_->RunKeysAndValues(plan(&there, positions), 0, hidden.data());
    double worst = 0;
    std::vector<float> a(config.head_dim), b(config.head_dim);
    for (size_t t = 0; t < tokens.size(); ++t) {
      for (size_t h = 0; h < config.kv_heads; ++h) {
        Load(moved, h, t, &a);
        Load(there, h, t, &b);
        worst = std::max(worst, Difference(a, b));
      }
    }
    return ReuseGate{"moved keys", worst};
  }

  absl::StatusOr<ReuseGate> Blended(std::string name, KvSource source, ReuseMethod method) {
    DocumentReaderOptions reading;
    reading.source = source;
    reading.encoding = KvEncoding::kF32;
    reading.is_cancelled = is_cancelled_;
    absl::StatusOr<std::unique_ptr<DocumentReader>> reader =
        DocumentReader::Create(decoder_, pool_, preface_, reading);
    if (!reader.ok()) return reader.status();
    std::vector<absl::Span<const uint32_t>> pieces(chunks_.begin(), chunks_.end());
    absl::StatusOr<std::vector<std::shared_ptr<const ChunkKvBuffer>>> read =
        (*reader)->Read(pieces);
    if (!read.ok()) return read.status();
    std::vector<BlendPart> parts = {{preface_, nullptr}};
    for (size_t c = 0; c < chunks_.size(); ++c) parts.push_back({chunks_[c], (*read)[c]});
    parts.push_back({question_, nullptr});

    ReuseOptions options;
    options.method = method;
    absl::StatusOr<std::unique_ptr<ReusePolicy>> policy = MakeReusePolicy(options);
    if (!policy.ok()) return policy.status();
    KvSequence blended(pool_), whole(pool_);
    std::vector<float> got(decoder_->vocabulary_size()), expected(got.size());
    BlendOptions blending;
    blending.is_cancelled = is_cancelled_;
    absl::StatusOr<ReuseUsage> usage =
        Blender(decoder_).Run(parts, policy->get(), &blended, got.data(), blending);
    if (!usage.ok()) return usage.status();
    std::vector<uint32_t> prompt;
    for (const BlendPart& part : parts) {
      prompt.insert(prompt.end(), part.tokens.begin(), part.tokens.end());
    }
    const SequenceInput input = {.sequence = &whole, .tokens = prompt, .logits = 1};
    absl::Status status = decoder_->Forward({&input, 1}, absl::MakeSpan(expected));
    if (!status.ok()) return status;
    return ReuseGate{std::move(name), Difference(got, expected)};
  }

 private:
  void Load(const KvSequence& sequence, size_t head, size_t token, std::vector<float>* key) const {
    const KvLayout layout = decoder_->kv_layout();
    kernels::LoadKv(layout.type, sequence.pages()[token / kKvPageTokens]->tile(0, head),
                    layout.head_dim, token % kKvPageTokens, key->data(), nullptr);
  }

  Decoder* const decoder_;
  KvPool* const pool_;
  const std::function<bool()>& is_cancelled_;
  std::vector<uint32_t> preface_;
  std::vector<std::vector<uint32_t>> chunks_;
  std::vector<uint32_t> question_;
};

}  // namespace

bool ReuseGateReport::holds() const {
  return std::all_of(gates.begin(), gates.end(), [](const ReuseGate& g) { return g.holds(); });
}

std::string ReuseGateReport::Summary() const {
  std::vector<std::string> broken;
  for (const ReuseGate& gate : gates) {
    if (!gate.holds()) broken.push_back(absl::StrCat(gate.name, " differs by ", gate.difference));
  }
  return broken.empty() ? "ok" : absl::StrJoin(broken, ", ");
}

absl::StatusOr<ReuseGateReport> RunReuseGates(Decoder* decoder,
                                              const std::function<bool()>& is_cancelled) {
  if (decoder->context_length() < kLeastTokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("a context of ", decoder->context_length(), " tokens is too short to reuse"));
  }
  const uint64_t pages = 4 * (kMostGateTokens / kKvPageTokens + 2);
  absl::StatusOr<std::unique_ptr<KvPool>> pool =
      KvPool::Create(decoder->kv_layout(), pages * decoder->kv_layout().page_bytes());
  if (!pool.ok()) return pool.status();
  Gates gates(decoder, pool->get(), is_cancelled);
  ReuseGateReport report;
  report.gates.push_back(gates.RoundTrip());
  absl::StatusOr<ReuseGate> gate = gates.MovedKeys();
  if (!gate.ok()) return gate.status();
  report.gates.push_back(*std::move(gate));
  gate = gates.Blended("all recomputed", KvSource::kIsolated, ReuseMethod::kFull);
  if (!gate.ok()) return gate.status();
  report.gates.push_back(*std::move(gate));
  gate = gates.Blended("original place", KvSource::kDocument, ReuseMethod::kReposition);
  if (!gate.ok()) return gate.status();
  report.gates.push_back(*std::move(gate));
  return report;
}

}  // namespace cairn::engine
