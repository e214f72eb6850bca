#include "services/server/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "services/server/token_file_reader.h"
#include "services/server/token_secret.h"
#include "tests/support/temp_dir.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kHeader(kTokenFileHeader);

// "sha256:" and a digest that only `n` has.
std::string Digest(int n) { return absl::StrFormat("sha256:%064x", n); }

absl::StatusOr<std::vector<TokenEntry>> ParseLines(const std::vector<std::string>& lines) {
  std::string text = kHeader;
  for (const std::string& line : lines) absl::StrAppend(&text, line, "\n");
  return ParseTokenFile(text);
}

TEST(TokenSecret, SecretsAreNewAndOfOneForm) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const auto secret = NewTokenSecret();
    ASSERT_TRUE(secret.ok()) << secret.status();
    EXPECT_TRUE(IsTokenSecret(*secret)) << *secret;
    EXPECT_EQ(secret->size(), 49u);
    EXPECT_TRUE(seen.insert(*secret).second);
  }
}

TEST(TokenSecret, OtherFormsAreNone) {
  const std::string good = "cairn_" + std::string(43, 'A');
  EXPECT_TRUE(IsTokenSecret(good));
  for (const std::string& bad :
       {std::string(), good + "A", good.substr(1), "Cairn_" + std::string(43, 'A'),
        "cairn_" + std::string(42, 'A') + "=", "cairn_" + std::string(42, 'A') + "+",
        "cairn_" + std::string(42, 'A') + '\0', std::string(49, 'A'), std::string(1 << 20, 'A')}) {
    EXPECT_FALSE(IsTokenSecret(bad)) << bad.substr(0, 60);
  }
}

TEST(TokenSecret, DigestsAreSha256) {
  const TokenDigest digest = *DigestOf("abc");
  EXPECT_EQ(absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()}),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(SameDigest(digest, *DigestOf("abc")));
  TokenDigest other = digest;
  other[31] ^= 1;
  EXPECT_FALSE(SameDigest(digest, other));
}

TEST(TokenFile, TheFormatPagesExampleParses) {
  std::ifstream page(std::string(CAIRN_SOURCE_DIR) + "/docs/formats/tokens.md");
  std::string text;
  for (std::string line; std::getline(page, line);) {
    if (text.empty() && line != "    cairn-tokens 1") continue;
    if (!line.starts_with("    ")) {
      if (!text.empty()) break;
      continue;
    }
    absl::StrAppend(&text, line.substr(4), "\n");
  }
  const auto tokens = ParseTokenFile(text);
  ASSERT_TRUE(tokens.ok()) << tokens.status() << text;
  ASSERT_EQ(tokens->size(), 2u);
  const TokenEntry& importer = (*tokens)[0];
  EXPECT_EQ(importer.identity.token, "importer");
  EXPECT_EQ(importer.identity.tenant, "acme");
  EXPECT_EQ(importer.digest, *DigestOf("cairn_" + std::string(43, 'A')));
  EXPECT_EQ(importer.last_day, std::nullopt);
  EXPECT_EQ(importer.line, 3u);
  EXPECT_EQ(FormatGrants(importer.identity.grants), "read=* write=docs,notes-*");
  EXPECT_TRUE(importer.identity.Allows(Permission::kWrite, "notes-1"));
  EXPECT_FALSE(importer.identity.AllowsAny(Permission::kAdmin));
  const TokenEntry& ops = (*tokens)[1];
  EXPECT_EQ(ops.identity.tenant, "");
  EXPECT_EQ(ops.digest, *DigestOf("cairn_" + std::string(42, 'B') + "A"));
  EXPECT_EQ(ops.last_day, absl::CivilDay(2027, 1, 31));
  EXPECT_TRUE(ops.identity.Allows(Permission::kAdmin, "docs"));
}

TEST(TokenFile, CommentsAndBlanksAreTakenAnywhere) {
  const auto tokens = ParseLines(
      {"", "  \t", "# a", "\t # ä \xff", "\ta  -\t" + Digest(1) + " never   admin=b,a  "});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  ASSERT_EQ(tokens->size(), 1u);
  EXPECT_EQ(FormatToken((*tokens)[0]), "a - " + Digest(1) + " never admin=a,b\n");
  EXPECT_THAT(*ParseTokenFile(kHeader), IsEmpty());
}

TEST(TokenFile, PermissionsOnOnePatternAreOneGrant) {
  const auto tokens = ParseLines({"a - " + Digest(1) + " never admin=x write=x,*,x read=",
                                  "b - " + Digest(2) + " never write="});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  const std::vector<Grant>& grants = (*tokens)[0].identity.grants;
  ASSERT_EQ(grants.size(), 2u);
  EXPECT_EQ(grants[0].collections, "*");
  EXPECT_EQ(grants[1].collections, "x");
  EXPECT_FALSE(grants[0].admin || grants[0].read || grants[1].read);
  EXPECT_TRUE(grants[0].write && grants[1].write && grants[1].admin);
  EXPECT_THAT((*tokens)[1].identity.grants, IsEmpty());
}

TEST(TokenFile, FaultsAreNamedByLineAndColumn) {
  const std::string d = Digest(1);
  struct Case {
    std::string line, place, reason;
  };
  for (const Case& c : std::vector<Case>{
           {"_a - " + d + " never read=*", "line 2, column 1: ", "token name"},
           {std::string(65, 'a') + " - " + d + " never read=*", "line 2, column 1: ", "at most 64"},
           {"a", "line 2, column 2: ", "expected a tenant"},
           {"a Acme " + d + " never read=*", "line 2, column 3: ", "bad tenant"},
           {"a -- " + d + " never read=*", "line 2, column 3: ", "bad tenant"},
           {"a -", "line 2, column 4: ", "sha256"},
           {"a - md5:00 never read=*", "line 2, column 5: ", "sha256"},
           {"a - " + d + "0 never read=*", "line 2, column 5: ", "64 lower-case"},
           {"a - sha256:" + std::string(64, 'A') + " never read=*", "line 2, column 5: ", "64"},
           {"a - sha256:" + std::string(63, '0') + "g never read=*", "line 2, column 5: ", "64"},
           {"a - " + d, "line 2, column 76: ", "never"},
           {"a - " + d + " Never read=*", "line 2, column 77: ", "YYYY-MM-DD"},
           {"a - " + d + " 2026-02-30 read=*", "line 2, column 77: ", "YYYY-MM-DD"},
           {"a - " + d + " never", "line 2, column 82: ", "\"read=\""},
           {"a - " + d + " never all=*", "line 2, column 83: ", "\"read=\""},
           {"a - " + d + " never read", "line 2, column 83: ", "\"read=\""},
           {"a - " + d + " never read=* # no", "line 2, column 90: ", "\"read=\""},
           {"a - " + d + " never read=* read=a", "line 2, column 90: ", "second \"read=\""},
           {"a - " + d + " never read=a,", "line 2, column 90: ", "bad pattern"},
           {"a - " + d + " never read=,", "line 2, column 88: ", "bad pattern"},
           {"a - " + d + " never read=a,*b", "line 2, column 90: ", "bad pattern"},
           {"a - " + d + " never read=a..b", "line 2, column 88: ", "bad pattern"},
           {"a - " + d + " never read=*\r", "line 2, column 89: ", "control character"},
           {std::string("# a\0b", 5), "line 2, column 4: ", "control character"},
           {"#" + std::string(kMaxTokenLineBytes, 'x'), "line 2, column 4097: ", "longer"},
           {"a - " + d + " never read=*\n\na b " + Digest(2) + " never read=*",
            "line 4, column 1: ", "name"},
           {"a - " + d + " never read=*\n b b " + d + " never read=*",
            "line 3, column 6: ", "secret"},
       }) {
    const absl::Status s = ParseLines({c.line}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(s)) << c.line;
    EXPECT_THAT(std::string(s.message()), StartsWith(c.place)) << c.line;
    EXPECT_THAT(std::string(s.message()), HasSubstr(c.reason)) << c.line;
  }
}

TEST(TokenFile, OtherVersionsAndOtherFilesAreRefused) {
  for (const std::string& text :
       std::vector<std::string>{"", "\n", "cairn-tokens 1", "cairn-tokens 2\n", "cairn-tokens 1 \n",
                                "cairn-tokens 1\r\n", "\xef\xbb\xbf" + kHeader, "\n" + kHeader,
                                "a - " + Digest(1) + " never read=*\n"}) {
    const absl::Status s = ParseTokenFile(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(s)) << text;
    EXPECT_THAT(std::string(s.message()), StartsWith("line 1, column 1: the first line")) << text;
  }
}

TEST(TokenFile, AFileThatWasCutWithinALineIsRefused) {
  const std::string text =
      kHeader + "a - " + Digest(1) + " never read=docs\n# b\nc - " + Digest(2) + " never read=x\n";
  for (size_t size = 0; size < text.size(); ++size) {
    const auto tokens = ParseTokenFile(text.substr(0, size));
    EXPECT_EQ(tokens.ok(), size > 0 && text[size - 1] == '\n') << size;
  }
}

TEST(TokenFile, LimitsHold) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < kMaxTokens; ++i) {
    lines.push_back(absl::StrCat("t", i, " - ", Digest(static_cast<int>(i)), " never read=*"));
  }
  EXPECT_EQ(ParseLines(lines)->size(), kMaxTokens);
  lines.push_back("more - " + Digest(999999) + " never read=*");
  EXPECT_THAT(std::string(ParseLines(lines).status().message()),
              StartsWith("line 4098, column 1: more than 4096"));
  std::string large = kHeader;
  while (large.size() <= kMaxTokenFileBytes) large += "# 345678901234567890123456789012\n";
  EXPECT_THAT(std::string(ParseTokenFile(large).status().message()), HasSubstr("larger than"));
}

TEST(TokenFile, NoMessageQuotesWhatMayBeASecret) {
  const std::string secret = "cairn_" + std::string(42, 'Z') + "=";
  const std::vector<std::string> fields = {"a", "-", Digest(1), "never", "read=*"};
  for (size_t i = 0; i < fields.size(); ++i) {
    std::vector<std::string> with = fields;
    with[i] = secret;
    const absl::Status s = ParseLines({absl::StrJoin(with, " ")}).status();
    EXPECT_FALSE(s.ok());
    EXPECT_THAT(std::string(s.message()), Not(HasSubstr("ZZZ"))) << i;
  }
}

TEST(TokenFile, TokensWorkThroughTheirLastDayInUtc) {
  TokenEntry token;
  EXPECT_FALSE(token.ExpiredAt(absl::InfiniteFuture()));
  token.last_day = absl::CivilDay(2026, 12, 31);
  const absl::Time end =
      absl::FromCivil(absl::CivilSecond(2027, 1, 1, 0, 0, 0), absl::UTCTimeZone());
  EXPECT_FALSE(token.ExpiredAt(end - absl::Nanoseconds(1)));
  EXPECT_TRUE(token.ExpiredAt(end));
  EXPECT_TRUE(token.ExpiredAt(absl::InfiniteFuture()));
}

TEST(TokenFile, DaysAreThoseOfTheCalendar) {
  for (const char* good : {"1970-01-01", "2024-02-29", "9999-12-31"}) {
    const auto day = ParseDay(good);
    ASSERT_TRUE(day.ok()) << good;
    EXPECT_EQ(absl::FormatCivilTime(*day), good);
  }
  for (const char* bad :
       {"", "2023-02-29", "2024-13-01", "2024-00-10", "2024-01-00", "1969-12-31", "24-01-01",
        "2024-1-1", "2024/01/01", "2024-01-01 ", "+024-01-01", "2024-01-0a", "20240-01-1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseDay(bad).status())) << bad;
  }
}

class TokenFileReader : public ::testing::Test {
 protected:
  std::string WriteWithMode(mode_t mode) const {
    const std::string path = dir_.Write("tokens", kHeader);
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
  ::cairn::testing::TempDir dir_;
};

TEST_F(TokenFileReader, ReadsTheWholeFile) {
  const std::string path = WriteWithMode(0640);
  const std::string text = kHeader + std::string(200000, '#') + "\n";
  std::ofstream(path) << text;
  const auto contents = ReadTokenFile(path);
  ASSERT_TRUE(contents.ok()) << contents.status();
  EXPECT_EQ(contents->text, text);
  EXPECT_EQ(contents->mode, 0640u);
  EXPECT_EQ(contents->owner, ::geteuid());
  EXPECT_EQ(contents->version, *VersionOfTokenFile(path));
}

TEST_F(TokenFileReader, WhatOthersMayWriteIsRefusedBehindALinkToo) {
  std::filesystem::create_symlink("tokens", dir_.file("link"));
  for (const mode_t mode : {0620, 0602, 0666, 0777}) {
    const std::string path = WriteWithMode(mode);
    for (const std::string& name : {path, dir_.file("link")}) {
      const absl::Status s = ReadTokenFile(name).status();
      EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
      EXPECT_THAT(std::string(s.message()), StartsWith(name + ": "));
      EXPECT_THAT(std::string(s.message()), HasSubstr("may write"));
    }
  }
  for (const mode_t mode : {0400, 0600, 0644, 0755}) {
    WriteWithMode(mode);
    EXPECT_TRUE(ReadTokenFile(dir_.file("link")).ok());
  }
}

TEST_F(TokenFileReader, WhatBelongsToSomebodyElseIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  const std::string path = WriteWithMode(0644);
  ASSERT_EQ(::chown(path.c_str(), 65534, 0), 0);
  const absl::Status s = ReadTokenFile(path).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr("belongs to user 65534"));
}

TEST_F(TokenFileReader, OnlyRegularFilesAreRead) {
  const std::string pipe = dir_.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {pipe, dir_.path(), std::string("/dev/zero")}) {
    const absl::Status s = ReadTokenFile(path).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
    EXPECT_THAT(std::string(s.message()), HasSubstr("no regular file"));
  }
}

TEST_F(TokenFileReader, LargeAndMissingFilesAreErrors) {
  const std::string path = WriteWithMode(0600);
  std::filesystem::resize_file(path, kMaxTokenFileBytes);
  EXPECT_TRUE(ReadTokenFile(path).ok());
  std::filesystem::resize_file(path, kMaxTokenFileBytes + 1);
  EXPECT_TRUE(absl::IsResourceExhausted(ReadTokenFile(path).status()));
  std::filesystem::resize_file(path, uintmax_t{1} << 40);
  EXPECT_TRUE(absl::IsResourceExhausted(ReadTokenFile(path).status()));
  for (const absl::Status& s : {ReadTokenFile(dir_.file("absent")).status(),
                                VersionOfTokenFile(dir_.file("absent")).status()}) {
    EXPECT_TRUE(absl::IsNotFound(s)) << s;
    EXPECT_THAT(std::string(s.message()), StartsWith(dir_.file("absent")));
  }
}

}  // namespace
}  // namespace cairn::services
