// Creating, opening and locking a store; what survives a killed process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include "index/store.h"
#include "index/store_files.h"
#include "index/verify.h"
#include "tests/support/prepared.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_store.h"

namespace cairn::index {
namespace {

using ::cairn::testing::Prepare;
using ::cairn::testing::Settings;
using ::cairn::testing::TempDir;
using ::cairn::testing::Writable;
using ::testing::HasSubstr;

TEST(StoreOpen, RefusesWhatIsNotAStoreAndWhatIsNewer) {
  TempDir dir;
  StoreOptions reading;
  EXPECT_TRUE(absl::IsNotFound(Store::Open(dir.file("none"), reading).status()));
  EXPECT_FALSE(std::filesystem::exists(dir.file("none")));
  dir.Write("full/precious.txt", "x");
  EXPECT_TRUE(absl::IsFailedPrecondition(Store::Open(dir.file("full"), Writable()).status()));
  EXPECT_FALSE(std::filesystem::exists(dir.file("full/FORMAT")));
  dir.Write("newer/FORMAT", "cairn store\nformat 3\nanything\n");
  const absl::Status newer = Store::Open(dir.file("newer"), Writable()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(newer));
  EXPECT_THAT(std::string(newer.message()), HasSubstr("newer cairn"));
  dir.Write("damaged/FORMAT", "cairn store\nformat 1\nuuid 00\nchecksum 00000000\n");
  EXPECT_TRUE(absl::IsDataLoss(Store::Open(dir.file("damaged"), Writable()).status()));
}

TEST(StoreOpen, ACreationThatStoppedHalfwayIsStartedAgain) {
  TempDir dir;
  std::filesystem::create_directory(dir.file("s"));
  ASSERT_TRUE(BeginFormat(dir.file("s")).ok());
  dir.Write("s/db/CURRENT", "MANIFEST-0");  // Torn.
  EXPECT_TRUE(absl::IsNotFound(Store::Open(dir.file("s"), StoreOptions()).status()));
  ASSERT_TRUE(Store::Open(dir.file("s"), Writable()).ok());
  EXPECT_TRUE(Store::Open(dir.file("s"), StoreOptions()).ok());
}

TEST(StoreOpen, ReadersBesideAWriterSeeEverythingAcknowledgedBefore) {
  TempDir dir;
  StoreOptions writing = Writable();
  writing.rows.write_buffer_bytes = 16 << 20;  // Flushes several times a second.
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir.file("s"), writing);
  ASSERT_TRUE(store.ok()) << store.status();
  absl::StatusOr<std::shared_ptr<Collection>> collection = (*store)->Create("c", Settings());
  ASSERT_TRUE(collection.ok());
  std::atomic<uint64_t> acknowledged{0};
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    const std::string filler(4000, 'x');
    for (uint64_t i = 0; !stop; ++i) {
      std::vector<WriteOutcome> outcomes;
      const std::string n = std::to_string(i);
      EXPECT_TRUE((*collection)->Upsert({Prepare("d" + n, filler + n)}, &outcomes).ok());
      acknowledged = i + 1;
    }
  });
  StoreOptions reading;
  reading.rows.read_only = true;
  for (int i = 0; i < 12; ++i) {  // Each takes longer than the one before.
    const uint64_t before = acknowledged;
    absl::StatusOr<std::unique_ptr<Store>> reader = Store::Open(dir.file("s"), reading);
    EXPECT_TRUE(reader.ok()) << reader.status();
    if (!reader.ok()) break;
    absl::StatusOr<std::shared_ptr<Collection>> c = (*reader)->Find("c");
    EXPECT_TRUE(c.ok()) << c.status();
    if (!c.ok()) break;
    EXPECT_GE((*c)->Stats().documents, before);
  }
  stop = true;
  writer.join();
}

TEST(Durability, WhatWasAcknowledgedSurvivesSigkill) {
  TempDir dir;
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir.file("s"), Writable());
    if (!store.ok()) ::_exit(1);
    absl::StatusOr<std::shared_ptr<Collection>> c = (*store)->Create("c", Settings());
    if (!c.ok()) ::_exit(2);
    for (uint32_t i = 0; i < 1'000'000; ++i) {
      std::vector<WriteOutcome> outcomes;
      const std::string id = std::to_string(i);
      if (!(*c)->Upsert({Prepare(id, "text of " + id + "\nsecond " + id)}, &outcomes).ok()) {
        ::_exit(3);
      }
      if (::write(pipe_ends[1], &i, sizeof(i)) != sizeof(i)) ::_exit(4);
    }
    ::_exit(0);
  }
  ::close(pipe_ends[1]);
  uint32_t last = 0;
  while (last < 200 && ::read(pipe_ends[0], &last, sizeof(last)) == sizeof(last)) {
  }
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  for (uint32_t more; ::read(pipe_ends[0], &more, sizeof(more)) == sizeof(more);) last = more;
  ::close(pipe_ends[0]);

  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir.file("s"), Writable());
  ASSERT_TRUE(store.ok()) << store.status();
  absl::StatusOr<std::shared_ptr<Collection>> c = (*store)->Find("c");
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_GE((*c)->Stats().documents, last + 1);
  for (uint32_t i = 0; i <= last; ++i) {
    EXPECT_EQ((*c)->RowsAt(nullptr).GetDocument(std::to_string(i))->chunk_count, 2u);
  }
  VerifyReport report;
  ASSERT_TRUE((*store)
                  ->Verify(
                      true, [](const std::string& p) { ADD_FAILURE() << p; }, &report)
                  .ok());
}

}  // namespace
}  // namespace cairn::index
