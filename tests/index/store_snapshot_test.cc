// Copies of stores: complete, of one moment, independent; and nothing where they fail.
#include "index/store_snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/store_files.h"
#include "tests/support/numbered_batches.h"
#include "tests/support/process.h"
#include "tests/support/row_stores.h"
#include "tests/support/temp_dir.h"
#include "tests/support/unprivileged.h"

namespace cairn::index {
namespace {

namespace fs = std::filesystem;
using ::cairn::testing::CommitNumbered;
using ::cairn::testing::CountNumbered;
using ::cairn::testing::FilesIn;
using ::cairn::testing::FileSizeLimit;
using ::cairn::testing::Process;
using ::cairn::testing::ProcessOptions;
using ::cairn::testing::ProcessResult;
using ::cairn::testing::ReadFile;
using ::cairn::testing::Reading;
using ::cairn::testing::TempDir;
using ::cairn::testing::Unprivileged;
using ::cairn::testing::Writing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kBatches = 7;

absl::StatusOr<uint64_t> CountIn(const std::string& path, const RowStoreOptions& options) {
  absl::StatusOr<std::unique_ptr<RowStore>> store = RowStore::Open(path, options);
  if (!store.ok()) return store.status();
  if (absl::Status s = (*store)->VerifyFiles(); !s.ok()) return s;
  return CountNumbered(**store);
}

// All files below a directory, with their bytes.
std::map<std::string, std::string> Contents(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) {
      files[entry.path().lexically_relative(directory).string()] = ReadFile(entry.path().string());
    }
  }
  return files;
}

// A store "s" with rows and segments, and what else may lie there.
class StoreSnapshot : public ::testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::unique_ptr<RowStore>> store = RowStore::Open(source_, Writing());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    for (uint64_t i = 0; i < kBatches; ++i) ASSERT_TRUE(CommitNumbered(*store_, i).ok());
    dir_.Write("s/segments/1-1.seg", "first");
    dir_.Write("s/segments/1-2.seg", std::string(3'000'000, '2'));
    dir_.Write("s/segments/1-3.seg.tmp", "being written");
    dir_.Write("s/segments/1-4.seg.bad", "damaged");
  }
  void Snapshot() {
    const absl::Status s = SnapshotStore(*store_, copy_);
    ASSERT_TRUE(s.ok()) << s;
  }
  // That a copy failed, for that reason, and nothing was left of it.
  void ExpectRefused(const absl::Status& status, absl::StatusCode code, const std::string& why,
                     const std::vector<std::string>& names = {"s"}) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
    EXPECT_EQ(FilesIn(dir_.path()), names);
  }

  TempDir dir_;
  const std::string source_ = dir_.file("s"), copy_ = dir_.file("copy"), new_ = dir_.file("new");
  std::unique_ptr<RowStore> store_;
};

TEST_F(StoreSnapshot, IsAStoreWithTheSameRowsAndSegments) {
  ASSERT_NO_FATAL_FAILURE(Snapshot());
  EXPECT_THAT(FilesIn(dir_.path()), ElementsAre("copy", "s"));
  EXPECT_THAT(FilesIn(copy_ + "/segments"), ElementsAre("1-1.seg", "1-2.seg"));
  EXPECT_EQ(ReadFile(copy_ + "/segments/1-2.seg"), std::string(3'000'000, '2'));
  EXPECT_TRUE(fs::equivalent(copy_ + "/segments/1-2.seg", source_ + "/segments/1-2.seg"));
  EXPECT_EQ(*CountIn(copy_, Reading()), kBatches);
  EXPECT_EQ(*CountIn(copy_, Writing()), kBatches);
}

TEST_F(StoreSnapshot, NeitherStoreSeesWhatIsWrittenToTheOther) {
  ASSERT_NO_FATAL_FAILURE(Snapshot());
  ASSERT_TRUE(CommitNumbered(*store_, kBatches).ok());
  {
    absl::StatusOr<std::unique_ptr<RowStore>> copy = RowStore::Open(copy_, Writing());
    ASSERT_TRUE(copy.ok()) << copy.status();
    for (uint64_t i = kBatches; i < 20; ++i) ASSERT_TRUE(CommitNumbered(**copy, i).ok());
    ASSERT_TRUE((*copy)->CompactAll().ok());
  }
  EXPECT_EQ(*CountNumbered(*store_), kBatches + 1);
  ASSERT_TRUE(store_->CompactAll().ok());
  ASSERT_TRUE(store_->VerifyFiles().ok());
  EXPECT_EQ(*CountIn(copy_, Reading()), 20u);
}

TEST_F(StoreSnapshot, OfAStoreWithoutSegmentsHasNone) {
  fs::remove_all(source_ + "/segments");
  ASSERT_NO_FATAL_FAILURE(Snapshot());
  EXPECT_FALSE(fs::exists(copy_ + "/segments"));
  EXPECT_TRUE(RestoreStore(copy_, new_).ok());
  EXPECT_EQ(*CountIn(new_, Reading()), kBatches);
}

TEST_F(StoreSnapshot, TakesAnEmptyDirectoryOrOneThatIsNotThere) {
  fs::create_directory(copy_);
  ASSERT_NO_FATAL_FAILURE(Snapshot());
  EXPECT_EQ(*CountIn(copy_, Reading()), kBatches);
  ASSERT_TRUE(SnapshotStore(*store_, dir_.file("slashes") + "//").ok());
  EXPECT_EQ(*CountIn(dir_.file("slashes"), Reading()), kBatches);
  fs::create_directory(new_);
  ASSERT_TRUE(RestoreStore(copy_ + "/", new_ + "/").ok());
  EXPECT_THAT(FilesIn(dir_.path()), ElementsAre("copy", "new", "s", "slashes"));
}

TEST_F(StoreSnapshot, GivenUpAtAnyMomentLeavesNothing) {
  std::vector<std::string> seen;
  SnapshotOptions follow;
  follow.on_progress = [&](std::string_view stage, uint64_t done, uint64_t total) {
    seen.push_back(absl::StrCat(std::string(stage), " ", done, "/", total));
  };
  ASSERT_TRUE(SnapshotStore(*store_, copy_, follow).ok());
  EXPECT_THAT(seen, ElementsAre("rows 0/0", "segments 0/2", "segments 1/2"));
  fs::remove_all(copy_);
  for (size_t reports = 0; reports <= seen.size(); ++reports) {
    std::atomic<bool> cancel{reports == 0};
    size_t left = reports;
    SnapshotOptions options;
    options.cancel = &cancel;
    options.on_progress = [&](std::string_view, uint64_t, uint64_t) { cancel = --left == 0; };
    ExpectRefused(SnapshotStore(*store_, copy_, options), absl::StatusCode::kCancelled, "");
  }
  ASSERT_NO_FATAL_FAILURE(Snapshot());
  EXPECT_EQ(*CountIn(copy_, Reading()), kBatches);
}

TEST_F(StoreSnapshot, BesideAWriterIsOfOneMoment) {
  std::atomic<uint64_t> acknowledged{kBatches};
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (uint64_t i = kBatches; !stop; ++i) {
      EXPECT_TRUE(CommitNumbered(*store_, i).ok());
      acknowledged = i + 1;
    }
  });
  for (int i = 0; i < 12; ++i) {
    const std::string copy = dir_.file(std::to_string(i));
    const uint64_t before = acknowledged;
    const absl::Status s = SnapshotStore(*store_, copy);
    const uint64_t after = acknowledged;
    EXPECT_TRUE(s.ok()) << s;
    const absl::StatusOr<uint64_t> count = CountIn(copy, i % 2 == 0 ? Reading() : Writing());
    EXPECT_TRUE(count.ok()) << count.status();
    if (!count.ok()) break;
    EXPECT_GE(*count, before);
    EXPECT_LE(*count, after + 1);  // One may have been committed, but not acknowledged.
  }
  stop = true;
  writer.join();
}

TEST_F(StoreSnapshot, RestoringMakesAnIndependentStore) {
  ASSERT_NO_FATAL_FAILURE(Snapshot());
  const auto before = Contents(copy_);
  const absl::Status s = RestoreStore(copy_, new_);
  ASSERT_TRUE(s.ok()) << s;
  EXPECT_THAT(FilesIn(dir_.path()), ElementsAre("copy", "new", "s"));
  EXPECT_THAT(FilesIn(new_ + "/segments"), ElementsAre("1-1.seg", "1-2.seg"));
  {
    absl::StatusOr<std::unique_ptr<RowStore>> restored = RowStore::Open(new_, Writing());
    ASSERT_TRUE(restored.ok()) << restored.status();
    for (uint64_t i = kBatches; i < 20; ++i) ASSERT_TRUE(CommitNumbered(**restored, i).ok());
    ASSERT_TRUE((*restored)->CompactAll().ok());
    fs::remove(new_ + "/segments/1-1.seg");
  }
  EXPECT_TRUE(Contents(copy_) == before);
  EXPECT_EQ(*CountIn(copy_, Reading()), kBatches);
  EXPECT_EQ(*CountIn(new_, Reading()), 20u);
  fs::remove_all(copy_);
  fs::remove_all(source_);
  EXPECT_EQ(*CountIn(new_, Writing()), 20u);
}

TEST_F(StoreSnapshot, GoesToAnotherFileSystemAndBack) {
  std::string elsewhere = "/dev/shm/cairn-test-XXXXXX";
  struct stat here, there;
  if (::mkdtemp(elsewhere.data()) == nullptr) GTEST_SKIP() << "no /dev/shm";
  const bool other = ::stat(elsewhere.c_str(), &there) == 0 &&
                     ::stat(source_.c_str(), &here) == 0 && here.st_dev != there.st_dev;
  if (other) {
    const absl::Status taken = SnapshotStore(*store_, elsewhere + "/copy");
    EXPECT_TRUE(taken.ok()) << taken;
    const absl::Status restored = RestoreStore(elsewhere + "/copy", new_);
    EXPECT_TRUE(restored.ok()) << restored;
    EXPECT_THAT(FilesIn(elsewhere), ElementsAre("copy"));
    EXPECT_EQ(*CountIn(elsewhere + "/copy", Reading()), kBatches);
  }
  fs::remove_all(elsewhere);
  if (!other) GTEST_SKIP() << "no second file system";
  EXPECT_EQ(*CountIn(new_, Writing()), kBatches);
  EXPECT_EQ(ReadFile(new_ + "/segments/1-2.seg"), std::string(3'000'000, '2'));
}

TEST_F(StoreSnapshot, IsNotTakenOfAStoreOpenForReading) {
  store_.reset();
  std::unique_ptr<RowStore> reader = *RowStore::Open(source_, Reading());
  ExpectRefused(SnapshotStore(*reader, copy_), absl::StatusCode::kFailedPrecondition, "reading");
}

TEST_F(StoreSnapshot, RefusesBadDestinations) {
  ExpectRefused(SnapshotStore(*store_, source_ + "/inside"), absl::StatusCode::kInvalidArgument,
                "inside");
  ExpectRefused(SnapshotStore(*store_, source_), absl::StatusCode::kInvalidArgument, "inside");
  ExpectRefused(SnapshotStore(*store_, dir_.path()), absl::StatusCode::kInvalidArgument, "inside");
  ExpectRefused(SnapshotStore(*store_, dir_.file("no/where")), absl::StatusCode::kNotFound,
                "no/where.partial");
  fs::create_directory_symlink(source_, dir_.file("link"));
  ExpectRefused(SnapshotStore(*store_, dir_.file("link/inside")),
                absl::StatusCode::kInvalidArgument, "inside", {"link", "s"});
  ExpectRefused(SnapshotStore(*store_, ""), absl::StatusCode::kInvalidArgument, "name",
                {"link", "s"});
  fs::remove(dir_.file("link"));
  dir_.Write("full/precious.txt", "x");
  ExpectRefused(SnapshotStore(*store_, dir_.file("full")), absl::StatusCode::kAlreadyExists,
                "exists", {"full", "s"});
  dir_.Write("file", "x");
  EXPECT_TRUE(absl::IsAlreadyExists(SnapshotStore(*store_, dir_.file("file"))));
  EXPECT_FALSE(SnapshotStore(*store_, dir_.file("file/below")).ok());
  EXPECT_EQ(*CountNumbered(*store_), kBatches);
}

TEST_F(StoreSnapshot, LeavesAlonePartialDirectoriesOfOthers) {
  dir_.Write("copy.partial/precious.txt", "x");
  ExpectRefused(SnapshotStore(*store_, copy_), absl::StatusCode::kAlreadyExists, "in the way",
                {"copy.partial", "s"});
  EXPECT_THAT(FilesIn(copy_ + ".partial"), ElementsAre("precious.txt"));
  fs::remove_all(copy_ + ".partial");
  // Another process at work.
  fs::create_directory(copy_ + ".partial");
  dir_.Write("copy.partial/db/CURRENT", "x");
  const auto lock = *StoreLock::Acquire(copy_ + ".partial");
  EXPECT_TRUE(absl::IsFailedPrecondition(SnapshotStore(*store_, copy_)));
  EXPECT_TRUE(fs::exists(copy_ + ".partial/db/CURRENT"));
}

TEST_F(StoreSnapshot, OverwritesWhatACrashLeft) {
  dir_.Write("copy.partial/LOCK", "");
  dir_.Write("copy.partial/FORMAT", "x");
  dir_.Write("copy.partial/FORMAT.next", "x");
  dir_.Write("copy.partial/db/CURRENT", "x");
  dir_.Write("copy.partial/db.tmp/CURRENT", "x");
  dir_.Write("copy.partial/segments/1-1.seg", "old");
  ASSERT_NO_FATAL_FAILURE(Snapshot());
  EXPECT_EQ(*CountIn(copy_, Reading()), kBatches);
  EXPECT_EQ(ReadFile(copy_ + "/segments/1-1.seg"), "first");
}

TEST_F(StoreSnapshot, FollowsNoLinks) {
  ASSERT_NO_FATAL_FAILURE(Snapshot());
  dir_.Write("secret", "secret");
  const std::vector<std::string> names = {"copy", "s", "secret"};
  fs::create_symlink(dir_.file("secret"), copy_ + "/segments/2-1.seg");
  ExpectRefused(RestoreStore(copy_, new_), absl::StatusCode::kFailedPrecondition, "2-1.seg", names);
  fs::remove(copy_ + "/segments/2-1.seg");
  fs::create_symlink(dir_.file("secret"), copy_ + "/db/000999.sst");
  ExpectRefused(RestoreStore(copy_, new_), absl::StatusCode::kFailedPrecondition, "sst", names);
  fs::remove(copy_ + "/db/000999.sst");
  ASSERT_EQ(::mkfifo((copy_ + "/db/MANIFEST-9").c_str(), 0644), 0);
  ExpectRefused(RestoreStore(copy_, new_), absl::StatusCode::kFailedPrecondition, "MANIFEST",
                names);
  fs::remove(copy_ + "/db/MANIFEST-9");
  fs::rename(copy_ + "/segments", dir_.file("moved"));
  fs::create_directory_symlink(dir_.file("moved"), copy_ + "/segments");
  EXPECT_TRUE(absl::IsFailedPrecondition(RestoreStore(copy_, new_)));
  fs::remove(copy_ + "/segments");
  EXPECT_TRUE(RestoreStore(copy_, new_).ok());
}

TEST_F(StoreSnapshot, RestoringRefusesWhatIsNoSnapshot) {
  ExpectRefused(RestoreStore(dir_.file("none"), new_), absl::StatusCode::kNotFound, "not a cairn");
  ExpectRefused(RestoreStore(source_ + "/db", new_), absl::StatusCode::kNotFound, "not a cairn");
  ExpectRefused(RestoreStore(source_, new_), absl::StatusCode::kFailedPrecondition,
                "open for writing");
  ASSERT_NO_FATAL_FAILURE(Snapshot());
  ExpectRefused(RestoreStore(copy_, copy_ + "/new"), absl::StatusCode::kInvalidArgument, "inside",
                {"copy", "s"});
  EXPECT_FALSE(fs::exists(copy_ + "/new.partial"));
  ExpectRefused(RestoreStore(copy_, source_), absl::StatusCode::kAlreadyExists, "exists",
                {"copy", "s"});
  const std::string format = ReadFile(copy_ + "/FORMAT");
  dir_.Write("copy/FORMAT", "cairn store\nformat 3\n");
  ExpectRefused(RestoreStore(copy_, new_), absl::StatusCode::kFailedPrecondition, "newer",
                {"copy", "s"});
  dir_.Write("copy/FORMAT", "cairn\n");
  ExpectRefused(RestoreStore(copy_, new_), absl::StatusCode::kDataLoss, "FORMAT", {"copy", "s"});
  dir_.Write("copy/FORMAT", EncodeFormat({kStoreFormat, std::string(32, '0')}));
  ExpectRefused(RestoreStore(copy_, new_), absl::StatusCode::kDataLoss, "uuid", {"copy", "s"});
  dir_.Write("copy/FORMAT", format);
  EXPECT_TRUE(RestoreStore(copy_, new_).ok());
}

TEST_F(StoreSnapshot, RestoringRefusesADamagedSnapshot) {
  ASSERT_NO_FATAL_FAILURE(Snapshot());
  fs::rename(copy_ + "/db", dir_.file("db"));
  ExpectRefused(RestoreStore(copy_, new_), absl::StatusCode::kDataLoss, "no database",
                {"copy", "db", "s"});
  // One file of each kind that it cannot do without.
  std::map<std::string, std::string> needed;
  for (const std::string& name : FilesIn(dir_.file("db"))) {
    if (name == "CURRENT" || name.rfind("MANIFEST", 0) == 0) needed[name.substr(0, 8)] = name;
    if (fs::path(name).extension() == ".sst") needed["sst"] = name;
  }
  ASSERT_EQ(needed.size(), 3u);
  for (const auto& [kind, name] : needed) {
    fs::copy(dir_.file("db"), copy_ + "/db");
    fs::remove(copy_ + "/db/" + name);
    EXPECT_FALSE(RestoreStore(copy_, new_).ok()) << name;
    dir_.Write("copy/db/" + name, "garbage");
    EXPECT_FALSE(RestoreStore(copy_, new_).ok()) << name;
    EXPECT_THAT(FilesIn(dir_.path()), ElementsAre("copy", "db", "s"));
    fs::remove_all(copy_ + "/db");
  }
}

TEST_F(StoreSnapshot, ADirectoryThatMayNotBeWrittenIsNamed) {
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
  const Unprivileged unprivileged;
  if (!unprivileged.ok()) GTEST_SKIP() << "needs to act as another user";
  if (::access(dir_.path().c_str(), W_OK) == 0 && ::getuid() != 0) {
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0555), 0);
  }
  ExpectRefused(SnapshotStore(*store_, copy_), absl::StatusCode::kPermissionDenied, "copy");
}

TEST_F(StoreSnapshot, AFullDiskLeavesNothing) {
  std::string elsewhere = "/dev/shm/cairn-test-XXXXXX";
  if (::mkdtemp(elsewhere.data()) == nullptr) GTEST_SKIP() << "no /dev/shm";
  // Copying runs into the limit; links, where it is the same file system after all, would not.
  absl::Status s;
  {
    const FileSizeLimit limit(1 << 20);
    s = SnapshotStore(*store_, elsewhere + "/copy");
  }
  const bool nothing = fs::is_empty(elsewhere);
  fs::remove_all(elsewhere);
  if (s.ok()) GTEST_SKIP() << "no second file system";
  EXPECT_THAT(std::string(s.message()), HasSubstr("1-2.seg"));
  EXPECT_TRUE(nothing);
  ASSERT_TRUE(CommitNumbered(*store_, kBatches).ok());
  EXPECT_NO_FATAL_FAILURE(Snapshot());
}

// Kills a process that makes copies, again and again; what it leaves is complete or no store.
void ExpectCompleteAfterKills(const std::string& task, const std::string& source, bool* partial) {
  std::mt19937 random(11);
  for (int kill = 0; kill < 10; ++kill) {
    TempDir copies;
    ProcessOptions options;
    options.argv = {CAIRN_ROW_STORE_CHILD, task, source, copies.path()};
    Process child(options);
    ASSERT_TRUE(child.WaitForOutput("0\n"));
    child.RunFor(std::chrono::microseconds(random() % 100'000));
    child.Signal(SIGKILL);
    const ProcessResult result = child.Wait();
    ASSERT_EQ(result.exit_code <= 0, true) << result.err;
    for (const auto& entry : fs::directory_iterator(copies.path())) {
      const std::string path = entry.path().string();
      const absl::StatusOr<uint64_t> count = CountIn(path, Reading());
      const bool complete =
          count.ok() && *count == kBatches && FilesIn(path + "/segments").size() == 2;
      if (entry.path().extension() != ".partial") {
        EXPECT_TRUE(complete) << path << ": " << count.status();
        continue;
      }
      *partial = true;
      EXPECT_TRUE(complete || absl::IsNotFound(count.status())) << count.status();
    }
  }
}

TEST_F(StoreSnapshot, KilledInTheMiddleIsCompleteOrNotThere) {
  store_.reset();
  bool partial = false;
  ASSERT_NO_FATAL_FAILURE(ExpectCompleteAfterKills("snapshot", source_, &partial));
  EXPECT_TRUE(partial) << "the kills come at the wrong time";
}

TEST_F(StoreSnapshot, RestoringKilledInTheMiddleIsCompleteOrNotThere) {
  ASSERT_NO_FATAL_FAILURE(Snapshot());
  bool partial = false;
  ASSERT_NO_FATAL_FAILURE(ExpectCompleteAfterKills("restore", copy_, &partial));
  EXPECT_TRUE(partial) << "the kills come at the wrong time";
}

}  // namespace
}  // namespace cairn::index
