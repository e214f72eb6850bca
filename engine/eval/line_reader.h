// Reads a text stream line by line in bounded memory, for the line formats of retrieval evaluation.
#ifndef CAIRN_ENGINE_EVAL_LINE_READER_H_
#define CAIRN_ENGINE_EVAL_LINE_READER_H_

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <istream>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace cairn::engine {

// Hands out one line at a time from a buffer that grows only to the longest line, and remembers
// where it is so that errors can name file and line. Lines end in "\n" or "\r\n"; a byte-order
// mark at the start is skipped. A line with a NUL byte, or longer than the limit, is an error.
// Borrows the stream. Not thread-safe.
class LineReader {
 public:
  // `name` appears in error messages; `max_line_bytes` limits a line and so the memory used.
  LineReader(std::istream& in, std::string_view name, size_t max_line_bytes);

  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its end, valid until the next call. False at the end of the stream and
  // on an error; status() tells which.
  bool Next(std::string_view& line);

  // Not OK once reading has failed.
  const absl::Status& status() const { return status_; }

  // Number of the line last returned, counted from 1.
  uint64_t line_number() const { return line_number_; }

  // InvalidArgumentError "name:line: reason" for the line last returned, or for `line`.
  absl::Status Error(std::string_view reason) const { return ErrorAt(line_number_, reason); }
  absl::Status ErrorAt(uint64_t line, std::string_view reason) const;

 private:
  // Makes room and reads more bytes; false at the end or on an error.
  bool Fill();
  bool Deliver(std::string_view bytes, std::string_view& line);

  std::istream& in_;
  const std::string name_;
  const size_t max_line_bytes_;
  std::string buffer_;
  size_t begin_ = 0;    // first byte not yet handed out
  size_t scanned_ = 0;  // bytes from begin_ known to hold no newline
  size_t end_ = 0;      // end of the bytes read
  uint64_t line_number_ = 0;
  absl::Status status_;
};

// Splits a line at runs of ASCII white space into at most fields.size() fields and returns how many
// there were; what follows the last wanted field is ignored, as trec_eval ignores it.
size_t SplitFields(std::string_view line, absl::Span<std::string_view> fields);

// Opens a file to read; NotFoundError or InvalidArgumentError, with the path, if that cannot be
// done.
absl::StatusOr<std::ifstream> OpenToRead(const std::string& path);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_LINE_READER_H_
