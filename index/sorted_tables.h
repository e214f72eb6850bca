// Batches as table files of RocksDB's.
#ifndef CAIRN_INDEX_SORTED_TABLES_H_
#define CAIRN_INDEX_SORTED_TABLES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "index/row_batch.h"
#include "index/row_database.h"

namespace rocksdb {
class ColumnFamilyHandle;
struct IngestExternalFileArg;
class Status;
}  // namespace rocksdb

namespace cairn::index {

// One batch as sorted table files, one for each family that it changes. Whatever is left of them
// goes with the object. Not thread-safe.
class SortedTables {
 public:
  // The files get names with `number` in them, in a folder on the database's file system that is
  // made when it is missing.
  SortedTables(const RowDatabase& database, std::string folder, uint64_t number);
  ~SortedTables();
  SortedTables(const SortedTables&) = delete;
  SortedTables& operator=(const SortedTables&) = delete;

  // Writes the files, syncs and checks them. Once.
  absl::Status Write(const RowBatch& batch);
  // The families that have a file.
  const std::vector<rocksdb::ColumnFamilyHandle*>& families() const { return families_; }
  // Moves the files into the database: all or, when it fails, none. Their rows are newer than any
  // other. Those families must have no rows in memory, and get none meanwhile.
  rocksdb::Status Ingest();

 private:
  absl::Status WriteFamily(Family family, const std::vector<RowBatch::Operation>& operations);

  const RowDatabase& database_;
  const std::string folder_;
  const uint64_t number_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
  std::vector<rocksdb::IngestExternalFileArg> files_;  // [family that has a file]
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SORTED_TABLES_H_
