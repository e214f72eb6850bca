// Readers: bytes to documents.
#ifndef CAIRN_CHUNKING_READERS_READER_H_
#define CAIRN_CHUNKING_READERS_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "chunking/document.h"

namespace cairn::chunking {

// Where bytes come from. Not thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills up to buffer.size() bytes; 0 at the end.
  virtual absl::StatusOr<size_t> Read(absl::Span<char> buffer) = 0;
};

// Opens a regular file without following a final symbolic link and without ever blocking on a FIFO
// or device. Errors name the path.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenFile(const std::string& path);
// The process's standard input; does not own the descriptor.
std::unique_ptr<ByteSource> StandardInput();
// Bytes in memory, which must outlive the source.
std::unique_ptr<ByteSource> FromMemory(std::string_view bytes);

enum class Format : uint8_t { kAuto, kText, kMarkdown, kHtml, kJsonl, kTrec };

struct ReadOptions {
  Format format = Format::kAuto;  // kAuto: from the name's extension, then from the content.
  // What the bytes are called in errors and source URIs; its stem is the title of last resort.
  std::string source;
  // Id of a single-document input (text, Markdown, HTML); empty: `source`.
  std::string document_id;
  size_t max_document_bytes = size_t{64} << 20;  // Largest document, or JSONL line, accepted.
};

// A document that could not be read. Reading goes on with the next one.
struct ReadIssue {
  std::string source;  // ReadOptions::source
  uint64_t line = 0;   // 1-based line where the record starts (or the fault is); 0: whole input.
  std::string reason;
};

// Receives what a reader finds, in input order.
class DocumentHandler {
 public:
  virtual ~DocumentHandler() = default;
  // A non-OK status stops reading and is returned from ReadDocuments.
  virtual absl::Status OnDocument(Document document) = 0;
  // A skipped record. A non-OK status stops reading (strict mode) and is returned.
  virtual absl::Status OnIssue(const ReadIssue& issue) = 0;
};

// Reads every document of `input`, streaming: memory is bounded by max_document_bytes, whatever the
// input's size. Malformed or oversized records (invalid UTF-8, NUL, bad JSON, no id, empty text)
// become issues; a failing source or handler is the returned status.
absl::Status ReadDocuments(ByteSource& input, const ReadOptions& options, DocumentHandler& handler);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_READER_H_
