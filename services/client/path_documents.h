// Files to documents as a server takes them.
#ifndef CAIRN_SERVICES_CLIENT_PATH_DOCUMENTS_H_
#define CAIRN_SERVICES_CLIENT_PATH_DOCUMENTS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/engine.h"

namespace cairn::services {

// Gets what ReadPathDocuments finds, in the order of the input. A status that is not OK ends the
// reading, and is returned from it.
class PathDocumentSink {
 public:
  virtual ~PathDocumentSink() = default;
  // `place`: where it was read, without a reason.
  virtual absl::Status OnDocument(InputDocument document, IngestIssue place) = 0;
  virtual absl::Status OnIssue(IngestIssue issue) = 0;
  virtual void OnBytes(uint64_t read) = 0;
};

// Reads `paths` as Engine::IngestPaths does with these options (format, metadata,
// max_document_bytes), and finds the same issues. Records of JSONL and TREC files come as the text
// they hold. A file of plain text, Markdown or HTML comes as it is, in UTF-8, since only its reader
// knows its structure; its title is what the reader takes it for.
absl::Status ReadPathDocuments(absl::Span<const std::string> paths, const IngestOptions& options,
                               PathDocumentSink* sink);

// Of all files together; 0 where it cannot be known.
uint64_t TotalPathBytes(absl::Span<const std::string> paths);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_CLIENT_PATH_DOCUMENTS_H_
