#include "index/sorted_tables.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/status.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/durable_files.h"

namespace cairn::index {
namespace {

using Operation = RowBatch::Operation;
using Operations = std::vector<Operation>;
// Positions in Operations.
using Positions = std::vector<size_t>;

// Tells, for ascending keys, the last of the range deletions that covers a key.
class CoveringRanges {
 public:
  CoveringRanges(const Operations& operations, Positions ranges)
      : operations_(operations), by_begin_(std::move(ranges)) {
    std::sort(by_begin_.begin(), by_begin_.end(),
              [&](size_t a, size_t b) { return operations_[a].key < operations_[b].key; });
  }

  // Whether an operation on `key` at `position` is undone by a later range deletion.
  bool Undoes(std::string_view key, size_t position) {
    while (next_ < by_begin_.size() && operations_[by_begin_[next_]].key <= key) {
      active_.push(by_begin_[next_++]);
    }
    while (!active_.empty() && operations_[active_.top()].value <= key) active_.pop();
    return !active_.empty() && active_.top() > position;
  }

 private:
  const Operations& operations_;
  Positions by_begin_;
  size_t next_ = 0;
  std::priority_queue<size_t> active_;  // Begun; of those only the top is known not to have ended.
};

// What counts of operations on single keys, by key: the last on each, unless a later range deletion
// covers it. In a table file a key is not deleted by the file's own range deletions.
Positions LastPerKey(const Operations& operations, Positions points, const Positions& ranges) {
  const auto key = [&](size_t i) { return operations[i].key; };
  const auto ascends = [&](size_t a, size_t b) {
    return key(a) != key(b) ? key(a) < key(b) : a < b;
  };
  // Bulk loads bring most families in order.
  if (!std::is_sorted(points.begin(), points.end(), ascends)) {
    std::sort(points.begin(), points.end(), ascends);
  }
  CoveringRanges covering(operations, ranges);
  size_t kept = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const bool last = i + 1 == points.size() || key(points[i]) != key(points[i + 1]);
    if (last && !covering.Undoes(key(points[i]), points[i])) points[kept++] = points[i];
  }
  points.resize(kept);
  return points;
}

rocksdb::Status WriteOperations(const Operations& operations, rocksdb::SstFileWriter* writer) {
  Positions points, ranges;
  for (size_t i = 0; i < operations.size(); ++i) {
    (operations[i].kind == Operation::Kind::kDeleteRange ? ranges : points).push_back(i);
  }
  rocksdb::Status s;
  for (size_t i : LastPerKey(operations, std::move(points), ranges)) {
    const Operation& op = operations[i];
    s = op.kind == Operation::Kind::kPut ? writer->Put(ToSlice(op.key), ToSlice(op.value))
                                         : writer->Delete(ToSlice(op.key));
    if (!s.ok()) return s;
  }
  for (size_t i : ranges) {
    s = writer->DeleteRange(ToSlice(operations[i].key), ToSlice(operations[i].value));
    if (!s.ok()) return s;
  }
  return s;
}

rocksdb::IngestExternalFileOptions IngestOptions() {
  rocksdb::IngestExternalFileOptions ingest;
  ingest.move_files = true;
  ingest.write_global_seqno = false;    // Table files never change: snapshots share them.
  ingest.verify_file_checksum = false;  // It was computed while the file was written.
  return ingest;
}

}  // namespace

SortedTables::SortedTables(const RowDatabase& database, std::string folder, uint64_t number)
    : database_(database), folder_(std::move(folder)), number_(number) {}

SortedTables::~SortedTables() {
  for (const rocksdb::IngestExternalFileArg& file : files_) {
    for (const std::string& path : file.external_files) ::unlink(path.c_str());
  }
}

absl::Status SortedTables::Write(const RowBatch& batch) {
  std::vector<Operations> by_family(kFamilyCount);
  for (const Operation& op : batch.operations()) {
    by_family[static_cast<size_t>(op.family)].push_back(op);
  }
  if (::mkdir(folder_.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoStatus("cannot create", folder_);
  }
  for (size_t f = 0; f < kFamilyCount; ++f) {
    if (by_family[f].empty()) continue;
    absl::Status s = WriteFamily(static_cast<Family>(f), by_family[f]);
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status SortedTables::WriteFamily(Family family, const Operations& operations) {
  rocksdb::ColumnFamilyHandle* const handle = database_.family(family);
  const std::string path =
      absl::StrCat(folder_, "/", number_, "-", static_cast<int>(family), ".sst");
  // A crash may have left one that is a table of the database by another name: never write into it.
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus("cannot delete", path);
  families_.push_back(handle);
  rocksdb::IngestExternalFileArg& file = files_.emplace_back();
  file.column_family = handle;
  file.external_files = {path};
  file.options = IngestOptions();

  const rocksdb::Options options = database_.rocks().GetOptions(handle);
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(options), options, handle,
                                /*invalidate_page_cache=*/false);
  rocksdb::ExternalSstFileInfo info;
  rocksdb::Status s = writer.Open(path);
  if (s.ok()) s = WriteOperations(operations, &writer);
  if (s.ok()) s = writer.Finish(&info);
  if (s.ok()) {
    // As RocksDB itself does after a flush (paranoid_file_checks).
    rocksdb::SstFileReader reader(options);
    s = reader.Open(path);
    if (s.ok()) s = reader.VerifyChecksum();
  }
  file.files_checksums = {info.file_checksum};
  file.files_checksum_func_names = {info.file_checksum_func_name};
  return FromRocks(s, absl::StrCat("cannot write ", path));
}

rocksdb::Status SortedTables::Ingest() { return database_.rocks().IngestExternalFiles(files_); }

}  // namespace cairn::index
