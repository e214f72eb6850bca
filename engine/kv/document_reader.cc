#include "engine/kv/document_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/kv/attention_mass.h"
#include "engine/kv/blender.h"

namespace cairn::engine {
namespace {

constexpr size_t kUsualWindow = 4096;

KvShape ShapeOf(const ModelConfig& config) {
  return {config.layers, config.kv_heads, config.head_dim};
}

}  // namespace

DocumentReader::DocumentReader(Decoder* decoder, KvPool* pool, const DocumentReaderOptions& options)
    : decoder_(decoder),
      options_(options),
      shape_(ShapeOf(decoder->config())),
      window_(
          std::min(decoder->context_length(), options.window == 0 ? kUsualWindow : options.window)),
      preface_(pool),
      sequence_(pool) {}

absl::StatusOr<std::unique_ptr<DocumentReader>> DocumentReader::Create(
    Decoder* decoder, KvPool* pool, absl::Span<const uint32_t> preface,
    const DocumentReaderOptions& options) {
  std::unique_ptr<DocumentReader> reader(new DocumentReader(decoder, pool, options));
  if (options.source != KvSource::kIsolated) {
    if (absl::Status status = reader->ReadPreface(preface); !status.ok()) return status;
  }
  reader->Begin();
  return reader;
}

absl::Status DocumentReader::ReadPreface(absl::Span<const uint32_t> preface) {
  if (preface.size() >= window_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a preface of ", preface.size(), " tokens leaves no room in a window of ", window_));
  }
  if (preface.empty()) return absl::OkStatus();
  const SequenceInput input = {.sequence = &preface_, .tokens = preface, .logits = 0};
  return decoder_->Forward({&input, 1}, {});
}

void DocumentReader::Begin() {
  sequence_ = preface_.Fork(preface_.length());
  pieces_.clear();
}

absl::StatusOr<std::vector<std::shared_ptr<const ChunkKvBuffer>>> DocumentReader::Read(
    absl::Span<const absl::Span<const uint32_t>> pieces) {
  std::vector<std::shared_ptr<const ChunkKvBuffer>> read;
  std::vector<uint32_t> tokens;
  for (size_t p = 0; p < pieces.size();) {
    if (options_.source != KvSource::kDocument) Begin();
    // As many pieces as make a full pass, where they may see each other.
    tokens.clear();
    size_t end = p;
    do {
      const absl::Span<const uint32_t> piece = pieces[end];
      if (piece.size() > room()) {
        return absl::InvalidArgumentError(
            absl::StrCat("a piece of ", piece.size(), " tokens; the window has room for ", room()));
      }
      for (uint32_t token : piece) {
        if (token >= decoder_->vocabulary_size()) {
          return absl::InvalidArgumentError(
              absl::StrCat("token ", token, " is outside the model's vocabulary"));
        }
      }
      tokens.insert(tokens.end(), piece.begin(), piece.end());
      ++end;
    } while (end < pieces.size() && Joins(tokens.size() + pieces[end].size()));
    if (absl::Status status = Slide(tokens.size()); !status.ok()) return status;
    const size_t first = pieces_.size();
    auto slot = static_cast<uint32_t>(sequence_.length());
    for (; p < end; ++p) {
      pieces_.push_back(
          {std::make_shared<ChunkKvBuffer>(options_.encoding, shape_, pieces[p].size(), slot),
           HashTokens(pieces[p]), slot});
      slot += static_cast<uint32_t>(pieces[p].size());
    }
    if (absl::Status status = Compute(tokens, first); !status.ok()) return status;
    for (size_t i = first; i < pieces_.size(); ++i) read.push_back(pieces_[i].kv);
  }
  return read;
}

bool DocumentReader::Joins(size_t tokens) const {
  if (options_.source != KvSource::kDocument || tokens > decoder_->max_rows()) return false;
  return sequence_.length() + tokens <= window_ || tokens <= (window_ - preface_.length()) / 2;
}

absl::Status DocumentReader::Slide(size_t tokens) {
  if (sequence_.length() + tokens <= window_) return absl::OkStatus();
  const size_t keep =
      std::min((window_ - preface_.length()) / 2, window_ - preface_.length() - tokens);
  size_t kept = 0, first = pieces_.size();
  while (first > 0 && kept + pieces_[first - 1].kv->tokens() <= keep) {
    kept += pieces_[--first].kv->tokens();
  }
  pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(first));
  sequence_ = preface_.Fork(preface_.length());
  for (Piece& piece : pieces_) {
    if (absl::Status status = Place(&piece); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status DocumentReader::Place(Piece* piece) {
  const size_t tokens = piece->kv->tokens();
  if (tokens == 0) return absl::OkStatus();
  piece->slot = static_cast<uint32_t>(sequence_.length());
  if (absl::Status status = sequence_.Reserve(tokens); !status.ok()) return status;
  std::vector<uint32_t> slots(tokens);
  for (size_t i = 0; i < tokens; ++i) slots[i] = piece->slot + static_cast<uint32_t>(i);
  const PassSequence rows = {
      .sequence = &sequence_, .slots = slots, .positions = {}, .length = window_};
  const PassPlan plan = decoder_->PlanPlaces({&rows, 1});
  kernels::Grow(&keys_, tokens * shape_.width());
  kernels::Grow(&values_, tokens * shape_.width());
  for (size_t layer = 0; layer < shape_.layers; ++layer) {
    absl::Status status = piece->kv->Read(layer, 0, tokens, keys_.data(), values_.data());
    if (!status.ok()) return status;
    decoder_->WriteKv(plan, layer, keys_.data(), values_.data());
  }
  sequence_.Extend(tokens);
  return absl::OkStatus();
}

absl::Status DocumentReader::Compute(absl::Span<const uint32_t> tokens, size_t first) {
  attentions_.assign(options_.attention_layers > 0 ? pieces_.size() - first : 0, {});
  for (size_t i = 0; i < attentions_.size(); ++i) {
    attentions_[i].token_inter.resize(pieces_[first + i].kv->tokens());
    for (size_t j = 0; j < first + i; ++j) {
      attentions_[i].before.push_back(
          {pieces_[j].hash, static_cast<uint32_t>(pieces_[j].kv->tokens()), 0});
    }
  }
  for (size_t done = 0; done < tokens.size();) {
    const size_t count = std::min(tokens.size() - done, decoder_->max_rows());
    if (absl::Status status = ComputePass(tokens.subspan(done, count), first); !status.ok()) {
      return status;
    }
    done += count;
  }
  for (size_t i = 0; i < attentions_.size(); ++i) {
    pieces_[first + i].kv->SetAttention(std::move(attentions_[i]));
  }
  return absl::OkStatus();
}

absl::Status DocumentReader::ComputePass(absl::Span<const uint32_t> tokens, size_t first) {
  if (absl::Status status = sequence_.Reserve(tokens.size()); !status.ok()) return status;
  const size_t width = decoder_->config().hidden_size, kv_width = shape_.width();
  const size_t query_width = size_t{decoder_->config().heads} * shape_.head_dim;
  const auto begin = static_cast<uint32_t>(sequence_.length());
  std::vector<uint32_t> slots(tokens.size());
  for (size_t i = 0; i < slots.size(); ++i) slots[i] = begin + static_cast<uint32_t>(i);
  // Dynamic NTK scaling goes by the window, so that all pieces are turned alike.
  const PassSequence rows = {
      .sequence = &sequence_, .slots = slots, .positions = {}, .length = window_};
  const PassPlan plan = decoder_->Plan({&rows, 1});
  kernels::Grow(&hidden_, tokens.size() * width);
  kernels::Grow(&keys_, tokens.size() * kv_width);
  kernels::Grow(&values_, tokens.size() * kv_width);
  decoder_->Embed(tokens, hidden_.data());
  for (size_t layer = 0; layer < shape_.layers; ++layer) {
    if (options_.is_cancelled && options_.is_cancelled()) {
      return absl::CancelledError("the reading was given up");
    }
    PassCapture capture = {.keys = keys_.data(), .values = values_.data(), .queries = nullptr};
    const bool last = layer + 1 == shape_.layers, looks = LooksAt(layer);
    if (looks) capture.queries = kernels::Grow(&queries_, tokens.size() * query_width);
    if (last && !looks) {  // Nobody wants its output.
      decoder_->RunKeysAndValues(plan, layer, hidden_.data(), capture);
    } else {
      decoder_->RunLayers(plan, layer, layer + 1, hidden_.data(), capture);
    }
    for (size_t p = first; p < pieces_.size(); ++p) {
      const uint32_t piece_end = pieces_[p].slot + static_cast<uint32_t>(pieces_[p].kv->tokens());
      const uint32_t from = std::max(begin, pieces_[p].slot);
      const uint32_t to = std::min(piece_end, slots.back() + 1);
      if (from >= to) continue;
      pieces_[p].kv->Fill(layer, from - pieces_[p].slot, to - from,
                          &keys_[(from - begin) * kv_width], &values_[(from - begin) * kv_width]);
    }
    if (looks) AddAttention(layer, slots, first);
  }
  sequence_.Extend(tokens.size());
  return absl::OkStatus();
}

bool DocumentReader::LooksAt(size_t layer) const {
  const size_t count = std::min<size_t>(options_.attention_layers, shape_.layers);
  // One layer in each of `count` equal parts.
  return layer * count / shape_.layers != (layer + 1) * count / shape_.layers;
}

void DocumentReader::AddAttention(size_t layer, absl::Span<const uint32_t> slots, size_t first) {
  const size_t tokens = size_t{slots.back()} + 1;
  std::vector<float> mass(slots.size() * tokens);
  AddAttentionMass(
      {.sequence = &sequence_, .layer = layer, .slots = slots, .queries = queries_.data()},
      decoder_, mass.data());
  const auto layers =
      static_cast<float>(std::min<size_t>(options_.attention_layers, shape_.layers));
  for (size_t p = first; p < pieces_.size(); ++p) {
    ChunkAttention& attention = attentions_[p - first];
    const uint32_t piece_end = pieces_[p].slot + static_cast<uint32_t>(pieces_[p].kv->tokens());
    for (size_t r = 0; r < slots.size(); ++r) {
      if (slots[r] < pieces_[p].slot || slots[r] >= piece_end) continue;
      const auto sum = [&](uint32_t from, size_t count) {
        float total = 0;
        for (size_t t = from; t < std::min<size_t>(tokens, from + count); ++t) {
          total += mass[r * tokens + t];
        }
        return total / layers;
      };
      for (size_t j = 0; j < p; ++j) {
        const float paid = sum(pieces_[j].slot, pieces_[j].kv->tokens());
        attention.before[j].inter += paid;
        attention.token_inter[slots[r] - pieces_[p].slot] += paid;
      }
      attention.intra += sum(pieces_[p].slot, pieces_[p].kv->tokens());
    }
  }
}

}  // namespace cairn::engine
