// A process that is killed at work leaves blobs that are whole, each of a chunk that is there.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/kv/kv_store.h"
#include "index/store.h"
#include "tests/support/kv_blobs.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_store.h"

namespace cairn::engine {
namespace {

namespace fs = std::filesystem;
using ::cairn::testing::CheckKv;
using ::cairn::testing::Process;
using ::cairn::testing::ProcessOptions;
using ::cairn::testing::TempDir;

// The last number that was told with all of its line.
int LastTold(const std::string& out) {
  const std::vector<std::string> lines = absl::StrSplit(out, '\n');
  int last = -1;
  // What follows the last line feed was cut off.
  if (lines.size() >= 2 && !absl::SimpleAtoi(lines[lines.size() - 2], &last)) return -1;
  return last;
}

TEST(KvStoreCrashTest, WhatWasStoredIsThereAndWhole) {
  constexpr int kRounds = 8;
  const TempDir directory;
  const std::string path = directory.file("store");
  std::mt19937 random(3);
  for (int round = 0; round < kRounds; ++round) {
    ProcessOptions options;
    options.argv = {CAIRN_KV_STORE_CHILD, path};
    Process child(options);
    ASSERT_TRUE(child.WaitForOutput(absl::StrCat(random() % 25, "\n")));
    child.Signal(SIGKILL);
    const int last = LastTold(child.Wait().out);
    absl::StatusOr<std::unique_ptr<index::Store>> store =
        index::Store::Open(path, cairn::testing::Writable());
    ASSERT_TRUE(store.ok()) << store.status();
    absl::StatusOr<index::CollectionRow> collection = (*store)->Describe("c");
    ASSERT_TRUE(collection.ok());
    size_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(path + "/kv")) {
      files += entry.is_regular_file() ? 1 : 0;
    }
    EXPECT_EQ(files, (*store)->kv_blobs().blobs());
    absl::StatusOr<std::unique_ptr<KvStore>> kv = KvStore::Open(store->get(), {});
    ASSERT_TRUE(kv.ok());
    absl::StatusOr<KvVerifyReport> report =
        (*kv)->Verify(false, [](const std::string& problem) { ADD_FAILURE() << problem; });
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->blobs, files);
    EXPECT_LE(report->bytes, cairn::testing::kChildDiskBytes);
    absl::StatusOr<KvIdentity> identity = (*kv)->Identity(collection->id);
    ASSERT_TRUE(identity.ok());
    ASSERT_GE(last, 0);
    const std::vector<uint32_t> tokens = {static_cast<uint32_t>(last)};
    const auto found = (*kv)->Find(identity->Key(identity->Configuration({}), {}, tokens));
    ASSERT_NE(found, nullptr) << last;
    EXPECT_TRUE(CheckKv(*found, static_cast<uint32_t>(last)).ok());
  }
}

}  // namespace
}  // namespace cairn::engine
