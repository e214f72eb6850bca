// Decoder::Forward: sequences that go on, in passes of bounded size.
#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/model/decoder.h"

namespace cairn::engine {

absl::Status Decoder::Forward(absl::Span<const SequenceInput> inputs, absl::Span<float> logits) {
  size_t wanted = 0;
  for (const SequenceInput& input : inputs) {
    for (uint32_t token : input.tokens) {
      if (token >= config_.vocabulary_size) {
        return absl::InvalidArgumentError(absl::StrCat(
            "token ", token, " is outside the vocabulary of ", config_.vocabulary_size));
      }
    }
    if (input.tokens.empty() || input.logits > input.tokens.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat(input.logits, " rows of logits wanted of ", input.tokens.size(), " tokens"));
    }
    if (input.sequence->length() + input.tokens.size() > context_length_) {
      return absl::InvalidArgumentError(absl::StrCat("a sequence of ",
                                                     input.sequence->length() + input.tokens.size(),
                                                     " tokens; the context is ", context_length_));
    }
    wanted += input.logits;
  }
  if (logits.size() != wanted * config_.vocabulary_size) {
    return absl::InvalidArgumentError("the room for logits is not what the inputs want");
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const absl::Status status = inputs[i].sequence->Reserve(inputs[i].tokens.size());
    if (status.ok()) continue;
    for (const SequenceInput& input : inputs.subspan(0, i)) {
      input.sequence->Truncate(input.sequence->length());  // Gives back what was reserved.
    }
    return status;
  }

  // Passes of at most max_rows_ rows, in the inputs' order.
  std::vector<Piece> pieces;
  size_t rows = 0;
  float* out = logits.data();
  const auto flush = [&] {
    if (!pieces.empty()) out = ForwardPieces(pieces, out);
    pieces.clear();
    rows = 0;
  };
  for (const SequenceInput& input : inputs) {
    const size_t end_length = input.sequence->length() + input.tokens.size();
    for (size_t done = 0; done < input.tokens.size();) {
      const size_t count = std::min(input.tokens.size() - done, max_rows_ - rows);
      const size_t first_wanted = input.tokens.size() - input.logits;
      const size_t end = done + count;
      const size_t logits_here = end > first_wanted ? end - std::max(first_wanted, done) : 0;
      pieces.push_back(
          {input.sequence, input.tokens.subspan(done, count), logits_here, end_length});
      done = end;
      rows += count;
      if (rows == max_rows_) flush();
    }
  }
  flush();
  return absl::OkStatus();
}

Decoder::Rows Decoder::RowsOf(absl::Span<const Piece> pieces, bool only_wanted) {
  Rows rows;
  size_t total = 0;
  for (const Piece& piece : pieces) total += only_wanted ? piece.logits : piece.tokens.size();
  rows.slots.reserve(total);  // Spans of it are taken while it grows.
  for (const Piece& piece : pieces) {
    const size_t first = only_wanted ? piece.tokens.size() - piece.logits : 0;
    const size_t count = piece.tokens.size() - first;
    if (count == 0) continue;
    const size_t begin = rows.slots.size();
    for (size_t i = first; i < piece.tokens.size(); ++i) {
      rows.slots.push_back(static_cast<uint32_t>(piece.sequence->length() + i));
    }
    rows.sequences.push_back({.sequence = piece.sequence,
                              .slots = absl::MakeConstSpan(rows.slots).subspan(begin, count),
                              .length = piece.length});
  }
  return rows;
}

float* Decoder::ForwardPieces(absl::Span<const Piece> pieces, float* logits) {
  const size_t width = config_.hidden_size;
  const Rows all = RowsOf(pieces, /*only_wanted=*/false);
  const Rows wanted = RowsOf(pieces, /*only_wanted=*/true);
  float* hidden = kernels::Grow(&hidden_, all.slots.size() * width);
  size_t row = 0;
  for (const Piece& piece : pieces) {
    Embed(piece.tokens, hidden + row * width);
    row += piece.tokens.size();
  }
  // Where most rows' logits are not wanted, they are done with the last layer's keys and values.
  const bool split = wanted.slots.size() <= all.slots.size() / 2;
  const size_t last = config_.layers - 1;
  const PassPlan plan = Plan(all.sequences);
  RunLayers(plan, 0, split ? last : last + 1, hidden);
  if (split) RunKeysAndValues(plan, last, hidden);

  // The wanted rows move to the front.
  size_t to = 0;
  row = 0;
  for (const Piece& piece : pieces) {
    row += piece.tokens.size();
    for (size_t i = row - piece.logits; i < row; ++i, ++to) {
      if (i != to) std::copy_n(hidden + i * width, width, hidden + to * width);
    }
  }
  if (split && to > 0) RunLayers(Plan(wanted.sequences), last, last + 1, hidden);
  for (const Piece& piece : pieces) piece.sequence->Extend(piece.tokens.size());
  if (to == 0) return logits;
  Logits(hidden, to, logits);
  return logits + to * config_.vocabulary_size;
}

}  // namespace cairn::engine
