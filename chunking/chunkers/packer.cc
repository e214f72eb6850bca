#include "chunking/chunkers/packer.h"

#include <algorithm>

namespace cairn::chunking {

bool Packer::Fits(size_t end) {
  return writer_.tokens().Before(end) - first_token_ <= writer_.max_tokens();
}

bool Packer::IsFull(size_t region_end) const {
  const size_t rest = std::max(region_end, last_token_) - first_token_;
  return rest > writer_.max_tokens() && tokens() >= BalancedSize(rest, writer_.max_tokens());
}

void Packer::Start(Span span, bool headings_only) {
  Flush();
  open_ = span;
  first_token_ = writer_.tokens().Before(span.begin);
  last_token_ = writer_.tokens().Before(span.end);
  headings_only_ = headings_only;
}

void Packer::Extend(size_t end, bool headings_only) {
  open_.end = end;
  last_token_ = writer_.tokens().Before(end);
  headings_only_ = headings_only_ && headings_only;
}

void Packer::Flush() {
  if (!open_.empty()) writer_.Emit(open_);
  open_ = {};
}

void Packer::CutToFit() {
  if (empty() || tokens() <= writer_.max_tokens()) return;
  const Span rest = writer_.EmitAllButLast(open_);
  open_ = {};
  if (!rest.empty()) Start(rest, headings_only_);
}

void Packer::Add(Span piece, size_t region_end) {
  if (piece.empty()) return;
  if (empty() || (!headings_only_ && (IsFull(region_end) || !Fits(piece.end)))) {
    Start(piece, false);
  } else {
    Extend(piece.end, false);
  }
  CutToFit();
}

}  // namespace cairn::chunking
