// Vectors of a file of texts.
#ifndef CAIRN_ENGINE_BATCH_EMBED_RECORDS_H_
#define CAIRN_ENGINE_BATCH_EMBED_RECORDS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "chunking/readers/reader.h"
#include "engine/model/embedder.h"

namespace cairn::engine {

enum class VectorFormat : uint8_t {
  kJsonl,  // {"id", "vector"} a line
  kF32,    // rows of float32, little-endian, nothing else
};

struct BatchReport {
  uint64_t records = 0;  // Written.
  uint64_t skipped = 0;  // Bad lines.
  uint64_t bytes = 0;    // Read.
};

struct EmbedRecordsOptions {
  TextKind kind = TextKind::kPassage;
  VectorFormat format = VectorFormat::kJsonl;
  int threads = 1;
  bool skip_bad = false;  // Leave out lines that cannot be read; else they are errors.
  // Records that are sorted by length together (OrderedBatchesOptions).
  size_t window = 1024;
  std::function<void(const BatchReport&)> on_progress;  // On the caller's thread.
  const std::atomic<bool>* cancel = nullptr;
};

// Reads JSON lines (ParseTextRecord) from `in`, called `name` in errors, and writes the vector of
// each in input order; a text without any known token gets zeros, one that is too long for the
// model is cut. Memory does not grow with the input. `report` is filled in on an error, too.
absl::Status EmbedRecords(const Embedder& embedder, chunking::ByteSource& in,
                          const std::string& name, std::ostream& out,
                          const EmbedRecordsOptions& options, BatchReport* report);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_BATCH_EMBED_RECORDS_H_
