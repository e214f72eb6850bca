// The byte sources of chunking/readers/reader.h.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "chunking/readers/reader.h"
#include "tests/support/unprivileged.h"

namespace cairn::chunking {
namespace {

using ::testing::HasSubstr;

std::string ReadAll(ByteSource& source) {
  std::string all;
  char buffer[7];
  while (true) {
    const absl::StatusOr<size_t> n = source.Read(absl::MakeSpan(buffer));
    EXPECT_TRUE(n.ok()) << n.status();
    if (!n.ok() || *n == 0) return all;
    all.append(buffer, *n);
  }
}

class OpenFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/cairn-open-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  // Opening must fail, with the path and `reason` in the message.
  static void ExpectFailure(const std::string& path, const std::string& reason) {
    const auto source = OpenFile(path);
    ASSERT_FALSE(source.ok());
    EXPECT_THAT(std::string(source.status().message()), HasSubstr(path));
    EXPECT_THAT(std::string(source.status().message()), HasSubstr(reason));
  }

  std::string dir_;
};

TEST_F(OpenFileTest, ReadsARegularFile) {
  const std::string path = dir_ + "/file";
  std::ofstream(path, std::ios::binary) << "some bytes\nmore";
  const auto source = OpenFile(path);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(ReadAll(**source), "some bytes\nmore");
}

TEST_F(OpenFileTest, RefusesWhatIsNoRegularFileWithoutBlocking) {
  ASSERT_EQ(mkfifo((dir_ + "/fifo").c_str(), 0600), 0);
  ExpectFailure(dir_ + "/fifo", "is a FIFO");
  ExpectFailure(dir_, "is a directory");
  ExpectFailure("/dev/zero", "is a device");
  std::ofstream(dir_ + "/file") << "x";
  ASSERT_EQ(symlink("file", (dir_ + "/link").c_str()), 0);
  ExpectFailure(dir_ + "/link", "is a symbolic link");
}

TEST_F(OpenFileTest, RefusesASocket) {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_GE(fd, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = dir_ + "/socket";
  if (path.size() >= sizeof(address.sun_path)) GTEST_SKIP() << "temporary path too long";
  std::strcpy(address.sun_path, path.c_str());
  const int bound = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  close(fd);
  if (bound != 0) GTEST_SKIP() << "no Unix sockets here";
  ExpectFailure(path, "is a socket");
}

TEST_F(OpenFileTest, SaysThatAFileIsMissing) {
  EXPECT_EQ(OpenFile(dir_ + "/none").status().code(), absl::StatusCode::kNotFound);
  ExpectFailure(dir_ + "/none", "No such file");
  EXPECT_FALSE(OpenFile(std::string("a\0b", 3)).ok());
}

TEST_F(OpenFileTest, SaysThatPermissionIsMissing) {
  const std::string path = dir_ + "/secret";
  std::ofstream(path) << "x";
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  ASSERT_EQ(chmod(dir_.c_str(), 0755), 0);
  const cairn::testing::Unprivileged unprivileged;
  if (!unprivileged.ok()) GTEST_SKIP() << "root may read everything";
  ExpectFailure(path, "Permission denied");
}

TEST(StandardInputTest, ReadsDescriptorZeroAndLeavesItOpen) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "piped", 5), 5);
  close(ends[1]);
  const int saved = dup(STDIN_FILENO);
  ASSERT_EQ(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
  close(ends[0]);
  EXPECT_EQ(ReadAll(*StandardInput()), "piped");
  EXPECT_NE(fcntl(STDIN_FILENO, F_GETFD), -1);
  if (saved >= 0) {
    dup2(saved, STDIN_FILENO);
    close(saved);
  }
}

TEST(FromMemoryTest, GivesTheBytesInOrder) {
  const std::string bytes("a\0bcdefghijklmnop", 17);
  EXPECT_EQ(ReadAll(*FromMemory(bytes)), bytes);
  EXPECT_EQ(ReadAll(*FromMemory("")), "");
}

}  // namespace
}  // namespace cairn::chunking
