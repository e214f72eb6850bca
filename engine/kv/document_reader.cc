#include "engine/kv/document_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/kv/blender.h"

namespace cairn::engine {
namespace {

constexpr size_t kUsualWindow = 4096;
// Each has pages of its own.
constexpr size_t kDocumentsTogether = 64;

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
      reading_(KvSequence(pool)) {}

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

void DocumentReader::Begin() { reading_ = NewReading(); }

absl::Status DocumentReader::Check(absl::Span<const uint32_t> piece) const {
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
  return absl::OkStatus();
}

absl::StatusOr<DocumentReader::PiecesKv> DocumentReader::Read(Pieces pieces) {
  PiecesKv read;
  if (options_.source != KvSource::kDocument) {
    // Pieces that do not see each other are documents of their own.
    std::vector<Pieces> alone;
    for (const absl::Span<const uint32_t>& piece : pieces) alone.emplace_back(&piece, 1);
    absl::StatusOr<std::vector<PiecesKv>> each = ReadTogether(alone);
    if (!each.ok()) return each.status();
    for (PiecesKv& one : *each) read.push_back(std::move(one[0]));
    return read;
  }
  for (size_t p = 0; p < pieces.size();) {
    // As many pieces as make a full pass.
    size_t tokens = 0, end = p;
    do {
      if (absl::Status status = Check(pieces[end]); !status.ok()) return status;
      tokens += pieces[end].size();
      ++end;
    } while (end < pieces.size() && Joins(tokens + pieces[end].size()));
    if (absl::Status status = Slide(tokens); !status.ok()) return status;
    Append(pieces.subspan(p, end - p), &reading_);
    Reading* const reading = &reading_;
    if (absl::Status status = Compute({&reading, 1}); !status.ok()) return status;
    Take(reading_, &read);
    p = end;
  }
  return read;
}

absl::StatusOr<std::vector<DocumentReader::PiecesKv>> DocumentReader::ReadTogether(
    absl::Span<const Pieces> documents) {
  std::vector<PiecesKv> read(documents.size());
  const KvPool* const pool = preface_.pool();
  for (size_t d = 0; d < documents.size();) {
    std::vector<Reading> readings;
    size_t tokens = 0, pages = 0, end = d;
    const size_t free_pages = pool->max_pages() - std::min(pool->max_pages(), pool->pages_in_use());
    for (; end < documents.size() && readings.size() < kDocumentsTogether; ++end) {
      size_t own = 0;
      for (absl::Span<const uint32_t> piece : documents[end]) {
        if (absl::Status status = Check(piece); !status.ok()) return status;
        own += piece.size();
      }
      if (own > room()) {
        return absl::InvalidArgumentError(
            absl::StrCat("a document of ", own, " tokens; the window has room for ", room()));
      }
      if (!readings.empty() && tokens + own > decoder_->max_rows()) break;
      // Of its own: behind the preface's last page, which is copied where it is not full.
      pages += (preface_.length() % kKvPageTokens + own + kKvPageTokens - 1) / kKvPageTokens;
      if (!readings.empty() && pages > free_pages) break;
      tokens += own;
      readings.push_back(NewReading());
      Append(documents[end], &readings.back());
    }
    std::vector<Reading*> all;
    for (Reading& reading : readings) all.push_back(&reading);
    if (absl::Status status = Compute(all); !status.ok()) return status;
    for (const Reading& reading : readings) Take(reading, &read[d++]);
  }
  return read;
}

bool DocumentReader::Joins(size_t tokens) const {
  if (tokens > decoder_->max_rows()) return false;
  return reading_.sequence.length() + tokens <= window_ ||
         tokens <= (window_ - preface_.length()) / 2;
}

absl::Status DocumentReader::Slide(size_t tokens) {
  if (reading_.sequence.length() + tokens <= window_) return absl::OkStatus();
  const size_t keep =
      std::min((window_ - preface_.length()) / 2, window_ - preface_.length() - tokens);
  std::deque<Piece>& pieces = reading_.pieces;
  size_t kept = 0, first = pieces.size();
  while (first > 0 && kept + pieces[first - 1].kv->tokens() <= keep) {
    kept += pieces[--first].kv->tokens();
  }
  pieces.erase(pieces.begin(), pieces.begin() + static_cast<ptrdiff_t>(first));
  reading_.sequence = preface_.Fork(preface_.length());
  for (Piece& piece : pieces) {
    if (absl::Status status = Place(&piece); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status DocumentReader::Place(Piece* piece) {
  const size_t tokens = piece->kv->tokens();
  if (tokens == 0) return absl::OkStatus();
  KvSequence& sequence = reading_.sequence;
  piece->slot = static_cast<uint32_t>(sequence.length());
  if (absl::Status status = sequence.Reserve(tokens); !status.ok()) return status;
  std::vector<uint32_t> slots(tokens);
  for (size_t i = 0; i < tokens; ++i) slots[i] = piece->slot + static_cast<uint32_t>(i);
  const PassSequence rows = {
      .sequence = &sequence, .slots = slots, .positions = {}, .length = window_};
  const PassPlan plan = decoder_->PlanPlaces({&rows, 1});
  kernels::Grow(&keys_, tokens * shape_.width());
  kernels::Grow(&values_, tokens * shape_.width());
  for (size_t layer = 0; layer < shape_.layers; ++layer) {
    absl::Status status = piece->kv->Read(layer, 0, tokens, keys_.data(), values_.data());
    if (!status.ok()) return status;
    decoder_->WriteKv(plan, layer, keys_.data(), values_.data());
  }
  sequence.Extend(tokens);
  return absl::OkStatus();
}

void DocumentReader::Append(Pieces pieces, Reading* reading) const {
  reading->first = reading->pieces.size();
  reading->tokens.clear();
  reading->done = 0;
  auto slot = static_cast<uint32_t>(reading->sequence.length());
  for (const absl::Span<const uint32_t> piece : pieces) {
    reading->pieces.push_back(
        {std::make_shared<ChunkKvBuffer>(options_.encoding, shape_, piece.size(), slot),
         HashTokens(piece), slot});
    reading->tokens.insert(reading->tokens.end(), piece.begin(), piece.end());
    slot += static_cast<uint32_t>(piece.size());
  }
  reading->tally.reset();
  if (options_.attention_layers == 0) return;
  std::vector<ChunkAttentionTally::Chunk> chunks;
  for (const Piece& piece : reading->pieces) {
    const auto end = piece.slot + static_cast<uint32_t>(piece.kv->tokens());
    chunks.push_back({piece.hash, piece.slot, end, chunks.size() >= reading->first});
  }
  reading->tally.emplace(std::move(chunks),
                         std::min<size_t>(options_.attention_layers, shape_.layers));
}

absl::Status DocumentReader::Compute(absl::Span<Reading* const> readings) {
  while (true) {
    std::vector<Part> parts;
    size_t rows = 0;
    for (Reading* reading : readings) {
      const size_t count =
          std::min(reading->tokens.size() - reading->done, decoder_->max_rows() - rows);
      if (count == 0) continue;
      parts.push_back({reading, count, rows, {}});
      rows += count;
    }
    if (parts.empty()) break;
    if (absl::Status status = ComputePass(absl::MakeSpan(parts)); !status.ok()) return status;
  }
  for (Reading* reading : readings) {
    if (!reading->tally.has_value()) continue;
    std::vector<ChunkAttention> attention = reading->tally->Take();
    for (size_t p = reading->first; p < reading->pieces.size(); ++p) {
      reading->pieces[p].kv->SetAttention(std::move(attention[p]));
    }
  }
  return absl::OkStatus();
}

absl::Status DocumentReader::ComputePass(absl::Span<Part> parts) {
  const size_t width = decoder_->config().hidden_size, kv_width = shape_.width();
  const size_t query_width = size_t{decoder_->config().heads} * shape_.head_dim;
  std::vector<uint32_t> tokens;
  std::vector<PassSequence> sequences;
  for (Part& part : parts) {
    KvSequence& sequence = part.reading->sequence;
    if (absl::Status status = sequence.Reserve(part.count); !status.ok()) return status;
    const auto next = part.reading->tokens.begin() + static_cast<ptrdiff_t>(part.reading->done);
    tokens.insert(tokens.end(), next, next + static_cast<ptrdiff_t>(part.count));
    for (size_t i = 0; i < part.count; ++i) {
      part.slots.push_back(static_cast<uint32_t>(sequence.length() + i));
    }
    // Dynamic NTK scaling goes by the window, so that all pieces are turned alike.
    sequences.push_back(
        {.sequence = &sequence, .slots = part.slots, .positions = {}, .length = window_});
  }
  const PassPlan plan = decoder_->Plan(sequences);
  kernels::Grow(&hidden_, tokens.size() * width);
  kernels::Grow(&keys_, tokens.size() * kv_width);
  kernels::Grow(&values_, tokens.size() * kv_width);
  decoder_->Embed(tokens, hidden_.data());
  for (size_t layer = 0; layer < shape_.layers; ++layer) {
    if (options_.is_cancelled && options_.is_cancelled()) {
      return absl::CancelledError("the reading was given up");
    }
    PassCapture capture = {.keys = keys_.data(), .values = values_.data(), .queries = nullptr};
    const bool last = layer + 1 == shape_.layers;
    const bool looks = LooksAtAttention(layer, shape_.layers, options_.attention_layers);
    if (looks) capture.queries = kernels::Grow(&queries_, tokens.size() * query_width);
    if (last && !looks) {  // Nobody wants its output.
      decoder_->RunKeysAndValues(plan, layer, hidden_.data(), capture);
    } else {
      decoder_->RunLayers(plan, layer, layer + 1, hidden_.data(), capture);
    }
    for (const Part& part : parts) {
      Reading& reading = *part.reading;
      const uint32_t begin = part.slots.front();
      for (size_t p = reading.first; p < reading.pieces.size(); ++p) {
        const Piece& piece = reading.pieces[p];
        const uint32_t piece_end = piece.slot + static_cast<uint32_t>(piece.kv->tokens());
        const uint32_t from = std::max(begin, piece.slot);
        const uint32_t to = std::min(piece_end, part.slots.back() + 1);
        if (from >= to) continue;
        const size_t at = (part.row + from - begin) * kv_width;
        piece.kv->Fill(layer, from - piece.slot, to - from, &keys_[at], &values_[at]);
      }
      if (looks) {
        reading.tally->Add({.sequence = &reading.sequence,
                            .layer = layer,
                            .slots = part.slots,
                            .queries = &queries_[part.row * query_width]},
                           decoder_);
      }
    }
  }
  for (const Part& part : parts) {
    part.reading->sequence.Extend(part.count);
    part.reading->done += part.count;
  }
  return absl::OkStatus();
}

void DocumentReader::Take(const Reading& reading, PiecesKv* read) {
  for (size_t p = reading.first; p < reading.pieces.size(); ++p) {
    read->push_back(reading.pieces[p].kv);
  }
}

}  // namespace cairn::engine
