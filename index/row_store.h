// The store directory and its rows: RocksDB behind a small interface.
#ifndef CAIRN_INDEX_ROW_STORE_H_
#define CAIRN_INDEX_ROW_STORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/row_batch.h"
#include "index/work_control.h"

namespace cairn::index {

// The rows as they were at one moment. Keeps their old versions on disk: hold it briefly.
class RowSnapshot {
 public:
  ~RowSnapshot();
  RowSnapshot(const RowSnapshot&) = delete;
  RowSnapshot& operator=(const RowSnapshot&) = delete;

 private:
  friend class RowStore;
  struct Impl;
  explicit RowSnapshot(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct RowStoreOptions {
  bool create_if_missing = false;
  // Opens beside a writer, without the lock; sees what was committed when it opened.
  bool read_only = false;
  size_t block_cache_bytes = size_t{64} << 20;
  // Memory for rows not yet in table files, over all families.
  size_t write_buffer_bytes = size_t{64} << 20;
  // Commits are refused below this much free disk space: RocksDB needs room to write out what it
  // has already acknowledged, and Debian's build aborts when it has none. Deletes go on until an
  // eighth of it.
  uint64_t min_free_bytes = uint64_t{128} << 20;
  // What flushes and compactions may write, together. 0: no limit. Less than what commits bring in
  // will make these wait sooner or later.
  uint64_t background_bytes_per_second = 0;
};

// One store directory (FORMAT, LOCK, db/, ingest/). Thread-safe. A store of an older format is
// brought up to date when it is opened for writing; opened read-only, families it does not have are
// empty.
//
// Errors: NotFound (no store there), FailedPrecondition (locked by another process, opened
// read-only, newer format), DataLoss (damage, with advice), ResourceExhausted (disk full),
// Unavailable (I/O error; after a failed commit every later one fails too: reopen).
class RowStore {
 public:
  static absl::StatusOr<std::unique_ptr<RowStore>> Open(const std::string& directory,
                                                        const RowStoreOptions& options);
  // Writes the log's rows out to table files.
  ~RowStore();
  RowStore(const RowStore&) = delete;
  RowStore& operator=(const RowStore&) = delete;

  std::shared_ptr<const RowSnapshot> TakeSnapshot() const;

  // Reads are of `snapshot`, or of the newest rows when it is null.
  // NotFound without such a row.
  absl::Status Get(Family family, std::string_view key, const RowSnapshot* snapshot,
                   std::string* value) const;
  // values[i] is empty where keys[i] has no row (no row is empty). Keys should ascend.
  absl::Status MultiGet(Family family, absl::Span<const std::string> keys,
                        const RowSnapshot* snapshot, std::vector<std::string>* values) const;
  // Calls `row` for each key in [begin, end) in order; its first error stops the scan.
  absl::Status Scan(
      Family family, std::string_view begin, std::string_view end, const RowSnapshot* snapshot,
      absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)> row) const;

  // Returns once the batch is on disk.
  absl::Status Commit(RowBatch batch);
  // The same by way of table files, made here: for tens or hundreds of megabytes at once. Such rows
  // pass neither the log nor the memory for rows, and keys above all others are never compacted.
  // Commits wait only while the finished files are taken in. A reader without a snapshot may see
  // the change in one family a moment earlier than in another. When it fails the rows are as
  // before, and further commits may well succeed.
  absl::Status CommitSorted(RowBatch batch);

  // Copies the database, as it is now, into a new directory: hard links to table files, copies of
  // the rest; all of it on disk on return. Its parent must exist, `directory` must not.
  absl::Status Checkpoint(const std::string& directory);

  // Rewrites all table files, dropping what was deleted or replaced. Takes about as much disk space
  // again as the rows have, until it is done. Cancelled soon after *cancel (may be null) becomes
  // true: what was rewritten by then stays. `on_progress` gets shares from 0 to 1.
  absl::Status CompactAll(const std::atomic<bool>* cancel = nullptr,
                          const WorkControl::Progress& on_progress = {});

  // Reads every block of every table file and checks its checksum. Cancelled when `control` says
  // so, after the file that is being read.
  absl::Status VerifyFiles(const WorkControl& control = {}) const;

  const std::string& directory() const;
  const std::string& uuid() const;  // 32 hex digits
  uint64_t DiskBytes() const;
  bool read_only() const;

 private:
  struct Impl;
  explicit RowStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_ROW_STORE_H_
