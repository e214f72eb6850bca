// The RocksDB database of a store: its settings, how it is made and opened.
#ifndef CAIRN_INDEX_ROW_DATABASE_H_
#define CAIRN_INDEX_ROW_DATABASE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/row_batch.h"
#include "index/row_store.h"
#include "index/store_files.h"
#include "index/work_control.h"

namespace rocksdb {
class Cache;
class ColumnFamilyHandle;
class DB;
class Slice;
class Status;
}  // namespace rocksdb

namespace cairn::index {

// Per-key checksum of RocksDB's in-memory structures, in bytes.
inline constexpr size_t kProtectionBytes = 8;

rocksdb::Slice ToSlice(std::string_view s);
std::string_view FromSlice(const rocksdb::Slice& s);

// A status of RocksDB's as RowStore reports it; `what` failed.
absl::Status FromRocks(const rocksdb::Status& s, const std::string& what);

// store/db, open. Thread-safe, as RocksDB is.
class RowDatabase {
 public:
  // A database with all families and the rows that every store has, closed again. In place of what
  // an interrupted creation left there.
  static absl::Status Create(const std::string& directory, const RowStoreOptions& options,
                             const std::string& uuid);
  // Opens what FORMAT announces. For writing, a database of an older format gets the families it
  // lacks; read-only it stays as it is.
  static absl::StatusOr<std::unique_ptr<RowDatabase>> Open(const std::string& directory,
                                                           const RowStoreOptions& options,
                                                           const StoreFormat& format);
  ~RowDatabase();
  RowDatabase(const RowDatabase&) = delete;
  RowDatabase& operator=(const RowDatabase&) = delete;

  rocksdb::DB& rocks() const { return *db_; }
  // Null when the store is of a format without that family.
  rocksdb::ColumnFamilyHandle* family(Family f) const { return families_[static_cast<size_t>(f)]; }
  // Those that there are.
  std::vector<rocksdb::ColumnFamilyHandle*> families() const;

  // Reads every block of every table file and checks its checksum. Cancelled between two files.
  absl::Status VerifyTables(const WorkControl& control);

  // Bytes of the write-ahead logs.
  uint64_t LogBytes() const;
  // Writes the log's rows out to table files, so that they can be checked (a log's damage cannot be
  // told from its end) and the next open need not replay it. What is in the log is safe already.
  void FlushLog();

 private:
  RowDatabase(const std::string& directory, const RowStoreOptions& options);

  rocksdb::Status OpenRocks(bool create, size_t family_count);
  rocksdb::Status OpenBesideWriter(size_t family_count);
  // How many of the families, in the order of their numbers, the database has. DataLoss when it
  // lacks one that every format has.
  absl::StatusOr<size_t> CountFamilies() const;
  absl::Status AddFamilies(size_t present);
  absl::Status CheckUuid(const std::string& uuid) const;
  absl::Status Damaged(const std::string& how) const;
  void Close();

  const std::string path_;
  const RowStoreOptions options_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_ROW_DATABASE_H_
