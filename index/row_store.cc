#include "index/row_store.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "index/row_database.h"
#include "index/sorted_tables.h"
#include "index/store_files.h"

namespace cairn::index {
namespace {

absl::Status PrepareBatch(const RowBatch& batch, const RowDatabase& database,
                          rocksdb::WriteBatch* rocks) {
  for (const RowBatch::Operation& op : batch.operations()) {
    rocksdb::ColumnFamilyHandle* const family = database.family(op.family);
    rocksdb::Status s;
    switch (op.kind) {
      case RowBatch::Operation::Kind::kPut:
        s = rocks->Put(family, ToSlice(op.key), ToSlice(op.value));
        break;
      case RowBatch::Operation::Kind::kDelete:
        s = rocks->Delete(family, ToSlice(op.key));
        break;
      case RowBatch::Operation::Kind::kDeleteRange:
        s = rocks->DeleteRange(family, ToSlice(op.key), ToSlice(op.value));
        break;
    }
    if (!s.ok()) return FromRocks(s, "cannot prepare a write");
  }
  return absl::OkStatus();
}

rocksdb::WriteOptions Synced() {
  rocksdb::WriteOptions write;
  write.sync = true;
  return write;
}

}  // namespace

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
  std::unique_ptr<RowDatabase> database;
  // A commit that fails may or may not be on disk: nothing may build on it.
  std::atomic<bool> failed{false};
  std::atomic<uint64_t> tables_written{0};
  // Held shared while rows go through the log, exclusively while table files are taken in: RocksDB
  // 7.8 may order the two wrongly where they meet in one family.
  absl::Mutex commit_mutex ABSL_ACQUIRED_BEFORE(snapshot_mutex);
  // Exclusively while table files become visible: meanwhile RocksDB's snapshots change.
  mutable absl::Mutex snapshot_mutex;

  static rocksdb::ReadOptions ReadAt(const RowSnapshot* snapshot);

  rocksdb::DB& rocks() const { return database->rocks(); }
  std::string IngestDirectory() const { return directory + "/ingest"; }

  ~Impl() {
    if (database != nullptr && !options.read_only && !failed) database->FlushLog();
  }

  // Opens for reading, beside a writer that may bring the format up to date meanwhile.
  absl::Status OpenForReading(StoreFormat format) {
    while (true) {
      absl::StatusOr<std::unique_ptr<RowDatabase>> opened =
          RowDatabase::Open(directory, options, format);
      if (!opened.ok()) return opened.status();
      absl::StatusOr<StoreFormat> now = ReadFormat(directory);
      if (!now.ok()) return now.status();
      if (now->number == format.number) {
        database = *std::move(opened);
        return absl::OkStatus();
      }
      format = *now;
    }
  }

  // Under the lock. `format` is NotFound for a store to be created.
  absl::Status OpenForWriting(absl::StatusOr<StoreFormat> format) {
    if (absl::IsNotFound(format.status()) && options.create_if_missing) {
      absl::StatusOr<std::string> created = BeginFormat(directory);
      if (!created.ok()) return created.status();
      format = StoreFormat{kStoreFormat, *created};
      if (absl::Status s = RowDatabase::Create(directory, options, *created); !s.ok()) return s;
      // From here on the store exists.
      if (absl::Status s = FinishFormat(directory); !s.ok()) return s;
    }
    if (!format.ok()) return format.status();
    uuid = format->uuid;
    absl::StatusOr<std::unique_ptr<RowDatabase>> opened =
        RowDatabase::Open(directory, options, *format);
    if (!opened.ok()) return opened.status();
    database = *std::move(opened);
    if (format->number < kStoreFormat) {
      if (absl::Status s = WriteFormat(directory, {kStoreFormat, uuid}); !s.ok()) return s;
    }
    // What a crash left there is either nowhere else or in db/ as well.
    std::error_code error;
    std::filesystem::remove_all(IngestDirectory(), error);
    if (!error) return absl::OkStatus();
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot empty ", IngestDirectory()));
  }

  absl::Status CheckWritable() const {
    if (options.read_only) {
      return absl::FailedPreconditionError("the store is open for reading only");
    }
    if (failed) {
      return absl::UnavailableError("an earlier write failed; close the store and open it again");
    }
    return absl::OkStatus();
  }

  // Whether there is room for `bytes` more above a reserve.
  absl::Status CheckFreeSpace(uint64_t bytes, uint64_t reserve) const {
    struct statvfs fs;
    if (::statvfs(directory.c_str(), &fs) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot inspect ", directory));
    }
    const uint64_t free = uint64_t{fs.f_bavail} * fs.f_frsize;
    if (free >= reserve + bytes) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        absl::StrCat("disk nearly full: ", free >> 20, " MiB free under ", directory,
                     ", writing stops at ", reserve >> 20, " MiB; nothing acknowledged is lost"));
  }

  absl::Status CheckRoomFor(const RowBatch& batch) const {
    if (absl::Status s = CheckWritable(); !s.ok()) return s;
    return CheckFreeSpace(2 * batch.bytes(), batch.frees_space() ? options.min_free_bytes / 8
                                                                 : options.min_free_bytes);
  }

  absl::Status TakeIn(SortedTables* tables) ABSL_LOCKS_EXCLUDED(commit_mutex) {
    absl::MutexLock no_commits(&commit_mutex);
    if (absl::Status s = CheckWritable(); !s.ok()) return s;
    rocksdb::Status s = rocks().Flush(rocksdb::FlushOptions(), tables->families());
    if (s.ok()) {
      absl::MutexLock no_snapshots(&snapshot_mutex);
      s = tables->Ingest();
    }
    if (s.ok()) return absl::OkStatus();
    // Whether the store is usable still: RocksDB refuses writes after errors that it cannot repair.
    rocksdb::WriteBatch nothing;
    if (!rocks().Write(Synced(), &nothing).ok()) failed = true;
    return FromRocks(s, "cannot write to the store");
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
  absl::StatusOr<StoreFormat> format = ReadFormat(directory);
  if (absl::IsNotFound(format.status()) && create) {
    if (absl::Status s = CreateStoreDirectory(directory); !s.ok()) return s;
  } else if (!format.ok()) {
    return format.status();
  }
  absl::Status s;
  if (options.read_only) {
    impl->uuid = format->uuid;
    s = impl->OpenForReading(*std::move(format));
  } else {
    absl::StatusOr<std::unique_ptr<StoreLock>> lock = StoreLock::Acquire(directory);
    if (!lock.ok()) return lock.status();
    impl->lock = *std::move(lock);
    // Again, under the lock: another process may have created or upgraded the store meanwhile.
    s = impl->OpenForWriting(ReadFormat(directory));
  }
  if (!s.ok()) return s;
  return std::unique_ptr<RowStore>(new RowStore(std::move(impl)));
}

std::shared_ptr<const RowSnapshot> RowStore::TakeSnapshot() const {
  auto impl = std::make_unique<RowSnapshot::Impl>();
  impl->db = &impl_->rocks();
  absl::ReaderMutexLock lock(&impl_->snapshot_mutex);
  impl->snapshot = impl->db->GetSnapshot();
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
  rocksdb::ColumnFamilyHandle* const handle = impl_->database->family(family);
  if (handle == nullptr) return absl::NotFoundError("the store's format has no such rows");
  return FromRocks(impl_->rocks().Get(Impl::ReadAt(snapshot), handle, ToSlice(key), value),
                   "cannot read a row");
}

absl::Status RowStore::MultiGet(Family family, absl::Span<const std::string> keys,
                                const RowSnapshot* snapshot,
                                std::vector<std::string>* values) const {
  values->assign(keys.size(), {});
  rocksdb::ColumnFamilyHandle* const handle = impl_->database->family(family);
  if (handle == nullptr) return absl::OkStatus();
  std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
  std::vector<rocksdb::PinnableSlice> pinned(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  impl_->rocks().MultiGet(Impl::ReadAt(snapshot), handle, keys.size(), slices.data(), pinned.data(),
                          statuses.data());
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
  rocksdb::ColumnFamilyHandle* const handle = impl_->database->family(family);
  if (handle == nullptr) return absl::OkStatus();
  rocksdb::ReadOptions read = Impl::ReadAt(snapshot);
  const rocksdb::Slice upper = ToSlice(end);
  read.iterate_upper_bound = &upper;
  read.fill_cache = false;
  read.readahead_size = 2 << 20;
  const std::unique_ptr<rocksdb::Iterator> it(impl_->rocks().NewIterator(read, handle));
  for (it->Seek(ToSlice(begin)); it->Valid(); it->Next()) {
    if (absl::Status s = row(FromSlice(it->key()), FromSlice(it->value())); !s.ok()) return s;
  }
  return FromRocks(it->status(), "cannot scan rows");
}

absl::Status RowStore::Commit(RowBatch batch) {
  if (absl::Status s = impl_->CheckRoomFor(batch); !s.ok()) return s;
  rocksdb::WriteBatch rocks(batch.bytes(), 0, kProtectionBytes, 0);
  if (absl::Status s = PrepareBatch(batch, *impl_->database, &rocks); !s.ok()) return s;
  absl::ReaderMutexLock lock(&impl_->commit_mutex);
  const rocksdb::Status s = impl_->rocks().Write(Synced(), &rocks);
  if (!s.ok()) impl_->failed = true;
  return FromRocks(s, "cannot write to the store");
}

absl::Status RowStore::CommitSorted(RowBatch batch) {
  if (absl::Status s = impl_->CheckRoomFor(batch); !s.ok()) return s;
  SortedTables tables(*impl_->database, impl_->IngestDirectory(), impl_->tables_written++);
  if (absl::Status s = tables.Write(batch); !s.ok()) return s;
  batch = RowBatch();  // Its memory is not needed while others are waited for.
  if (tables.families().empty()) return absl::OkStatus();
  return impl_->TakeIn(&tables);
}

absl::Status RowStore::Checkpoint(const std::string& directory) {
  if (absl::Status s = impl_->CheckWritable(); !s.ok()) return s;
  const std::string path = std::filesystem::absolute(directory).string();
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    return absl::AlreadyExistsError(absl::StrCat(directory, " exists already"));
  }
  rocksdb::Checkpoint* raw = nullptr;
  rocksdb::Status s = rocksdb::Checkpoint::Create(&impl_->rocks(), &raw);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  // Table files taken in between the copies of the manifest and of the logs would be missing beside
  // rows that came after them.
  absl::ReaderMutexLock lock(&impl_->commit_mutex);
  if (s.ok()) s = checkpoint->CreateCheckpoint(path);
  return FromRocks(s, absl::StrCat("cannot copy the database to ", directory));
}

absl::Status RowStore::CompactAll(const std::atomic<bool>* cancel,
                                  const WorkControl::Progress& on_progress) {
  if (absl::Status s = impl_->CheckWritable(); !s.ok()) return s;
  absl::Status room = impl_->CheckFreeSpace(DiskBytes(), impl_->options.min_free_bytes);
  if (!room.ok()) return room;
  rocksdb::CompactRangeOptions compact;
  compact.exclusive_manual_compaction = false;
  compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  // RocksDB only reads it.
  compact.canceled = const_cast<std::atomic<bool>*>(cancel);
  const WorkControl control(cancel, &on_progress);
  const std::vector<rocksdb::ColumnFamilyHandle*> families = impl_->database->families();
  for (size_t i = 0; i < families.size(); ++i) {
    if (absl::Status s = control.Check(); !s.ok()) return s;
    control.Report(static_cast<double>(i) / static_cast<double>(families.size()));
    const rocksdb::Status s = impl_->rocks().CompactRange(compact, families[i], nullptr, nullptr);
    if (s.IsManualCompactionPaused()) return absl::CancelledError("cancelled");
    if (!s.ok()) return FromRocks(s, "cannot compact the table files");
  }
  return absl::OkStatus();
}

absl::Status RowStore::VerifyFiles(const WorkControl& control) const {
  return impl_->database->VerifyTables(control);
}

const std::string& RowStore::directory() const { return impl_->directory; }
const std::string& RowStore::uuid() const { return impl_->uuid; }
bool RowStore::read_only() const { return impl_->options.read_only; }

uint64_t RowStore::DiskBytes() const {
  uint64_t total = impl_->database->LogBytes();
  for (rocksdb::ColumnFamilyHandle* h : impl_->database->families()) {
    uint64_t bytes = 0;
    if (impl_->rocks().GetIntProperty(h, rocksdb::DB::Properties::kTotalSstFilesSize, &bytes)) {
      total += bytes;
    }
  }
  return total;
}

}  // namespace cairn::index
