#include "chunking/readers/line_reader.h"

#include <algorithm>
#include <cstring>

namespace cairn::chunking {
namespace {

constexpr size_t kFirstBuffer = size_t{1} << 18;

}  // namespace

LineReader::LineReader(ByteSource& input, size_t max_line_bytes)
    : input_(input), max_line_bytes_(max_line_bytes), buffer_(kFirstBuffer + kPadding, '\0') {}

absl::StatusOr<bool> LineReader::Fill() {
  const size_t capacity = buffer_.size() - kPadding;
  if (begin_ > 0) {  // What is pending is part of one line, and is moved once at most.
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ > capacity / 2) buffer_.resize(2 * capacity + kPadding);
  absl::StatusOr<size_t> n =
      input_.Read(absl::MakeSpan(buffer_.data() + end_, buffer_.size() - kPadding - end_));
  if (!n.ok()) return n.status();
  end_ += *n;
  return *n > 0;
}

absl::Status LineReader::SkipLine() {
  while (true) {
    const void* newline = std::memchr(buffer_.data() + begin_, '\n', end_ - begin_);
    if (newline != nullptr) {
      begin_ = static_cast<size_t>(static_cast<const char*>(newline) - buffer_.data()) + 1;
      return absl::OkStatus();
    }
    begin_ = end_ = 0;
    absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (!*more) return absl::OkStatus();
  }
}

absl::StatusOr<bool> LineReader::Next(Line* line) {
  size_t seen = 0;  // Pending bytes known to hold no newline.
  while (true) {
    const char* pending = buffer_.data() + begin_;
    const size_t size = end_ - begin_;
    const void* newline = std::memchr(pending + seen, '\n', size - seen);
    const size_t length = newline == nullptr
                              ? size
                              : static_cast<size_t>(static_cast<const char*>(newline) - pending);
    if (length > max_line_bytes_) {
      *line = {{}, ++lines_, true};
      if (absl::Status status = SkipLine(); !status.ok()) return status;
      return true;
    }
    if (newline != nullptr) {
      *line = {{pending, length}, ++lines_, false};
      begin_ += length + 1;
      return true;
    }
    seen = size;
    absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (*more) continue;
    if (seen == 0) return false;
    *line = {{buffer_.data() + begin_, seen}, ++lines_, false};
    begin_ = end_;
    return true;
  }
}

}  // namespace cairn::chunking
