// Ingestion from paths and from memory: what is read, and into which pipeline.
#ifndef CAIRN_ENGINE_INGEST_H_
#define CAIRN_ENGINE_INGEST_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/engine.h"
#include "engine/preparation.h"
#include "index/collection.h"

namespace cairn::engine {

// InvalidArgument when nothing could be ingested with these options, whatever the collection.
absl::Status CheckOptions(const IngestOptions& options);

// Engine::IngestPaths, Engine::IngestDocuments and Engine::IngestStream over an open collection,
// with options that CheckOptions accepts.
absl::StatusOr<IngestReport> IngestPaths(index::Collection* collection,
                                         const Preparation& preparation,
                                         absl::Span<const std::string> paths,
                                         const IngestOptions& options);
absl::StatusOr<IngestReport> IngestDocuments(index::Collection* collection,
                                             const Preparation& preparation,
                                             absl::Span<const InputDocument> documents,
                                             const IngestOptions& options);

absl::StatusOr<IngestReport> IngestStream(index::Collection* collection,
                                          const Preparation& preparation,
                                          const DocumentSource& next, const IngestOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_INGEST_H_
