#include "index/row_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/store_files.h"

namespace cairn::index {
namespace {

constexpr std::array<const char*, kFamilyCount> kFamilyNames = {"default", "documents", "chunks",
                                                                "vectors", "terms",     "forward"};
// A log shorter than this is replayed at the next open faster than it is written out now.
constexpr uint64_t kFlushLogBytes = uint64_t{4} << 20;
constexpr size_t kProtectionBytes = 8;  // Per-key checksum of RocksDB's in-memory structures.

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
  if (s.IsInvalidArgument()) return absl::InvalidArgumentError(message);
  return absl::UnavailableError(message);
}

rocksdb::DBOptions DatabaseOptions(const RowStoreOptions& options) {
  rocksdb::DBOptions db;
  db.create_if_missing = options.create_if_missing;
  db.create_missing_column_families = true;
  db.paranoid_checks = true;
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  db.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  db.bytes_per_sync = 1 << 20;
  db.wal_bytes_per_sync = 1 << 20;
  db.db_write_buffer_size = options.write_buffer_bytes;
  db.max_total_wal_size = 2 * options.write_buffer_bytes;
  db.max_background_jobs = 2;
  db.max_open_files = 256;
  db.keep_log_file_num = 2;
  db.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
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

// Makes the directory, with its parents. Refuses one that holds something else already: a store is
// not to be mixed into somebody's files by a mistyped path.
absl::Status CreateStoreDirectory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot create store ", directory));
  }
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (name == "LOCK" || name == "FORMAT" || name == "FORMAT.new") continue;
    return absl::FailedPreconditionError(
        absl::StrCat(directory, " is not a cairn store and not empty (it holds ", name,
                     "): name a new or empty directory"));
  }
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read ", directory));
  return absl::OkStatus();
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

  void Add(Operation::Kind kind, Family family, std::string_view key, std::string_view value) {
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

struct RowStore::Impl {
  std::string directory;
  std::string uuid;
  RowStoreOptions options;
  std::unique_ptr<StoreLock> lock;  // Null when read-only. Released last.
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  // A commit that fails may or may not be on disk: nothing may build on it.
  std::atomic<bool> failed{false};

  rocksdb::ColumnFamilyHandle* handle(Family f) const { return families[static_cast<size_t>(f)]; }

  ~Impl() {
    if (db == nullptr) return;
    if (!options.read_only && !failed) {
      uint64_t log_bytes = 0;
      rocksdb::VectorLogPtr logs;
      if (db->GetSortedWalFiles(logs).ok()) {
        for (const auto& log : logs) log_bytes += log->SizeFileBytes();
      }
      // Only saves time at the next open: what is in the log is safe, so errors do not matter.
      if (log_bytes > kFlushLogBytes) db->Flush(rocksdb::FlushOptions(), families);
    }
    for (rocksdb::ColumnFamilyHandle* h : families) db->DestroyColumnFamilyHandle(h);
    db->Close();
  }

  absl::Status OpenDatabase() {
    const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes);
    std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
    for (size_t i = 0; i < kFamilyCount; ++i) {
      descriptors.emplace_back(kFamilyNames[i],
                               FamilyOptions(static_cast<Family>(i), options, cache));
    }
    rocksdb::DB* raw = nullptr;
    const std::string path = directory + "/db";
    const rocksdb::Status s =
        options.read_only
            ? rocksdb::DB::OpenForReadOnly(DatabaseOptions(options), path, descriptors, &families,
                                           &raw)
            : rocksdb::DB::Open(DatabaseOptions(options), path, descriptors, &families, &raw);
    db.reset(raw);
    return FromRocks(s, absl::StrCat("cannot open ", path));
  }

  absl::Status CheckFreeSpace(size_t batch_bytes) const {
    struct statvfs fs;
    if (::statvfs(directory.c_str(), &fs) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot inspect ", directory));
    }
    const uint64_t free = uint64_t{fs.f_bavail} * fs.f_frsize;
    if (free >= options.min_free_bytes + 2 * batch_bytes) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat(
        "disk nearly full: ", free >> 20, " MiB free under ", directory, ", writing stops at ",
        options.min_free_bytes >> 20, " MiB; nothing acknowledged is lost"));
  }
};

RowStore::RowStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RowStore::~RowStore() = default;

absl::StatusOr<std::unique_ptr<RowStore>> RowStore::Open(const std::string& directory,
                                                         const RowStoreOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->directory = directory;
  impl->options = options;
  if (options.read_only) impl->options.create_if_missing = false;
  absl::StatusOr<std::string> uuid = ReadFormat(directory);
  if (!uuid.ok() && !(absl::IsNotFound(uuid.status()) && impl->options.create_if_missing)) {
    return uuid.status();
  }
  if (!uuid.ok()) {
    if (absl::Status s = CreateStoreDirectory(directory); !s.ok()) return s;
  }
  if (!options.read_only) {
    absl::StatusOr<std::unique_ptr<StoreLock>> lock = StoreLock::Acquire(directory);
    if (!lock.ok()) return lock.status();
    impl->lock = *std::move(lock);
  }
  if (!uuid.ok()) {
    // Under the lock now: another process may have created the store meanwhile.
    uuid = ReadFormat(directory);
    if (absl::IsNotFound(uuid.status())) uuid = CreateFormat(directory);
    if (!uuid.ok()) return uuid.status();
  } else if (!options.read_only) {
    // A store whose creation stopped before its database existed is still empty: create it now.
    struct stat st;
    if (::stat((directory + "/db").c_str(), &st) != 0) impl->options.create_if_missing = true;
  }
  impl->uuid = *uuid;
  if (absl::Status s = impl->OpenDatabase(); !s.ok()) return s;
  return std::unique_ptr<RowStore>(new RowStore(std::move(impl)));
}

absl::Status RowStore::Get(Family family, std::string_view key, std::string* value) const {
  return FromRocks(
      impl_->db->Get(rocksdb::ReadOptions(), impl_->handle(family), ToSlice(key), value),
      "cannot read a row");
}

absl::Status RowStore::MultiGet(Family family, absl::Span<const std::string> keys,
                                std::vector<std::string>* values) const {
  values->assign(keys.size(), {});
  std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
  std::vector<rocksdb::PinnableSlice> pinned(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  impl_->db->MultiGet(rocksdb::ReadOptions(), impl_->handle(family), keys.size(), slices.data(),
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
    Family family, std::string_view begin, std::string_view end,
    absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)> row) const {
  rocksdb::ReadOptions read;
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
  if (absl::Status s = impl_->CheckFreeSpace(batch.bytes()); !s.ok()) return s;
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
