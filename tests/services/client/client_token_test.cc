#include "services/client/client_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "tests/support/temp_dir.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ClientTokenTest : public ::testing::Test {
 protected:
  std::string File(std::string_view text, mode_t mode = 0600) const {
    const std::string path = dir_.Write("token", text);
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
  const ::cairn::testing::TempDir dir_;
};

TEST_F(ClientTokenTest, ItIsTheFilesFirstLine) {
  EXPECT_EQ(*ReadClientToken(File("s3cr-et_~\n# a comment\n")), "s3cr-et_~");
  EXPECT_EQ(*ReadClientToken(File("s3cret \r\n")), "s3cret");
  EXPECT_EQ(*ReadClientToken(File("s3cret", 0400)), "s3cret");
}

TEST_F(ClientTokenTest, AFileThatOthersCanReadIsRefused) {
  for (const mode_t mode : {0640, 0604, 0660, 0666, 0620}) {
    const absl::Status s = ReadClientToken(File("s3cret\n", mode)).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(s)) << mode;
    EXPECT_THAT(std::string(s.message()), HasSubstr("chmod 600"));
  }
}

TEST_F(ClientTokenTest, WhatIsNoTokenIsRefusedAndNotQuoted) {
  for (const std::string& text :
       {std::string(), std::string("\ns3cret"), std::string("s3 cret\n"), std::string("s3c\x01ret"),
        std::string("s3crét"), std::string("s3c\0ret", 7), "s3cret" + std::string(5000, 'x'),
        std::string(2 << 20, 's')}) {
    const absl::Status s = ReadClientToken(File(text)).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
    EXPECT_THAT(std::string(s.message()), Not(HasSubstr("s3c")));
  }
}

TEST_F(ClientTokenTest, WhatIsNoFileIsRefusedAtOnce) {
  EXPECT_TRUE(absl::IsNotFound(ReadClientToken(dir_.file("none")).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadClientToken(dir_.path()).status()));
  const std::string fifo = dir_.file("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadClientToken(fifo).status()));
}

}  // namespace
}  // namespace cairn::services
