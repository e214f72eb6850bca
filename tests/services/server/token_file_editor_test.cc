#include "services/server/token_file_editor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/server/token_file_reader.h"
#include "services/server/token_secret.h"
#include "tests/support/temp_dir.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TokenEntry Token(const std::string& name) {
  TokenEntry token;
  token.identity.token = name;
  token.identity.grants = {{.collections = "*", .read = true}};
  token.digest = *DigestOf(name);
  return token;
}

class TokenFileEditorTest : public ::testing::Test {
 protected:
  std::string Text() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  absl::Status Add(const TokenEntry& token) const {
    auto editor = TokenFileEditor::Open(path_, true);
    if (!editor.ok()) return editor.status();
    if (absl::Status s = (*editor)->Add(token); !s.ok()) return s;
    return (*editor)->Commit();
  }
  // Files in the folder.
  size_t Files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(dir_.path()),
                                             std::filesystem::directory_iterator()));
  }
  ::cairn::testing::TempDir dir_;
  const std::string path_ = dir_.file("tokens");
};

TEST_F(TokenFileEditorTest, ANewFileIsTheOwnersAlone) {
  ASSERT_TRUE(Add(Token("a")).ok());
  EXPECT_EQ(Text(), absl::StrCat(kTokenFileHeader, FormatToken(Token("a"))));
  struct stat info;
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(Files(), 1u);
}

TEST_F(TokenFileEditorTest, OtherLinesStayAsTheyAre) {
  const std::string before = absl::StrCat(kTokenFileHeader, "# first\n\n  b  -\t",
                                          FormatToken(Token("b")).substr(4), "# last\n");
  dir_.Write("tokens", before);
  ASSERT_TRUE(Add(Token("a")).ok());
  EXPECT_EQ(Text(), before + FormatToken(Token("a")));
  auto editor = TokenFileEditor::Open(path_, false);
  ASSERT_TRUE(editor.ok()) << editor.status();
  ASSERT_TRUE((*editor)->Remove("a").ok());
  ASSERT_TRUE((*editor)->Commit().ok());
  EXPECT_EQ(Text(), before);
}

TEST_F(TokenFileEditorTest, RemovingTakesTheNamedTokenOnly) {
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(Add(Token(name)).ok());
  auto editor = TokenFileEditor::Open(path_, false);
  ASSERT_TRUE(editor.ok()) << editor.status();
  EXPECT_TRUE(absl::IsNotFound((*editor)->Remove("B")));
  EXPECT_TRUE((*editor)->Remove("b").ok());
  EXPECT_TRUE(absl::IsNotFound((*editor)->Remove("b")));
  ASSERT_EQ((*editor)->tokens().size(), 2u);
  ASSERT_TRUE((*editor)->Commit().ok());
  EXPECT_EQ(Text(),
            absl::StrCat(kTokenFileHeader, FormatToken(Token("a")), FormatToken(Token("c"))));
}

TEST_F(TokenFileEditorTest, WhatTheFormatDoesNotTakeIsNotAdded) {
  ASSERT_TRUE(Add(Token("a")).ok());
  const std::string before = Text();
  EXPECT_TRUE(absl::IsAlreadyExists(Add(Token("a"))));
  TokenEntry same_secret = Token("b");
  same_secret.digest = Token("a").digest;
  EXPECT_TRUE(absl::IsInvalidArgument(Add(same_secret)));
  EXPECT_TRUE(absl::IsInvalidArgument(Add(Token("two words"))));
  EXPECT_TRUE(absl::IsInvalidArgument(Add(Token("b - sha256:00\nc"))));
  TokenEntry long_line = Token("b");
  long_line.identity.grants.assign(3000, {.collections = "x", .write = true});
  EXPECT_TRUE(absl::IsInvalidArgument(Add(long_line)));
  EXPECT_EQ(Text(), before);
  EXPECT_EQ(Files(), 1u);
}

TEST_F(TokenFileEditorTest, WithoutCommitNothingChanges) {
  ASSERT_TRUE(Add(Token("a")).ok());
  const std::string before = Text();
  {
    auto editor = TokenFileEditor::Open(path_, false);
    ASSERT_TRUE(editor.ok()) << editor.status();
    ASSERT_TRUE((*editor)->Add(Token("b")).ok());
    EXPECT_EQ(Text(), before);
  }
  EXPECT_EQ(Text(), before);
  EXPECT_EQ(Files(), 1u);
}

TEST_F(TokenFileEditorTest, AVersionKeepsTheModeOfTheOneBefore) {
  ASSERT_TRUE(Add(Token("a")).ok());
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  ASSERT_TRUE(Add(Token("b")).ok());
  EXPECT_EQ(ReadTokenFile(path_)->mode, 0644u);
}

TEST_F(TokenFileEditorTest, AVersionKeepsTheOwnerOfTheOneBefore) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  ASSERT_TRUE(Add(Token("a")).ok());
  ASSERT_EQ(::chown(path_.c_str(), 0, 65534), 0);
  ASSERT_TRUE(Add(Token("b")).ok());
  EXPECT_EQ(ReadTokenFile(path_)->group, 65534u);
}

TEST_F(TokenFileEditorTest, ALinksTargetIsReplacedNotTheLink) {
  std::filesystem::create_directory(dir_.file("real"));
  const std::string target = dir_.Write("real/tokens", kTokenFileHeader);
  std::filesystem::create_symlink("real/tokens", path_);
  ASSERT_TRUE(Add(Token("a")).ok());
  EXPECT_TRUE(std::filesystem::is_symlink(path_));
  EXPECT_EQ(ReadTokenFile(target)->text, absl::StrCat(kTokenFileHeader, FormatToken(Token("a"))));
}

TEST_F(TokenFileEditorTest, FilesThatCannotBeTrustedOrReadAreLeftAlone) {
  EXPECT_TRUE(absl::IsNotFound(TokenFileEditor::Open(path_, false).status()));
  EXPECT_TRUE(absl::IsNotFound(TokenFileEditor::Open(dir_.file("no/tokens"), true).status()));
  std::filesystem::create_symlink("nowhere", dir_.file("dangling"));
  EXPECT_TRUE(absl::IsNotFound(TokenFileEditor::Open(dir_.file("dangling"), true).status()));
  EXPECT_FALSE(TokenFileEditor::Open(dir_.path(), true).ok());
  EXPECT_FALSE(TokenFileEditor::Open(dir_.path() + "/", true).ok());
  EXPECT_FALSE(TokenFileEditor::Open("", true).ok());
  EXPECT_EQ(Files(), 1u);

  dir_.Write("tokens", "cairn-tokens 1\nnonsense\n");
  const absl::Status bad = TokenFileEditor::Open(path_, true).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(bad)) << bad;
  EXPECT_THAT(std::string(bad.message()), HasSubstr("tokens: line 2, column 9: "));
  EXPECT_EQ(Text(), "cairn-tokens 1\nnonsense\n");

  dir_.Write("tokens", kTokenFileHeader);
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Add(Token("a"))));
  EXPECT_EQ(Text(), kTokenFileHeader);
}

TEST_F(TokenFileEditorTest, WhatAKilledEditorLeftIsWrittenOver) {
  dir_.Write("tokens.new", std::string(5000, 'x'));
  ASSERT_TRUE(Add(Token("a")).ok());
  EXPECT_EQ(Text(), absl::StrCat(kTokenFileHeader, FormatToken(Token("a"))));
  EXPECT_EQ(Files(), 1u);
}

TEST_F(TokenFileEditorTest, OtherThingsInTheNewVersionsPlaceAreNotWrittenInto) {
  const std::string precious = dir_.Write("precious", "precious");
  const std::string in_the_way = path_ + ".new";
  std::filesystem::create_symlink(precious, in_the_way);
  EXPECT_FALSE(Add(Token("a")).ok());
  std::filesystem::remove(in_the_way);
  std::filesystem::create_hard_link(precious, in_the_way);
  EXPECT_TRUE(absl::IsFailedPrecondition(Add(Token("a"))));
  std::filesystem::remove(in_the_way);
  ASSERT_EQ(::mkfifo(in_the_way.c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Add(Token("a"))));
  EXPECT_TRUE(std::filesystem::is_fifo(in_the_way));
  std::ifstream in(precious);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "precious");
}

TEST_F(TokenFileEditorTest, EditorsWaitForEachOtherAndLoseNothing) {
  constexpr int kThreads = 4, kEach = 10;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const absl::Status s = Add(Token(absl::StrCat("t", t, "-", i)));
        EXPECT_TRUE(s.ok()) << s;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto editor = TokenFileEditor::Open(path_, false);
  ASSERT_TRUE(editor.ok()) << editor.status();
  EXPECT_EQ((*editor)->tokens().size(), size_t{kThreads * kEach});
}

}  // namespace
}  // namespace cairn::services
