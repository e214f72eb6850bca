// Checks a whole store against its own promises.
#ifndef CAIRN_INDEX_VERIFY_H_
#define CAIRN_INDEX_VERIFY_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "index/row_store.h"
#include "index/segment/segment_files.h"
#include "index/work_control.h"

namespace cairn::index {

struct VerifyReport {
  uint64_t collections = 0;
  uint64_t documents = 0;
  uint64_t chunks = 0;
  uint64_t vectors = 0;
  uint64_t terms = 0;
  uint64_t segments = 0;
  uint64_t problems = 0;
};

struct VerifyOptions {
  bool deep = false;
  // Of this one only, and without the table files, which are everybody's; empty: the whole store.
  std::string collection;
  // Cancelled when it becomes true; may be null.
  const std::atomic<bool>* cancel = nullptr;
  // Called on the caller's thread: "tables" (bytes), "rows" (how many there are is not known),
  // "segments".
  StageProgress on_progress;
};

// Reads every row of every collection and every block of every table file, and checks: checksums
// and encodings; that each document's chunks are all there, in order, spell its text (length and
// hash) and have their terms; that every vector is finite, of unit length and the right dimension;
// that term ids are dense and every one used is known; that no row belongs to nothing; and that ids
// lie below the counters; and that what was noted of collections can be read. Of segments it checks
// that they are what the manifests name; with `deep` every posting, link and vector of them against
// the rows, too. `on_problem` gets one sentence for each fault. Memory: proportional to the number
// of documents. The status is an error only when the store cannot be read at all, NotFound without
// the one collection, Cancelled. No segment file may be deleted meanwhile (Store::Verify sees to
// that).
absl::Status VerifyStore(const RowStore& store, const SegmentFiles& files,
                         const VerifyOptions& options,
                         absl::FunctionRef<void(const std::string& problem)> on_problem,
                         VerifyReport* report);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_VERIFY_H_
