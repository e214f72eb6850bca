#include "index/row_database.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/rate_limiter.h>
#include <rocksdb/slice.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/status.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <filesystem>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "index/file_checksum.h"
#include "index/row_codec.h"
#include "index/rows.h"

namespace cairn::index {
namespace {

constexpr std::array<const char*, kFamilyCount> kFamilyNames = {
    "default", "documents", "chunks", "vectors", "terms", "forward", "tombstones"};
// Of format 1; the ones after them came with format 2.
constexpr size_t kOldestFamilyCount = 6;
// A writer flushes a few times a second at most, so a reader gets through soon.
constexpr int kReaderAttempts = 40;
constexpr int kReaderFailures = 10;
constexpr absl::Duration kReaderBackoff = absl::Milliseconds(5);

rocksdb::Slice UuidKey() { return "uuid"; }

// RocksDB's own log is of no use to a user, and Debian's build aborts when it cannot write to it.
class SilentLogger : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// `create`: a new database. An existing one must be complete: to start afresh where something is
// missing would make RocksDB delete the tables that the lost file knew of.
rocksdb::DBOptions DatabaseOptions(const RowStoreOptions& options, bool create) {
  rocksdb::DBOptions db;
  db.create_if_missing = create;
  db.error_if_exists = create;
  db.create_missing_column_families = create;
  db.paranoid_checks = true;
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  db.file_checksum_gen_factory = FileChecksums();
  db.bytes_per_sync = 1 << 20;
  db.wal_bytes_per_sync = 1 << 20;
  db.db_write_buffer_size = options.write_buffer_bytes;
  db.max_total_wal_size = 2 * options.write_buffer_bytes;
  db.max_background_jobs = 2;
  // A reader opens every table at once: the writer may delete it, but not take it away then.
  db.max_open_files = options.read_only ? -1 : 256;
  db.info_log = std::make_shared<SilentLogger>();
  if (options.background_bytes_per_second > 0) {
    constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
    db.rate_limiter.reset(rocksdb::NewGenericRateLimiter(
        static_cast<int64_t>(std::min(options.background_bytes_per_second, kMax))));
  }
  return db;
}

rocksdb::ColumnFamilyOptions FamilyOptions(Family family, const RowStoreOptions& options,
                                           const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.checksum = rocksdb::ChecksumType::kXXH3;
  table.format_version = 5;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_size = family == Family::kChunks ? 16 << 10 : 8 << 10;
  rocksdb::ColumnFamilyOptions cf;
  cf.paranoid_file_checks = true;
  cf.write_buffer_size = options.write_buffer_bytes / 2;
  // Vectors do not compress; forward rows are packed already; the rest is text.
  const bool text = family == Family::kChunks || family == Family::kDocuments;
  cf.compression =
      text ? rocksdb::kZSTD
           : (family == Family::kTerms ? rocksdb::kLZ4Compression : rocksdb::kNoCompression);
  cf.compression_opts.level = 1;
  cf.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return cf;
}

std::string EncodeUuid(const std::string& uuid) {
  RowWriter writer;
  writer.String(uuid);
  return std::move(writer).Finish("uuid");
}

absl::StatusOr<std::string> DecodeUuid(std::string_view row) {
  absl::StatusOr<RowReader> reader = RowReader::Open("uuid", row);
  if (!reader.ok()) return reader.status();
  std::string uuid(reader->String());
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  return uuid;
}

// The write-ahead logs in a database's directory, by name.
std::set<std::string> LogFiles(const std::string& database) {
  std::set<std::string> logs;
  std::error_code error;
  std::filesystem::directory_iterator entry(database, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->path().extension() == ".log") logs.insert(entry->path().filename().string());
  }
  return logs;
}

}  // namespace

rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }
std::string_view FromSlice(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

absl::Status FromRocks(const rocksdb::Status& s, const std::string& what) {
  if (s.ok()) return absl::OkStatus();
  const std::string message = absl::StrCat(what, ": ", s.ToString());
  if (s.IsNotFound()) return absl::NotFoundError(message);
  if (s.IsNoSpace()) return absl::ResourceExhaustedError(message);
  if (s.IsCorruption()) {
    return absl::DataLossError(absl::StrCat(
        message, " (restore the store from a copy, or ingest the documents into a new one)"));
  }
  return absl::UnavailableError(message);
}

RowDatabase::RowDatabase(const std::string& directory, const RowStoreOptions& options)
    : path_(directory + "/db"), options_(options) {}

RowDatabase::~RowDatabase() { Close(); }

void RowDatabase::Close() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* h : families()) db_->DestroyColumnFamilyHandle(h);
  families_.clear();
  db_->Close();
  db_.reset();
}

std::vector<rocksdb::ColumnFamilyHandle*> RowDatabase::families() const {
  std::vector<rocksdb::ColumnFamilyHandle*> there;
  std::copy_if(families_.begin(), families_.end(), std::back_inserter(there),
               [](const rocksdb::ColumnFamilyHandle* h) { return h != nullptr; });
  return there;
}

uint64_t RowDatabase::LogBytes() const {
  uint64_t bytes = 0;
  rocksdb::VectorLogPtr logs;
  if (db_->GetSortedWalFiles(logs).ok()) {
    for (const auto& log : logs) bytes += log->SizeFileBytes();
  }
  return bytes;
}

void RowDatabase::FlushLog() {
  if (LogBytes() > 0) db_->Flush(rocksdb::FlushOptions(), families());
}

absl::Status RowDatabase::VerifyTables(const WorkControl& control) {
  const std::string what = "table files";
  // Beside a writer a table may be there no longer by its name, so there RocksDB must do it, with
  // the tables that it has open; and does it in one piece.
  if (options_.read_only) return FromRocks(db_->VerifyChecksum(), what);
  rocksdb::Status s = db_->DisableFileDeletions();
  if (!s.ok()) return FromRocks(s, what);
  std::vector<rocksdb::LiveFileMetaData> files;
  db_->GetLiveFilesMetaData(&files);
  absl::Status result;
  for (size_t i = 0; i < files.size() && result.ok(); ++i) {
    if (result = control.Check(); !result.ok()) break;
    control.Report(static_cast<double>(i) / static_cast<double>(files.size()));
    rocksdb::Options options;
    options.info_log = std::make_shared<SilentLogger>();
    rocksdb::SstFileReader reader(options);
    const std::string path = files[i].db_path + files[i].name;
    s = reader.Open(path);
    if (s.ok()) s = reader.VerifyChecksum();
    result = FromRocks(s, absl::StrCat(what, ": ", path));
  }
  // Only as often as they were disabled: a copy of the database may be being made.
  s = db_->EnableFileDeletions(/*force=*/false);
  return result.ok() ? FromRocks(s, what) : result;
}

rocksdb::Status RowDatabase::OpenRocks(bool create, size_t family_count) {
  cache_ = rocksdb::NewLRUCache(options_.block_cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (size_t i = 0; i < family_count; ++i) {
    descriptors.emplace_back(kFamilyNames[i],
                             FamilyOptions(static_cast<Family>(i), options_, cache_));
  }
  const rocksdb::DBOptions db_options = DatabaseOptions(options_, create);
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status s =
      options_.read_only
          ? rocksdb::DB::OpenForReadOnly(db_options, path_, descriptors, &families_, &raw)
          : rocksdb::DB::Open(db_options, path_, descriptors, &families_, &raw);
  db_.reset(raw);
  families_.resize(kFamilyCount);
  return s;
}

// Opening for reading takes no lock, and RocksDB reads the manifest first and the logs later. A
// flush in between moves rows from a log this reader has not read to a table it does not know of.
// So an open counts only if no log that was there before it is gone after it. (Logs go in the
// order of their numbers: a newer one that came and went would have taken these along.)
rocksdb::Status RowDatabase::OpenBesideWriter(size_t family_count) {
  rocksdb::Status s;
  int same = 0;  // Failures without a log gone: damage, but for a table just compacted away.
  for (int attempt = 0; attempt < kReaderAttempts && same < kReaderFailures; ++attempt) {
    if (attempt > 0) absl::SleepFor(attempt * kReaderBackoff);
    const std::set<std::string> before = LogFiles(path_);
    s = OpenRocks(false, family_count);
    const std::set<std::string> after = LogFiles(path_);
    const bool kept = std::includes(after.begin(), after.end(), before.begin(), before.end());
    if (s.ok() && kept) return s;
    if (kept) ++same;
    Close();
  }
  if (same == kReaderFailures) return s;
  return rocksdb::Status::TryAgain("another process changes the store all the time; try again");
}

absl::Status RowDatabase::Damaged(const std::string& how) const {
  return absl::DataLossError(
      absl::StrCat(path_, " is damaged: ", how, "; restore the store from a copy"));
}

absl::StatusOr<size_t> RowDatabase::CountFamilies() const {
  std::vector<std::string> names;
  absl::Status s =
      FromRocks(rocksdb::DB::ListColumnFamilies(DatabaseOptions(options_, false), path_, &names),
                absl::StrCat("cannot open ", path_));
  if (!s.ok()) return s;
  size_t count = 0;
  while (count < kFamilyCount &&
         std::find(names.begin(), names.end(), kFamilyNames[count]) != names.end()) {
    ++count;
  }
  if (count < kOldestFamilyCount) {
    return Damaged(absl::StrCat("column family ", kFamilyNames[count], " is gone"));
  }
  return count;
}

absl::Status RowDatabase::AddFamilies(size_t present) {
  for (size_t i = present; i < kFamilyCount; ++i) {
    const auto options = FamilyOptions(static_cast<Family>(i), options_, cache_);
    absl::Status s = FromRocks(db_->CreateColumnFamily(options, kFamilyNames[i], &families_[i]),
                               absl::StrCat("cannot bring ", path_, " up to date"));
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status RowDatabase::CheckUuid(const std::string& uuid) const {
  std::string row;
  absl::Status s =
      FromRocks(db_->Get(rocksdb::ReadOptions(), UuidKey(), &row), "cannot read the uuid");
  if (!s.ok() && !absl::IsNotFound(s)) return s;
  absl::StatusOr<std::string> stored = DecodeUuid(row);
  if (stored.ok() && *stored == uuid) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      path_, " does not belong to this store (FORMAT and database disagree on the uuid)"));
}

absl::StatusOr<std::unique_ptr<RowDatabase>> RowDatabase::Open(const std::string& directory,
                                                               const RowStoreOptions& options,
                                                               const StoreFormat& format) {
  std::unique_ptr<RowDatabase> database(new RowDatabase(directory, options));
  RowDatabase& d = *database;
  // Looked for here, because RocksDB makes the directory and a log file in it before it looks.
  std::error_code error;
  if (!std::filesystem::exists(d.path_ + "/CURRENT", error)) return d.Damaged("CURRENT is gone");
  const bool old = format.number < kStoreFormat;
  size_t families = old ? kOldestFamilyCount : kFamilyCount;
  if (old && !options.read_only) {
    // An upgrade that was interrupted has made some of the new ones.
    absl::StatusOr<size_t> present = d.CountFamilies();
    if (!present.ok()) return present.status();
    families = *present;
  }
  const rocksdb::Status opened =
      options.read_only ? d.OpenBesideWriter(families) : d.OpenRocks(false, families);
  if (opened.IsInvalidArgument()) return d.Damaged(opened.ToString());  // A family is missing.
  absl::Status s = FromRocks(opened, absl::StrCat("cannot open ", d.path_));
  if (s.ok()) s = d.CheckUuid(format.uuid);
  if (s.ok() && !options.read_only) s = d.AddFamilies(families);
  if (!s.ok()) return s;
  return database;
}

absl::Status RowDatabase::Create(const std::string& directory, const RowStoreOptions& options,
                                 const std::string& uuid) {
  RowDatabase d(directory, options);
  // Left by a creation that was interrupted: nothing was ever acknowledged from it.
  std::error_code error;
  std::filesystem::remove_all(d.path_, error);
  rocksdb::Status s = d.OpenRocks(true, kFamilyCount);
  if (s.ok()) {
    rocksdb::WriteBatch batch;
    batch.Put(UuidKey(), EncodeUuid(uuid));
    batch.Put(ToSlice(CountersKey()), Encode(CountersKey(), CountersRow()));
    rocksdb::WriteOptions write;
    write.sync = true;
    s = d.db_->Write(write, &batch);
  }
  d.Close();
  return FromRocks(s, absl::StrCat("cannot create ", d.path_));
}

}  // namespace cairn::index
