#include "chunking/readers/file_tree.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/unprivileged.h"

namespace cairn::chunking {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Walked {
  absl::Status status;
  std::vector<std::string> files;  // Below the root.
  std::vector<ReadIssue> issues;
  uint64_t bytes = 0;
};

Walked Walk(const std::string& root) {
  Walked walked;
  walked.status = WalkFiles(
      root,
      [&](const FoundFile& file) {
        walked.files.push_back(file.path.substr(std::min(root.size(), file.path.size())));
        walked.bytes += file.bytes;
        return absl::OkStatus();
      },
      [&](const ReadIssue& issue) {
        walked.issues.push_back(issue);
        return absl::OkStatus();
      });
  return walked;
}

class WalkFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/cairn-tree-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override {
    chmod((dir_ + "/closed").c_str(), 0700);  // Of the test that closes it.
    std::filesystem::remove_all(dir_);
  }

  void Put(const std::string& path, const std::string& content = "x") {
    const std::filesystem::path file = dir_ + "/" + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << content;
    ASSERT_TRUE(std::filesystem::exists(file));
  }

  std::string dir_;
};

TEST_F(WalkFilesTest, GivesFilesInByteOrderOfTheirPaths) {
  for (const char* path : {"b/z", "a/x", "a.txt", "a-b", "b/a/c", "\xC3\xA9", "B"}) Put(path, "12");
  const Walked walked = Walk(dir_);
  EXPECT_TRUE(walked.status.ok());
  EXPECT_THAT(walked.files,
              ElementsAre("/B", "/a-b", "/a.txt", "/a/x", "/b/a/c", "/b/z", "/\xC3\xA9"));
  EXPECT_THAT(walked.issues, IsEmpty());
  EXPECT_EQ(walked.bytes, 14u);
}

TEST_F(WalkFilesTest, RandomTreesComeInOrderAndWhole) {
  std::mt19937 random(7);
  std::vector<std::string> expected;
  for (int i = 0; i < 300; ++i) {
    std::string path;
    for (unsigned depth = random() % 4; depth > 0; --depth) {
      path += absl::StrCat("d", std::string(1, "!.0a~"[random() % 5]), "/");
    }
    path += absl::StrCat("f", random() % 1000);
    Put(path);
    expected.push_back("/" + path);
  }
  std::sort(expected.begin(), expected.end());
  expected.erase(std::unique(expected.begin(), expected.end()), expected.end());
  EXPECT_EQ(Walk(dir_).files, expected);
}

TEST_F(WalkFilesTest, PassesOverHiddenNamesAndLinks) {
  Put("seen");
  Put(".hidden");
  Put(".git/config");
  ASSERT_EQ(symlink("seen", (dir_ + "/link").c_str()), 0);
  ASSERT_EQ(symlink("..", (dir_ + "/loop").c_str()), 0);
  ASSERT_EQ(symlink("nowhere", (dir_ + "/dangling").c_str()), 0);
  const Walked walked = Walk(dir_);
  EXPECT_THAT(walked.files, ElementsAre("/seen"));
  EXPECT_THAT(walked.issues, IsEmpty());
}

TEST_F(WalkFilesTest, TheRootMayBeAFileOrALink) {
  Put("file", "123");
  Put("folder/inside");
  EXPECT_THAT(Walk(dir_ + "/file").files, ElementsAre(""));
  EXPECT_EQ(Walk(dir_ + "/file").bytes, 3u);
  ASSERT_EQ(symlink("folder", (dir_ + "/to_folder").c_str()), 0);
  EXPECT_THAT(Walk(dir_ + "/to_folder").files, ElementsAre("/inside"));
  ASSERT_EQ(symlink("file", (dir_ + "/to_file").c_str()), 0);
  std::string opened;
  ASSERT_TRUE(WalkFiles(
                  dir_ + "/to_file",
                  [&](const FoundFile& file) {
                    opened = file.path;
                    return OpenFile(file.path).status();
                  },
                  [](const ReadIssue&) { return absl::InternalError("no issue expected"); })
                  .ok());
  EXPECT_EQ(std::filesystem::path(opened).filename(), "file");
}

TEST_F(WalkFilesTest, SlashesBehindTheRootDoNotPileUp) {
  Put("f");
  Walked walked = Walk(dir_ + "//");
  ASSERT_EQ(walked.files.size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/f"));
  std::string path;
  ASSERT_TRUE(WalkFiles(
                  dir_ + "//",
                  [&](const FoundFile& file) {
                    path = file.path;
                    return absl::OkStatus();
                  },
                  [](const ReadIssue&) { return absl::OkStatus(); })
                  .ok());
  EXPECT_EQ(path, dir_ + "/f");
}

TEST_F(WalkFilesTest, SpecialFilesAreIssues) {
  Put("a");
  ASSERT_EQ(mkfifo((dir_ + "/fifo").c_str(), 0600), 0);
  Put("z");
  const Walked walked = Walk(dir_);
  EXPECT_THAT(walked.files, ElementsAre("/a", "/z"));
  ASSERT_EQ(walked.issues.size(), 1u);
  EXPECT_EQ(walked.issues[0].source, dir_ + "/fifo");
  EXPECT_THAT(walked.issues[0].reason, HasSubstr("FIFO"));
  for (const std::string& root : {dir_ + "/fifo", std::string("/dev/zero")}) {
    const Walked special = Walk(root);
    EXPECT_TRUE(special.status.ok());
    EXPECT_THAT(special.files, IsEmpty());
    ASSERT_EQ(special.issues.size(), 1u);
  }
}

TEST_F(WalkFilesTest, NamesThatAreNotUtf8AreIssues) {
  Put("good");
  const int fd = open((dir_ + "/bad\xFF").c_str(), O_CREAT | O_WRONLY, 0600);
  if (fd < 0) GTEST_SKIP() << "this file system refuses such names";
  close(fd);
  const Walked walked = Walk(dir_);
  EXPECT_THAT(walked.files, ElementsAre("/good"));
  ASSERT_EQ(walked.issues.size(), 1u);
  EXPECT_THAT(walked.issues[0].reason, HasSubstr("not valid UTF-8"));
  EXPECT_THAT(walked.issues[0].source, HasSubstr("\\xff"));
}

TEST_F(WalkFilesTest, FoldersAndFilesWithoutPermissionAreIssues) {
  Put("closed/inside");
  Put("open/inside");
  Put("secret");
  ASSERT_EQ(chmod((dir_ + "/closed").c_str(), 0), 0);
  ASSERT_EQ(chmod((dir_ + "/secret").c_str(), 0), 0);
  ASSERT_EQ(chmod(dir_.c_str(), 0755), 0);
  const cairn::testing::Unprivileged unprivileged;
  if (!unprivileged.ok()) GTEST_SKIP() << "root may read everything";
  const Walked walked = Walk(dir_);
  EXPECT_THAT(walked.files, ElementsAre("/open/inside"));
  ASSERT_EQ(walked.issues.size(), 2u);
  EXPECT_THAT(walked.issues[0].reason, HasSubstr("Permission denied"));
  EXPECT_EQ(walked.issues[1].source, dir_ + "/secret");
}

TEST_F(WalkFilesTest, AMissingRootIsNotFound) {
  EXPECT_EQ(Walk(dir_ + "/none").status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Walk(dir_ + "/none").status.message()), HasSubstr(dir_ + "/none"));
  ASSERT_EQ(symlink("nowhere", (dir_ + "/dangling").c_str()), 0);
  EXPECT_EQ(Walk(dir_ + "/dangling").status.code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(Walk("").status.ok());
}

TEST_F(WalkFilesTest, CallbacksStopTheWalk) {
  Put("a");
  Put("b");
  int calls = 0;
  const absl::Status status = WalkFiles(
      dir_,
      [&](const FoundFile&) {
        ++calls;
        return absl::AbortedError("enough");
      },
      [](const ReadIssue&) { return absl::OkStatus(); });
  EXPECT_EQ(status, absl::AbortedError("enough"));
  EXPECT_EQ(calls, 1);
}

TEST_F(WalkFilesTest, DeepTreesNeedFewDescriptorsAndEndInAnIssue) {
  // Made with relative paths: it goes beyond what one path can name.
  const int start = open(".", O_RDONLY | O_DIRECTORY);
  ASSERT_GE(start, 0);
  ASSERT_EQ(chdir(dir_.c_str()), 0);
  for (int i = 0; i < 1500; ++i) {
    ASSERT_EQ(mkdir("dd", 0700), 0);
    ASSERT_EQ(chdir("dd"), 0);
  }
  ASSERT_EQ(fchdir(start), 0);
  close(start);
  Put("file");
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = std::min<rlim_t>(before.rlim_max, 32);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const Walked walked = Walk(dir_);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_THAT(walked.files, ElementsAre("/file"));
  ASSERT_EQ(walked.issues.size(), 1u);
  EXPECT_THAT(walked.issues[0].reason, HasSubstr("too long"));
}

}  // namespace
}  // namespace cairn::chunking
