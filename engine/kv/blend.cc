#include "engine/kv/blend.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "engine/kv/attention_mass.h"

namespace cairn::engine {
namespace {

using Floats = kernels::AlignedVector<float>;

class Timer {
 public:
  explicit Timer(double* to) : to_(to) {}
  ~Timer() {
    *to_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  double* const to_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// Sees what the question looks at when nothing of the chunks is computed.
class Scout final : public ReusePolicy {
 public:
  Scout(std::vector<size_t> layers, size_t rows) : layers_(std::move(layers)), attention_(rows) {}

  std::vector<uint32_t> Begin(const BlendShape&) override { return {}; }
  bool WantsQuestion(size_t layer) const override {
    return std::find(layers_.begin(), layers_.end(), layer) != layers_.end();
  }
  std::vector<uint32_t> Narrow(const LayerView& view) override {
    for (size_t i = 0; i < attention_.size(); ++i) {
      attention_[i] += view.question_attention[i] / static_cast<float>(layers_.size());
    }
    return {};
  }
  absl::Span<const float> attention() const { return attention_; }

 private:
  const std::vector<size_t> layers_;
  std::vector<float> attention_;
};

}  // namespace

Blend::Blend(Decoder* decoder, absl::Span<const BlendPart> parts, KvSequence* sequence,
             const BlendOptions& options)
    : decoder_(decoder), sequence_(sequence), options_(options), start_(sequence->length()) {
  const ModelConfig& config = decoder->config();
  width_ = config.hidden_size;
  kv_width_ = size_t{config.kv_heads} * config.head_dim;
  std::vector<ChunkCapture::Passage> seen;
  for (const KnownPassage& passage : options.known) known_.push_back(passage.hash);
  for (size_t p = 0; p < parts.size(); ++p) {
    const BlendPart& part = parts[p];
    const auto begin = static_cast<uint32_t>(tokens_.size());
    tokens_.insert(tokens_.end(), part.tokens.begin(), part.tokens.end());
    const auto end = static_cast<uint32_t>(tokens_.size());
    if (part.kv != nullptr || part.passage) {
      const bool whole = part.known_tokens == 0;
      const bool keep = part.kv == nullptr && part.keep && whole && begin < end;
      passages_.push_back({begin, whole ? HashTokens(part.tokens) : part.whole_hash});
      question_begin_ = end;
      seen.push_back({p, passages_.back().hash, begin, end, part.known_tokens, keep});
    }
    if (part.kv != nullptr) {
      chunks_.push_back({begin, end, passages_.back().hash, part.kv.get()});
      part_of_chunk_.push_back(p);
    } else {
      for (uint32_t row = begin; row < end; ++row) text_.push_back(row);
    }
  }
  if (options.on_kept &&
      std::any_of(seen.begin(), seen.end(), [](const auto& passage) { return passage.keep; })) {
    capture_.emplace(decoder, sequence, start_, options.known, std::move(seen),
                     options.kept_encoding, options.kept_attention_layers);
  }
}

absl::Status Blend::Run(ReusePolicy* policy, float* logits, size_t* bad_part) {
  absl::Status status;
  std::vector<float> attention;
  if (const std::vector<size_t> wanted = policy->question_layers(layers()); !wanted.empty()) {
    Scout scout(wanted, tokens_.size());
    scouting_ = true;
    status = RunLayers(&scout, Shape({}), wanted.back() + 1, nullptr);
    attention.assign(scout.attention().begin(), scout.attention().end());
    usage_.select_seconds += std::exchange(usage_.compute_seconds, 0);
    placed_layers_ = wanted.back() + 1;
  }
  scouting_ = false;
  if (status.ok()) status = RunLayers(policy, Shape(attention), layers(), logits);
  if (!status.ok()) {
    if (bad_part != nullptr && bad_chunk_.has_value()) *bad_part = part_of_chunk_[*bad_chunk_];
    return status;
  }
  usage_.loaded_bytes = static_cast<uint64_t>(std::llround(loaded_bytes_));
  usage_.exact_tokens = start_;
  usage_.recomputed_tokens = chunk_rows_.size();
  usage_.fresh_tokens = text_.size();
  usage_.reused_tokens = tokens_.size() - chunk_rows_.size() - text_.size();
  usage_.charged = static_cast<double>(computed_rows_) /
                   (static_cast<double>(layers()) * static_cast<double>(tokens_.size()));
  return absl::OkStatus();
}

void Blend::TellKept() {
  if (!capture_.has_value()) return;
  for (auto& [part, kv] : capture_->Finish()) options_.on_kept(part, std::move(kv));
}

absl::Status Blend::RunLayers(ReusePolicy* policy, const BlendShape& shape, size_t end,
                              float* logits) {
  chunk_rows_ = policy->Begin(shape);
  rows_.resize(text_.size() + chunk_rows_.size());
  std::merge(text_.begin(), text_.end(), chunk_rows_.begin(), chunk_rows_.end(), rows_.begin());
  kernels::Grow(&hidden_, rows_.size() * width_);
  std::vector<uint32_t> ids(rows_.size());
  for (size_t i = 0; i < rows_.size(); ++i) ids[i] = tokens_[rows_[i]];
  decoder_->Embed(ids, hidden_.data());
  PlanPieces();
  PlanCached();
  for (size_t layer = 0; layer < end; ++layer) {
    if (options_.is_cancelled && options_.is_cancelled()) {
      return absl::CancelledError("the prompt was given up");
    }
    const bool narrows = policy->WantsKeysAndValues(layer);
    compared_ = false;
    std::vector<uint32_t> kept = chunk_rows_;
    if (!chunk_rows_.empty() && (narrows || policy->corrects_offset())) {
      if (absl::Status status = Compare(policy, layer); !status.ok()) return status;
      if (narrows) {
        Timer timer(&usage_.select_seconds);
        const size_t floats = chunk_rows_.size() * kv_width_;
        kept = policy->Narrow({.layer = layer,
                               .rows = chunk_rows_,
                               .keys = {chunk_keys_.data(), floats},
                               .values = {chunk_values_.data(), floats},
                               .cached_keys = {known_keys_.data(), floats},
                               .cached_values = {known_values_.data(), floats},
                               .question_attention = {}});
      }
    }
    if (layer >= placed_layers_ || policy->corrects_offset()) {
      if (absl::Status status = PlaceCached(*policy, layer); !status.ok()) return status;
    }
    // Rows that are left out here keep the keys and values that were computed to be compared.
    if (kept.size() != chunk_rows_.size()) Keep(kept);
    if (layer + 1 == layers()) {
      if (logits != nullptr) ComputeLast(logits);
      break;
    }
    const bool question = policy->WantsQuestion(layer);
    Compute(layer, question);
    if (question) {
      Timer timer(&usage_.select_seconds);
      const std::vector<float> attention = QuestionAttention(layer);
      kept = policy->Narrow({.layer = layer,
                             .rows = chunk_rows_,
                             .keys = {},
                             .values = {},
                             .cached_keys = {},
                             .cached_values = {},
                             .question_attention = attention});
      if (kept.size() != chunk_rows_.size()) Keep(kept);
    }
  }
  return absl::OkStatus();
}

void Blend::Keep(absl::Span<const uint32_t> chunk_rows) {
  std::vector<uint32_t> rows(text_.size() + chunk_rows.size());
  std::merge(text_.begin(), text_.end(), chunk_rows.begin(), chunk_rows.end(), rows.begin());
  size_t from = 0;
  for (size_t to = 0; to < rows.size(); ++to, ++from) {
    while (rows_[from] != rows[to]) ++from;
    if (from != to) std::copy_n(&hidden_[from * width_], width_, &hidden_[to * width_]);
  }
  chunk_rows_.assign(chunk_rows.begin(), chunk_rows.end());
  rows_ = std::move(rows);
  PlanPieces();
  PlanCached();
}

PassPlan Blend::PlanOf(absl::Span<const uint32_t> rows) const {
  std::vector<uint32_t> slots(rows.begin(), rows.end());
  for (uint32_t& slot : slots) slot += static_cast<uint32_t>(start_);
  const PassSequence sequence = {
      .sequence = sequence_, .slots = slots, .positions = {}, .length = start_ + tokens_.size()};
  return decoder_->Plan({&sequence, 1});
}

void Blend::PlanPieces() {
  pieces_.clear();
  for (size_t first = 0; first < rows_.size();) {
    const size_t count = std::min(rows_.size() - first, decoder_->max_rows());
    pieces_.push_back({first, count, PlanOf(absl::MakeConstSpan(rows_).subspan(first, count))});
    first += count;
  }
}

void Blend::PlanCached() {
  cached_rows_.clear();
  std::vector<uint32_t> positions;
  auto computed = chunk_rows_.begin();
  for (const BlendChunk& chunk : chunks_) {
    for (uint32_t row = chunk.begin; row < chunk.end; ++row) {
      if (computed != chunk_rows_.end() && *computed == row) {
        ++computed;
        continue;
      }
      cached_rows_.push_back(row);
      positions.push_back(options_.reposition ? static_cast<uint32_t>(start_) + row
                                              : chunk.kv->first_position() + row - chunk.begin);
    }
  }
  if (cached_rows_.empty()) {
    cached_plan_ = PassPlan();
    return;
  }
  std::vector<uint32_t> slots = cached_rows_;
  for (uint32_t& slot : slots) slot += static_cast<uint32_t>(start_);
  const PassSequence sequence = {.sequence = sequence_,
                                 .slots = slots,
                                 .positions = positions,
                                 .length = start_ + tokens_.size()};
  cached_plan_ = decoder_->PlanPlaces({&sequence, 1});
}

absl::Status Blend::Read(size_t layer, absl::Span<const uint32_t> rows, float* keys,
                         float* values) {
  size_t done = 0;
  for (size_t c = 0; c < chunks_.size(); ++c) {
    const BlendChunk& chunk = chunks_[c];
    while (done < rows.size() && rows[done] < chunk.end) {
      size_t end = done + 1;  // A run of neighbours.
      while (end < rows.size() && rows[end] < chunk.end && rows[end] == rows[end - 1] + 1) ++end;
      const absl::Status status =
          chunk.kv->Read(layer, rows[done] - chunk.begin, end - done, keys + done * kv_width_,
                         values + done * kv_width_);
      if (!status.ok()) {
        bad_chunk_ = c;
        return status;
      }
      loaded_bytes_ += static_cast<double>((end - done) * chunk.kv->bytes()) /
                       static_cast<double>(layers() * (chunk.end - chunk.begin));
      done = end;
    }
  }
  return absl::OkStatus();
}

absl::Status Blend::Compare(ReusePolicy* policy, size_t layer) {
  {
    Timer timer(&usage_.select_seconds);
    kernels::Grow(&keys_, rows_.size() * kv_width_);
    kernels::Grow(&values_, rows_.size() * kv_width_);
    for (const Piece& piece : pieces_) {
      decoder_->RunKeysAndValues(piece.plan, layer, &hidden_[piece.first * width_],
                                 {.keys = &keys_[piece.first * kv_width_],
                                  .values = &values_[piece.first * kv_width_],
                                  .queries = nullptr});
    }
    const size_t floats = chunk_rows_.size() * kv_width_;
    for (Floats* to : {&chunk_keys_, &chunk_values_, &known_keys_, &known_values_}) {
      kernels::Grow(to, floats);
    }
    size_t from = 0;
    for (size_t i = 0; i < chunk_rows_.size(); ++i, ++from) {
      while (rows_[from] != chunk_rows_[i]) ++from;
      std::copy_n(&keys_[from * kv_width_], kv_width_, &chunk_keys_[i * kv_width_]);
      std::copy_n(&values_[from * kv_width_], kv_width_, &chunk_values_[i * kv_width_]);
    }
  }
  if (policy->WantsKeysAndValues(layer)) computed_rows_ += rows_.size();
  compared_ = true;
  Timer timer(&usage_.load_seconds);
  return Read(layer, chunk_rows_, known_keys_.data(), known_values_.data());
}

absl::Status Blend::PlaceCached(const ReusePolicy& policy, size_t layer) {
  if (cached_rows_.empty()) return absl::OkStatus();
  Timer timer(&usage_.load_seconds);
  kernels::Grow(&cached_keys_, cached_rows_.size() * kv_width_);
  kernels::Grow(&cached_values_, cached_rows_.size() * kv_width_);
  const absl::Status status = Read(layer, cached_rows_, cached_keys_.data(), cached_values_.data());
  if (!status.ok()) return status;
  if (compared_ && policy.corrects_offset()) CorrectOffsets(policy);
  decoder_->WriteKv(cached_plan_, layer, cached_keys_.data(), cached_values_.data());
  return absl::OkStatus();
}

// AgentKVShift: rows that are not computed move by what those of their chunk that are computed
// turned out to differ, in the mean.
void Blend::CorrectOffsets(const ReusePolicy& policy) {
  std::vector<float> mean_keys(kv_width_), mean_values(kv_width_);
  size_t computed = 0, cached = 0;
  for (const BlendChunk& chunk : chunks_) {
    const size_t first = computed;
    std::fill(mean_keys.begin(), mean_keys.end(), 0.f);
    std::fill(mean_values.begin(), mean_values.end(), 0.f);
    for (; computed < chunk_rows_.size() && chunk_rows_[computed] < chunk.end; ++computed) {
      for (size_t i = 0, at = computed * kv_width_; i < kv_width_; ++i, ++at) {
        mean_keys[i] += chunk_keys_[at] - known_keys_[at];
        mean_values[i] += chunk_values_[at] - known_values_[at];
      }
    }
    const float each = computed > first ? 1 / static_cast<float>(computed - first) : 0;
    for (; cached < cached_rows_.size() && cached_rows_[cached] < chunk.end; ++cached) {
      const float share = policy.OffsetShare(cached_rows_[cached]) * each;
      for (size_t i = 0, at = cached * kv_width_; i < kv_width_; ++i, ++at) {
        cached_keys_[at] += share * mean_keys[i];
        cached_values_[at] += share * mean_values[i];
      }
    }
  }
}

// Where a piece's keys and values are to be left; nowhere, where none of them is to be kept.
PassCapture Blend::CaptureOf(const Piece& piece) {
  const absl::Span<const uint32_t> rows = RowsOf(piece);
  if (scouting_ || !capture_.has_value() || !capture_->Wants(rows.front(), rows.back())) return {};
  return {.keys = kernels::Grow(&keys_, piece.count * kv_width_),
          .values = kernels::Grow(&values_, piece.count * kv_width_),
          .queries = nullptr};
}

void Blend::Compute(size_t layer, bool capture_question) {
  Timer timer(&usage_.compute_seconds);
  const size_t query_width = size_t{decoder_->config().heads} * decoder_->config().head_dim;
  size_t captured = 0;
  Floats queries;
  for (const Piece& piece : pieces_) {
    PassCapture capture = CaptureOf(piece);
    const bool kept = capture.keys != nullptr;
    if (capture_question || (kept && capture_->WantsQueries(layer))) {
      capture.queries = kernels::Grow(&queries, piece.count * query_width);
    }
    decoder_->RunLayers(piece.plan, layer, layer + 1, &hidden_[piece.first * width_], capture);
    if (kept) capture_->Take(layer, RowsOf(piece), capture.keys, capture.values, capture.queries);
    for (size_t i = 0; capture_question && i < piece.count; ++i) {
      if (rows_[piece.first + i] < question_begin_) continue;
      kernels::Grow(&queries_, (tokens_.size() - question_begin_) * query_width);
      std::copy_n(&queries[i * query_width], query_width, &queries_[captured++ * query_width]);
    }
  }
  computed_rows_ += rows_.size();
}

// Nobody looks at the last layer's output but for the last row's.
void Blend::ComputeLast(float* logits) {
  Timer timer(&usage_.compute_seconds);
  const size_t layer = layers() - 1;
  for (const Piece& piece : pieces_) {
    const PassCapture capture = CaptureOf(piece);
    decoder_->RunKeysAndValues(piece.plan, layer, &hidden_[piece.first * width_], capture);
    if (capture.keys == nullptr) continue;
    capture_->Take(layer, RowsOf(piece), capture.keys, capture.values, nullptr);
  }
  float* last = &hidden_[(rows_.size() - 1) * width_];
  decoder_->RunLayers(PlanOf({&rows_.back(), 1}), layer, layer + 1, last);
  decoder_->Logits(last, 1, logits);
  computed_rows_ += rows_.size();
}

std::vector<float> Blend::QuestionAttention(size_t layer) {
  std::vector<uint32_t> slots;
  for (size_t row = question_begin_; row < tokens_.size(); ++row) {
    slots.push_back(static_cast<uint32_t>(start_ + row));
  }
  const size_t tokens = start_ + tokens_.size();
  std::vector<float> mass(slots.size() * tokens);
  AddAttentionMass(
      {.sequence = sequence_, .layer = layer, .slots = slots, .queries = queries_.data()}, decoder_,
      mass.data());
  std::vector<float> attention(tokens_.size());
  for (size_t r = 0; r < slots.size(); ++r) {
    for (size_t i = 0; i < attention.size(); ++i) {
      attention[i] += mass[r * tokens + start_ + i] / static_cast<float>(slots.size());
    }
  }
  return attention;
}

}  // namespace cairn::engine
