#include "services/server/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;

constexpr Permission kPermissions[] = {Permission::kRead, Permission::kWrite, Permission::kAdmin};

TEST(Access, PermissionsHoldForTheCollectionsOfTheirPatterns) {
  Identity identity;
  identity.grants = {{.collections = "docs", .read = true},
                     {.collections = "notes-*", .read = true, .write = true}};
  EXPECT_TRUE(identity.Allows(Permission::kRead, "docs"));
  EXPECT_FALSE(identity.Allows(Permission::kRead, "docs2"));
  EXPECT_FALSE(identity.Allows(Permission::kRead, "doc"));
  EXPECT_FALSE(identity.Allows(Permission::kRead, ""));
  EXPECT_FALSE(identity.Allows(Permission::kRead, "DOCS"));
  EXPECT_FALSE(identity.Allows(Permission::kWrite, "docs"));
  EXPECT_TRUE(identity.Allows(Permission::kWrite, "notes-"));
  EXPECT_TRUE(identity.Allows(Permission::kWrite, "notes-2026"));
  EXPECT_FALSE(identity.Allows(Permission::kWrite, "notes"));
  EXPECT_FALSE(identity.Allows(Permission::kWrite, "my-notes-2026"));
  EXPECT_FALSE(identity.Allows(Permission::kAdmin, "notes-2026"));
}

TEST(Access, NoPermissionIncludesAnother) {
  for (const Permission granted : kPermissions) {
    Identity identity;
    identity.grants = {{.collections = "*",
                        .read = granted == Permission::kRead,
                        .write = granted == Permission::kWrite,
                        .admin = granted == Permission::kAdmin}};
    for (const Permission asked : kPermissions) {
      EXPECT_EQ(identity.Allows(asked, "any"), asked == granted);
      EXPECT_EQ(identity.AllowsAny(asked), asked == granted);
    }
  }
}

TEST(Access, NothingIsAllowedWithoutAGrantOrByAnEmptyPattern) {
  Identity identity;
  for (int i = 0; i < 2; ++i) {
    for (const Permission asked : kPermissions) {
      EXPECT_FALSE(identity.Allows(asked, "any"));
      EXPECT_FALSE(identity.Allows(asked, ""));
      EXPECT_FALSE(identity.AllowsAny(asked));
    }
    identity.grants = {{.collections = "", .read = true, .write = true, .admin = true}};
  }
}

TEST(Access, TenantsAreLowerCaseNames) {
  for (const char* good : {"a", "0", "acme", "a-b", "9-", "0123456789abcdef0123456789abcdef"}) {
    EXPECT_TRUE(CheckTenant(good).ok()) << good;
  }
  for (const char* bad : {"", "-", "-a", "A", "a.b", "a..b", "a_b", "a b", "ä", "a/b", "a\n",
                          "0123456789abcdef0123456789abcdef0"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckTenant(bad))) << bad;
  }
}

TEST(Access, PatternsAreIdsPrefixesAndTheStar) {
  for (const char* good : {"a", "*", "a*", "a.b_c-D*", "a.*", "_", "-*"}) {
    EXPECT_TRUE(CheckCollectionPattern(good).ok()) << good;
  }
  for (const char* bad :
       {"", "**", "*a", "a*b", "a**", ".", ".a", ".*", "a..b", "a..*", "a b", "a,b", "a=b", "ä"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckCollectionPattern(bad))) << bad;
  }
}

TEST(Access, TheDefaultTenantsCollectionsAreCalledByTheirIds) {
  EXPECT_EQ(*StoredCollectionName("", "docs"), "docs");
  EXPECT_EQ(*StoredCollectionName("", "a.b."), "a.b.");
  EXPECT_EQ(CollectionIdOf("", "docs"), "docs");
  EXPECT_EQ(StoredCollectionPrefix(""), "");
  const std::string longest(128, 'x');
  EXPECT_EQ(*StoredCollectionName("", longest), longest);
  EXPECT_TRUE(absl::IsInvalidArgument(StoredCollectionName("", longest + "x").status()));
}

TEST(Access, ATenantsCollectionsStandBehindItsName) {
  EXPECT_EQ(*StoredCollectionName("acme", "docs"), "acme..docs");
  EXPECT_EQ(CollectionIdOf("acme", "acme..docs"), "docs");
  EXPECT_EQ(StoredCollectionPrefix("acme"), "acme..");
  EXPECT_EQ(StoredCollectionName("acme", std::string(122, 'x'))->size(), 128u);
  const absl::Status too_long = StoredCollectionName("acme", std::string(123, 'x')).status();
  EXPECT_TRUE(absl::IsInvalidArgument(too_long));
  EXPECT_THAT(std::string(too_long.message()), HasSubstr("at most 122 bytes"));
}

TEST(Access, TheDefaultTenantReachesNoTenantsCollection) {
  EXPECT_TRUE(absl::IsInvalidArgument(StoredCollectionName("", "acme..docs").status()));
  EXPECT_EQ(CollectionIdOf("", "acme..docs"), std::nullopt);
  EXPECT_EQ(CollectionIdOf("acme", "docs"), std::nullopt);
  EXPECT_EQ(CollectionIdOf("acme", "acme2..docs"), std::nullopt);
  EXPECT_EQ(CollectionIdOf("acme", "acme.docs"), std::nullopt);
}

TEST(Access, BadIdsAndTenantsHaveNoStoredName) {
  for (const std::string& id : std::vector<std::string>{
           "", ".", "..", ".a", "a..", "a...b", "a b", "a/b", "ä", "a\n", "*", std::string(1, '\0'),
           std::string("a\0b", 3), std::string(1 << 20, 'a')}) {
    for (const char* tenant : {"", "acme"}) {
      EXPECT_TRUE(absl::IsInvalidArgument(StoredCollectionName(tenant, id).status()))
          << id.substr(0, 10);
    }
  }
  for (const char* tenant : {"-", "A", "a.", "a..b", " "}) {
    EXPECT_TRUE(absl::IsInvalidArgument(StoredCollectionName(tenant, "docs").status())) << tenant;
    EXPECT_EQ(CollectionIdOf(tenant, std::string(tenant) + "..docs"), std::nullopt) << tenant;
  }
}

// All strings of the letters of `alphabet` with at most `longest` of them.
std::vector<std::string> AllStrings(std::string_view alphabet, size_t longest) {
  std::vector<std::string> all = {""};
  size_t begin = 0;
  for (size_t size = 1; size <= longest; ++size) {
    const size_t end = all.size();
    for (; begin < end; ++begin) {
      for (const char c : alphabet) all.push_back(all[begin] + c);
    }
  }
  return all;
}

// As the store has it (index/store.h).
bool StoreTakes(std::string_view name) {
  if (name.empty() || name.size() > 128 || name[0] == '.') return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') {
      return false;
    }
  }
  return true;
}

TEST(Access, NoTwoTenantsMeanTheSameCollection) {
  const std::vector<std::string> tenants = AllStrings("ab-.", 3);
  std::map<std::string, std::pair<std::string, std::string>> meant;
  for (const std::string& tenant : tenants) {
    for (const std::string& id : AllStrings("a-.*", 5)) {
      const auto stored = StoredCollectionName(tenant, id);
      if (!stored.ok()) continue;
      EXPECT_TRUE(StoreTakes(*stored)) << *stored;
      EXPECT_TRUE(stored->starts_with(StoredCollectionPrefix(tenant)));
      const auto [at, is_new] = meant.emplace(*stored, std::pair(tenant, id));
      EXPECT_TRUE(is_new) << *stored << " is " << tenant << "'s and " << at->second.first << "'s";
    }
  }
  EXPECT_GT(meant.size(), 1000u);
  for (const auto& [stored, whose] : meant) {
    for (const std::string& tenant : tenants) {
      const auto id = CollectionIdOf(tenant, stored);
      if (tenant == whose.first) {
        EXPECT_EQ(id, whose.second) << stored;
      } else {
        EXPECT_EQ(id, std::nullopt) << stored << " for " << tenant;
      }
    }
  }
}

TEST(Access, EveryNameOfTheStoreHasAtMostOneTenantWhoseIdLeadsBackToIt) {
  const std::vector<std::string> tenants = AllStrings("ab-", 3);
  for (const std::string& stored : AllStrings("ab.-", 7)) {
    int owners = 0;
    for (const std::string& tenant : tenants) {
      const auto id = CollectionIdOf(tenant, stored);
      if (!id.has_value()) continue;
      ++owners;
      ASSERT_EQ(*StoredCollectionName(tenant, *id), stored);
    }
    ASSERT_LE(owners, 1) << stored;
  }
}

}  // namespace
}  // namespace cairn::services
