#include "services/wire/resource_names.h"

#include <gtest/gtest.h>

#include <cctype>
#include <cstring>
#include <string>

#include "tests/services/wire/random_structs.h"

namespace cairn::services {
namespace {

TEST(ResourceNamesTest, AnyDocumentIdComesBackFromItsName) {
  const size_t prefix = std::string("collections/a-B_9/documents/").size();
  RandomStructs random(5);
  for (int i = 0; i < 2000; ++i) {
    const std::string id = random.Bytes(1 + random.Below(random.Coin() ? 8 : 1024));
    const std::string name = DocumentName("a-B_9", id);
    for (const char c : name.substr(prefix)) {
      ASSERT_TRUE(std::isalnum(static_cast<unsigned char>(c)) || std::strchr("-._~%", c)) << name;
    }
    const auto path = ParseDocumentName("name", name);
    ASSERT_TRUE(path.ok()) << path.status();
    EXPECT_EQ(path->collection, "a-B_9");
    EXPECT_EQ(path->document, id);
  }
}

TEST(ResourceNamesTest, UnreservedCharactersStayAsTheyAre) {
  EXPECT_EQ(DocumentName("c", "aZ0-._~"), "collections/c/documents/aZ0-._~");
  EXPECT_EQ(DocumentName("c", "a/b c%"), "collections/c/documents/a%2Fb%20c%25");
}

TEST(ResourceNamesTest, EquivalentEscapesNameTheSameDocument) {
  EXPECT_EQ(ParseDocumentName("name", "collections/c/documents/%41%2f")->document, "A/");
}

TEST(ResourceNamesTest, AnIdIsOneToSixtyFourLettersDigitsDashesAndUnderscores) {
  EXPECT_TRUE(IsResourceId("aZ-_09"));
  EXPECT_TRUE(IsResourceId(std::string(64, 'a')));
  EXPECT_FALSE(IsResourceId(std::string(65, 'a')));
  for (const std::string bad : {"", ".", "..", "a.b", "a/b", "a b", "a%", "ä", "a\n"}) {
    EXPECT_FALSE(IsResourceId(bad)) << bad;
  }
  EXPECT_FALSE(IsResourceId(std::string("a\0", 2)));
}

TEST(ResourceNamesTest, CollectionsAndOperationsComeBackFromTheirNames) {
  EXPECT_EQ(*ParseCollectionName("parent", CollectionName("my-docs")), "my-docs");
  EXPECT_EQ(*ParseOperationName("name", OperationName("0123abcd")), "0123abcd");
}

TEST(ResourceNamesTest, NothingElseIsACollection) {
  for (const std::string bad :
       {"", "collections", "collections/", "/collections/a", "collections/..", "collections/.",
        "collections/a/", "collections/a/b", "collections/%2e", "collections/%2e%2e%2fetc",
        "collections//a", "collections/../a", "Collections/a", "collections\\a", "a",
        "collections/a/documents/b", "operations/a", " collections/a", "collections/a "}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCollectionName("parent", bad).status())) << bad;
  }
  const auto long_id = ParseCollectionName("parent", "collections/" + std::string(65, 'a'));
  EXPECT_TRUE(absl::IsInvalidArgument(long_id.status()));
  const auto nul = ParseCollectionName("parent", std::string("collections/a\0", 14));
  EXPECT_TRUE(absl::IsInvalidArgument(nul.status()));
}

TEST(ResourceNamesTest, NothingElseIsADocument) {
  const std::string documents = "collections/a/documents/";
  for (const std::string& bad :
       {std::string(), std::string("collections/a"), documents, documents + "a/b",
        documents + "..//", documents + "%", documents + "%4", documents + "%4g",
        documents + "%%41", documents + "a b", documents + "ä", documents + "a+b",
        std::string("collections/../documents/b"), std::string("collections//documents/b"),
        std::string("collections/%2e/documents/b"), std::string("collections/a/document/b"),
        std::string("collections/a/b/documents/c"), documents + std::string(1025, 'a')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseDocumentName("name", bad).status())) << bad;
  }
}

TEST(ResourceNamesTest, NothingElseIsAnOperation) {
  for (const std::string bad : {"", "operations/", "operations/..", "operations/a/b",
                                "operations/%61", "operation/a", "collections/a"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseOperationName("name", bad).status())) << bad;
  }
}

TEST(ResourceNamesTest, AFaultNamesTheField) {
  EXPECT_NE(ParseCollectionName("parent", "x").status().message().find("parent"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace cairn::services
