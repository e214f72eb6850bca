// Lines of a stream, in bounded memory.
#ifndef CAIRN_CHUNKING_READERS_LINE_READER_H_
#define CAIRN_CHUNKING_READERS_LINE_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "chunking/readers/reader.h"

namespace cairn::chunking {

// Holds at most about twice `max_line_bytes`. Not thread-safe.
class LineReader {
 public:
  // Bytes that may be read behind a line's end (SIMD parsers do).
  static constexpr size_t kPadding = 64;

  struct Line {
    std::string_view bytes;  // Without "\n"; valid until the next call. Empty when oversized.
    uint64_t number = 0;     // 1-based.
    bool oversized = false;  // Longer than max_line_bytes; its bytes were passed over.
  };

  // `input` must outlive the reader.
  LineReader(ByteSource& input, size_t max_line_bytes);

  // False at the end of the input.
  absl::StatusOr<bool> Next(Line* line);

 private:
  // Reads more bytes behind the pending ones, making room first; false at the end of the input.
  absl::StatusOr<bool> Fill();
  // Passes over bytes up to the next "\n".
  absl::Status SkipLine();

  ByteSource& input_;
  const size_t max_line_bytes_;
  std::string buffer_;  // Bytes [begin_, end_) are pending; kPadding bytes follow the last one.
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t lines_ = 0;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_LINE_READER_H_
