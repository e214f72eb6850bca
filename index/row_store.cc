#include "index/row_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "index/row_codec.h"
#include "index/rows.h"
#include "index/store_files.h"

namespace cairn::index {
namespace {

constexpr std::array<const char*, kFamilyCount> kFamilyNames = {"default", "documents", "chunks",
                                                                "vectors", "terms",     "forward"};
// A writer flushes a few times a second at most, so a reader gets through soon.
constexpr int kReaderAttempts = 40;
constexpr int kReaderFailures = 10;
constexpr absl::Duration kReaderBackoff = absl::Milliseconds(5);
constexpr size_t kProtectionBytes = 8;  // Per-key checksum of RocksDB's in-memory structures.

rocksdb::Slice UuidKey() { return "uuid"; }

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
  db.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  db.bytes_per_sync = 1 << 20;
  db.wal_bytes_per_sync = 1 << 20;
  db.db_write_buffer_size = options.write_buffer_bytes;
  db.max_total_wal_size = 2 * options.write_buffer_bytes;
  db.max_background_jobs = 2;
  // A reader opens every table at once: the writer may delete it, but not take it away then.
  db.max_open_files = options.read_only ? -1 : 256;
  db.info_log = std::make_shared<SilentLogger>();
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

struct RowBatch::Impl {
  // Operations by family: RocksDB's handles exist only in the store.
  struct Operation {
    enum class Kind : uint8_t { kPut, kDelete, kDeleteRange } kind;
    Family family;
    std::string key, value;  // For kDeleteRange: begin and end.
  };
  std::vector<Operation> operations;
  size_t bytes = 0;
  bool frees_space = true;

  void Add(Operation::Kind kind, Family family, std::string_view key, std::string_view value) {
    if (kind == Operation::Kind::kPut) frees_space = false;
    operations.push_back({kind, family, std::string(key), std::string(value)});
    bytes += key.size() + value.size() + 16;
  }
};

RowBatch::RowBatch() : impl_(std::make_unique<Impl>()) {}
RowBatch::~RowBatch() = default;
RowBatch::RowBatch(RowBatch&&) noexcept = default;
RowBatch& RowBatch::operator=(RowBatch&&) noexcept = default;

void RowBatch::Put(Family family, std::string_view key, std::string_view value) {
  impl_->Add(Impl::Operation::Kind::kPut, family, key, value);
}
void RowBatch::Delete(Family family, std::string_view key) {
  impl_->Add(Impl::Operation::Kind::kDelete, family, key, {});
}
void RowBatch::DeleteRange(Family family, std::string_view begin, std::string_view end) {
  impl_->Add(Impl::Operation::Kind::kDeleteRange, family, begin, end);
}
size_t RowBatch::bytes() const { return impl_->bytes; }
bool RowBatch::frees_space() const { return impl_->frees_space; }

struct RowSnapshot::Impl {
  rocksdb::DB* db;
  const rocksdb::Snapshot* snapshot;
};

RowSnapshot::RowSnapshot(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RowSnapshot::~RowSnapshot() { impl_->db->ReleaseSnapshot(impl_->snapshot); }

struct RowStore::Impl {
  std::string directory;
  std::string uuid;
  RowStoreOptions options;
  std::unique_ptr<StoreLock> lock;  // Null when read-only. Released last.
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  // A commit that fails may or may not be on disk: nothing may build on it.
  std::atomic<bool> failed{false};

  static rocksdb::ReadOptions ReadAt(const RowSnapshot* snapshot);

  rocksdb::ColumnFamilyHandle* handle(Family f) const { return families[static_cast<size_t>(f)]; }

  ~Impl() {
    if (db != nullptr && !options.read_only && !failed) FlushLog();
    CloseDatabase();
  }

  // What is in the log is safe already. In table files it can be checked as well (a log's damage
  // cannot be told from its end), and the next open need not replay it. So errors do not matter.
  void FlushLog() {
    uint64_t log_bytes = 0;
    rocksdb::VectorLogPtr logs;
    if (db->GetSortedWalFiles(logs).ok()) {
      for (const auto& log : logs) log_bytes += log->SizeFileBytes();
    }
    if (log_bytes > 0) db->Flush(rocksdb::FlushOptions(), families);
  }

  void CloseDatabase() {
    if (db == nullptr) return;
    for (rocksdb::ColumnFamilyHandle* h : families) db->DestroyColumnFamilyHandle(h);
    families.clear();
    db->Close();
    db.reset();
  }

  std::string database() const { return directory + "/db"; }

  rocksdb::Status OpenRocks(bool create) {
    const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes);
    std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
    for (size_t i = 0; i < kFamilyCount; ++i) {
      descriptors.emplace_back(kFamilyNames[i],
                               FamilyOptions(static_cast<Family>(i), options, cache));
    }
    const rocksdb::DBOptions db_options = DatabaseOptions(options, create);
    rocksdb::DB* raw = nullptr;
    const rocksdb::Status s =
        options.read_only
            ? rocksdb::DB::OpenForReadOnly(db_options, database(), descriptors, &families, &raw)
            : rocksdb::DB::Open(db_options, database(), descriptors, &families, &raw);
    db.reset(raw);
    return s;
  }

  // Opening for reading takes no lock, and RocksDB reads the manifest first and the logs later. A
  // flush in between moves rows from a log this reader has not read to a table it does not know of.
  // So an open counts only if no log that was there before it is gone after it. (Logs go in the
  // order of their numbers: a newer one that came and went would have taken these along.)
  rocksdb::Status OpenBesideWriter() {
    rocksdb::Status s;
    int same = 0;  // Failures without a log gone: damage, but for a table just compacted away.
    for (int attempt = 0; attempt < kReaderAttempts && same < kReaderFailures; ++attempt) {
      if (attempt > 0) absl::SleepFor(attempt * kReaderBackoff);
      const std::set<std::string> before = LogFiles(database());
      s = OpenRocks(false);
      const std::set<std::string> after = LogFiles(database());
      const bool kept = std::includes(after.begin(), after.end(), before.begin(), before.end());
      if (s.ok() && kept) return s;
      if (kept) ++same;
      CloseDatabase();
    }
    if (same == kReaderFailures) return s;
    return rocksdb::Status::TryAgain("another process changes the store all the time; try again");
  }

  absl::Status OpenDatabase() {
    const auto damaged = [&](const std::string& how) {
      return absl::DataLossError(
          absl::StrCat(database(), " is damaged: ", how, "; restore the store from a copy"));
    };
    // Looked for here, because RocksDB makes the directory and a log file in it before it looks.
    std::error_code error;
    if (!std::filesystem::exists(database() + "/CURRENT", error)) return damaged("CURRENT is gone");
    const rocksdb::Status s = options.read_only ? OpenBesideWriter() : OpenRocks(false);
    if (s.IsInvalidArgument()) return damaged(s.ToString());  // A column family is missing.
    absl::Status opened = FromRocks(s, absl::StrCat("cannot open ", database()));
    if (!opened.ok()) return opened;
    std::string row;
    opened = FromRocks(db->Get(rocksdb::ReadOptions(), UuidKey(), &row), "cannot read the uuid");
    if (!opened.ok() && !absl::IsNotFound(opened)) return opened;
    absl::StatusOr<std::string> stored = DecodeUuid(row);
    if (stored.ok() && *stored == uuid) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(
        database(), " does not belong to this store (FORMAT and database disagree on the uuid)"));
  }

  // A database with all its families and the rows that every store has, closed again.
  absl::Status CreateDatabase() {
    // Left by a creation that was interrupted: nothing was ever acknowledged from it.
    std::error_code error;
    std::filesystem::remove_all(database(), error);
    rocksdb::Status s = OpenRocks(true);
    if (s.ok()) {
      rocksdb::WriteBatch batch;
      batch.Put(UuidKey(), EncodeUuid(uuid));
      batch.Put(ToSlice(CountersKey()), Encode(CountersKey(), CountersRow()));
      rocksdb::WriteOptions write;
      write.sync = true;
      s = db->Write(write, &batch);
    }
    CloseDatabase();
    return FromRocks(s, absl::StrCat("cannot create ", database()));
  }

  absl::Status CheckFreeSpace(const RowBatch& batch) const {
    struct statvfs fs;
    if (::statvfs(directory.c_str(), &fs) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot inspect ", directory));
    }
    const uint64_t free = uint64_t{fs.f_bavail} * fs.f_frsize;
    const uint64_t reserve =
        batch.frees_space() ? options.min_free_bytes / 8 : options.min_free_bytes;
    if (free >= reserve + 2 * batch.bytes()) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        absl::StrCat("disk nearly full: ", free >> 20, " MiB free under ", directory,
                     ", writing stops at ", reserve >> 20, " MiB; nothing acknowledged is lost"));
  }
};

RowStore::RowStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RowStore::~RowStore() = default;

absl::StatusOr<std::unique_ptr<RowStore>> RowStore::Open(const std::string& directory,
                                                         const RowStoreOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->directory = directory;
  impl->options = options;
  const bool create = options.create_if_missing && !options.read_only;
  absl::StatusOr<std::string> uuid = ReadFormat(directory);
  if (absl::IsNotFound(uuid.status()) && create) {
    if (absl::Status s = CreateStoreDirectory(directory); !s.ok()) return s;
  } else if (!uuid.ok()) {
    return uuid.status();
  }
  if (!options.read_only) {
    absl::StatusOr<std::unique_ptr<StoreLock>> lock = StoreLock::Acquire(directory);
    if (!lock.ok()) return lock.status();
    impl->lock = *std::move(lock);
  }
  if (!uuid.ok()) {
    // Under the lock now: another process may have created the store meanwhile.
    uuid = ReadFormat(directory);
    if (absl::IsNotFound(uuid.status())) {
      uuid = BeginFormat(directory);
      if (!uuid.ok()) return uuid.status();
      impl->uuid = *uuid;
      if (absl::Status s = impl->CreateDatabase(); !s.ok()) return s;
      // From here on the store exists.
      if (absl::Status s = FinishFormat(directory); !s.ok()) return s;
    }
    if (!uuid.ok()) return uuid.status();
  }
  impl->uuid = *uuid;
  if (absl::Status s = impl->OpenDatabase(); !s.ok()) return s;
  return std::unique_ptr<RowStore>(new RowStore(std::move(impl)));
}

std::shared_ptr<const RowSnapshot> RowStore::TakeSnapshot() const {
  auto impl = std::make_unique<RowSnapshot::Impl>();
  impl->db = impl_->db.get();
  impl->snapshot = impl_->db->GetSnapshot();
  return std::shared_ptr<const RowSnapshot>(new RowSnapshot(std::move(impl)));
}

// Static because only RowStore may look into a snapshot.
rocksdb::ReadOptions RowStore::Impl::ReadAt(const RowSnapshot* snapshot) {
  rocksdb::ReadOptions read;
  if (snapshot != nullptr) read.snapshot = snapshot->impl_->snapshot;
  return read;
}

absl::Status RowStore::Get(Family family, std::string_view key, const RowSnapshot* snapshot,
                           std::string* value) const {
  return FromRocks(
      impl_->db->Get(Impl::ReadAt(snapshot), impl_->handle(family), ToSlice(key), value),
      "cannot read a row");
}

absl::Status RowStore::MultiGet(Family family, absl::Span<const std::string> keys,
                                const RowSnapshot* snapshot,
                                std::vector<std::string>* values) const {
  values->assign(keys.size(), {});
  std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
  std::vector<rocksdb::PinnableSlice> pinned(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  impl_->db->MultiGet(Impl::ReadAt(snapshot), impl_->handle(family), keys.size(), slices.data(),
                      pinned.data(), statuses.data());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (statuses[i].ok()) {
      (*values)[i].assign(pinned[i].data(), pinned[i].size());
    } else if (!statuses[i].IsNotFound()) {
      return FromRocks(statuses[i], "cannot read rows");
    }
  }
  return absl::OkStatus();
}

absl::Status RowStore::Scan(
    Family family, std::string_view begin, std::string_view end, const RowSnapshot* snapshot,
    absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)> row) const {
  rocksdb::ReadOptions read = Impl::ReadAt(snapshot);
  const rocksdb::Slice upper = ToSlice(end);
  read.iterate_upper_bound = &upper;
  read.fill_cache = false;
  read.readahead_size = 2 << 20;
  const std::unique_ptr<rocksdb::Iterator> it(impl_->db->NewIterator(read, impl_->handle(family)));
  for (it->Seek(ToSlice(begin)); it->Valid(); it->Next()) {
    if (absl::Status s = row(FromSlice(it->key()), FromSlice(it->value())); !s.ok()) return s;
  }
  return FromRocks(it->status(), "cannot scan rows");
}

absl::Status RowStore::Commit(RowBatch batch) {
  if (impl_->options.read_only) {
    return absl::FailedPreconditionError("the store is open for reading only");
  }
  if (impl_->failed) {
    return absl::UnavailableError("an earlier write failed; close the store and open it again");
  }
  if (absl::Status s = impl_->CheckFreeSpace(batch); !s.ok()) return s;
  rocksdb::WriteBatch rocks(batch.bytes(), 0, kProtectionBytes, 0);
  for (const RowBatch::Impl::Operation& op : batch.impl_->operations) {
    rocksdb::ColumnFamilyHandle* family = impl_->handle(op.family);
    rocksdb::Status s;
    switch (op.kind) {
      case RowBatch::Impl::Operation::Kind::kPut:
        s = rocks.Put(family, op.key, op.value);
        break;
      case RowBatch::Impl::Operation::Kind::kDelete:
        s = rocks.Delete(family, op.key);
        break;
      case RowBatch::Impl::Operation::Kind::kDeleteRange:
        s = rocks.DeleteRange(family, op.key, op.value);
        break;
    }
    if (!s.ok()) return FromRocks(s, "cannot prepare a write");
  }
  rocksdb::WriteOptions write;
  write.sync = true;
  const rocksdb::Status s = impl_->db->Write(write, &rocks);
  if (!s.ok()) impl_->failed = true;
  return FromRocks(s, "cannot write to the store");
}

absl::Status RowStore::VerifyFiles() const {
  return FromRocks(impl_->db->VerifyChecksum(), "table files");
}

const std::string& RowStore::directory() const { return impl_->directory; }
const std::string& RowStore::uuid() const { return impl_->uuid; }
bool RowStore::read_only() const { return impl_->options.read_only; }

uint64_t RowStore::DiskBytes() const {
  uint64_t total = 0;
  for (rocksdb::ColumnFamilyHandle* h : impl_->families) {
    uint64_t bytes = 0;
    if (impl_->db->GetIntProperty(h, rocksdb::DB::Properties::kTotalSstFilesSize, &bytes)) {
      total += bytes;
    }
  }
  rocksdb::VectorLogPtr logs;
  if (impl_->db->GetSortedWalFiles(logs).ok()) {
    for (const auto& log : logs) total += log->SizeFileBytes();
  }
  return total;
}

}  // namespace cairn::index
