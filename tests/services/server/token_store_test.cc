#include "services/server/token_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/server/token_secret.h"
#include "tests/support/temp_dir.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

// A secret that everybody can tell.
std::string Secret(const std::string& name) {
  return absl::StrCat("cairn_", name, std::string(43 - name.size(), '_'));
}

std::string Line(const std::string& name, std::optional<absl::CivilDay> last_day = std::nullopt) {
  TokenEntry token;
  token.identity.tenant = "acme";
  token.identity.token = name;
  token.identity.grants = {{.collections = name, .read = true}};
  token.digest = *DigestOf(Secret(name));
  token.last_day = last_day;
  return FormatToken(token);
}

class TokenStoreTest : public ::testing::Test {
 protected:
  // A new file in the old one's place, as cairn token does it.
  void Replace(const std::string& text, mode_t mode = 0600) const {
    const std::string written = dir_.Write("tokens.new", text);
    ASSERT_EQ(::chmod(written.c_str(), mode), 0);
    std::filesystem::rename(written, path_);
  }
  void ReplaceTokens(const std::vector<std::string>& lines) const {
    std::string text(kTokenFileHeader);
    for (const std::string& line : lines) text += line;
    Replace(text);
  }
  absl::StatusOr<std::unique_ptr<TokenStore>> Open() {
    TokenStoreOptions options;
    options.now = [this] { return start_ + absl::Nanoseconds(passed_ns_.load()); };
    options.on_problem = [this](const absl::Status& s) { problems_.push_back(s); };
    return TokenStore::Open(path_, options);
  }
  void Pass(absl::Duration time) { passed_ns_ += absl::ToInt64Nanoseconds(time); }
  static bool Takes(const TokenStore& store, const std::string& name) {
    return store.Authenticate(Secret(name)).ok();
  }

  ::cairn::testing::TempDir dir_;
  const std::string path_ = dir_.file("tokens");
  const absl::Time start_ =
      absl::FromCivil(absl::CivilSecond(2026, 6, 15, 12, 0, 0), absl::UTCTimeZone());
  std::atomic<int64_t> passed_ns_ = 0;  // Since start_, on the store's clock.
  std::vector<absl::Status> problems_;
};

TEST_F(TokenStoreTest, SecretsLeadToTheirIdentities) {
  ReplaceTokens({Line("a"), Line("b"), Line("c")});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->size(), 3u);
  for (const char* name : {"a", "b", "c"}) {
    const auto identity = (*store)->Authenticate(Secret(name));
    ASSERT_TRUE(identity.ok()) << identity.status();
    EXPECT_EQ(identity->token, name);
    EXPECT_EQ(identity->tenant, "acme");
    EXPECT_TRUE(identity->Allows(Permission::kRead, name));
    EXPECT_FALSE(identity->Allows(Permission::kRead, "other"));
  }
}

TEST_F(TokenStoreTest, RefusalsDoNotTellWhy) {
  ReplaceTokens({Line("a"), Line("old", absl::CivilDay(2026, 6, 14))});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  const absl::Status unknown = (*store)->Authenticate(Secret("zzz")).status();
  EXPECT_TRUE(absl::IsUnauthenticated(unknown));
  EXPECT_THAT(std::string(unknown.message()), Not(HasSubstr("zzz")));
  for (const std::string& secret : std::vector<std::string>{
           "", "a", Secret("old"), Secret("a") + "_", Secret("a").substr(0, 48), " " + Secret("a"),
           "Bearer " + Secret("a"), std::string(49, '\0'), "\xff\xfe", std::string(1 << 24, 'x')}) {
    EXPECT_EQ((*store)->Authenticate(secret).status(), unknown) << secret.substr(0, 60);
  }
}

TEST_F(TokenStoreTest, ADigestOfWhatIsNoSecretByItsFormLetsNobodyIn) {
  for (const std::string& weak :
       {std::string("password"), std::string(), "cairn_" + std::string(43, '0')}) {
    TokenEntry token;
    token.identity.token = "weak";
    token.digest = *DigestOf(weak);
    ReplaceTokens({FormatToken(token)});
    const auto store = Open();
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_FALSE((*store)->Authenticate("password").ok());
    EXPECT_FALSE((*store)->Authenticate("").ok());
  }
}

TEST_F(TokenStoreTest, TokensStopAtTheEndOfTheirLastDay) {
  ReplaceTokens({Line("a", absl::CivilDay(2026, 6, 15))});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE(Takes(**store, "a"));
  Pass(absl::Hours(12) - absl::Nanoseconds(1));
  EXPECT_TRUE(Takes(**store, "a"));
  Pass(absl::Nanoseconds(1));
  EXPECT_FALSE(Takes(**store, "a"));
}

TEST_F(TokenStoreTest, ReloadTakesUpNewTokensAndDropsDeletedOnes) {
  ReplaceTokens({Line("a"), Line("b")});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  ReplaceTokens({Line("b"), Line("c")});
  EXPECT_TRUE(Takes(**store, "a"));
  ASSERT_TRUE((*store)->Reload().ok());
  EXPECT_FALSE(Takes(**store, "a"));
  EXPECT_TRUE(Takes(**store, "b"));
  EXPECT_TRUE(Takes(**store, "c"));
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(TokenStoreTest, AuthenticateLooksForAnotherFileOnceASecond) {
  ReplaceTokens({Line("a")});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  ReplaceTokens({Line("b")});
  Pass(absl::Milliseconds(999));
  EXPECT_TRUE(Takes(**store, "a"));
  Pass(absl::Milliseconds(1));
  EXPECT_FALSE(Takes(**store, "a"));
  EXPECT_TRUE(Takes(**store, "b"));
  ReplaceTokens({Line("c")});
  EXPECT_TRUE(Takes(**store, "b"));
  Pass(absl::Seconds(1));
  EXPECT_TRUE(Takes(**store, "c"));
}

TEST_F(TokenStoreTest, AClockThatIsSetBackDoesNotStopTheLooking) {
  ReplaceTokens({Line("a")});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  ReplaceTokens({Line("b")});
  Pass(-absl::Hours(24));
  EXPECT_TRUE(Takes(**store, "b"));
}

TEST_F(TokenStoreTest, ChangesInPlaceOfTheSameSizeAreSeen) {
  ReplaceTokens({Line("a")});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  // At once: within the tick of the file system's clock in which it was made.
  for (char letter = 'b'; letter <= 'z'; ++letter) {
    const std::string name(1, letter);
    std::ofstream(path_, std::ios::binary) << kTokenFileHeader << Line(name);
    Pass(absl::Seconds(1));
    EXPECT_TRUE(Takes(**store, name)) << name;
  }
  EXPECT_FALSE(Takes(**store, "a"));
}

TEST_F(TokenStoreTest, ABadFileIsToldOnceAndChangesNothing) {
  ReplaceTokens({Line("a")});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  Replace("cairn-tokens 1\n" + Secret("x") + "\n");
  for (int i = 0; i < 5; ++i) {
    Pass(absl::Seconds(1));
    EXPECT_TRUE(Takes(**store, "a"));
  }
  ASSERT_THAT(problems_, SizeIs(1));
  EXPECT_TRUE(absl::IsFailedPrecondition(problems_[0]));
  EXPECT_THAT(std::string(problems_[0].message()), StartsWith(path_ + ": line 2, column 50: "));
  EXPECT_THAT(std::string(problems_[0].message()), Not(HasSubstr(Secret("x"))));

  // Another fault is told too, and that nothing is wrong any more needs no telling.
  std::filesystem::remove(path_);
  for (int i = 0; i < 3; ++i) {
    Pass(absl::Seconds(1));
    EXPECT_TRUE(Takes(**store, "a"));
  }
  ASSERT_THAT(problems_, SizeIs(2));
  EXPECT_TRUE(absl::IsNotFound(problems_[1]));
  ReplaceTokens({Line("b")});
  Pass(absl::Seconds(1));
  EXPECT_TRUE(Takes(**store, "b"));
  EXPECT_FALSE(Takes(**store, "a"));
  EXPECT_THAT(problems_, SizeIs(2));

  std::filesystem::remove(path_);
  Pass(absl::Seconds(1));
  EXPECT_TRUE(Takes(**store, "b"));
  EXPECT_THAT(problems_, SizeIs(3));
}

TEST_F(TokenStoreTest, ReloadReturnsTheFaultAndTellsIt) {
  ReplaceTokens({Line("a")});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  Replace("nonsense");
  const absl::Status s = (*store)->Reload();
  EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
  ASSERT_THAT(problems_, SizeIs(1));
  EXPECT_EQ(problems_[0], s);
  EXPECT_TRUE(Takes(**store, "a"));
}

TEST_F(TokenStoreTest, AFileThatBecomesWritableForOthersIsNotTakenUp) {
  ReplaceTokens({Line("a")});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  std::ofstream(path_, std::ios::binary) << kTokenFileHeader << Line("intruder");
  Pass(absl::Seconds(1));
  EXPECT_FALSE(Takes(**store, "intruder"));
  EXPECT_TRUE(Takes(**store, "a"));
  ASSERT_THAT(problems_, SizeIs(1));
  EXPECT_THAT(std::string(problems_[0].message()), HasSubstr("may write"));
}

TEST_F(TokenStoreTest, OpenNamesWhatIsWrong) {
  EXPECT_TRUE(absl::IsNotFound(Open().status()));
  Replace("cairn-tokens 1\na\n");
  EXPECT_THAT(std::string(Open().status().message()), StartsWith(path_ + ": line 2, column 2: "));
  Replace(std::string(kTokenFileHeader), 0620);
  EXPECT_TRUE(absl::IsFailedPrecondition(Open().status()));
  Replace(std::string(kTokenFileHeader));
  const auto none = Open();
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE(Takes(**none, "a"));
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(TokenStoreTest, TokensThatStayAreTakenWhileTheFileChanges) {
  ReplaceTokens({Line("stays")});
  const auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!done) {
        EXPECT_TRUE(Takes(**store, "stays"));
        EXPECT_FALSE(Takes(**store, "never"));
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    ReplaceTokens({Line("other"), Line("stays")});
    Pass(absl::Seconds(1));
    ReplaceTokens({Line("stays"), Line("another")});
    if (i % 3 == 0) {
      EXPECT_TRUE((*store)->Reload().ok());
    }
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE((*store)->Reload().ok());
  EXPECT_TRUE(Takes(**store, "another"));
  EXPECT_FALSE(Takes(**store, "other"));
}

}  // namespace
}  // namespace cairn::services
