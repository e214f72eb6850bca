#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/services/server/test_calls.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kUuid[] = "123e4567-e89b-42d3-a456-426614174000";
constexpr char kUuidInCapitals[] = "123E4567-E89B-42D3-A456-426614174000";

class CollectionsServiceTest : public ServerTest {
 protected:
  void SetUp() override { StartAndOpen(); }

  static v1::UpdateCollectionRequest Update(const std::string& description,
                                            const std::vector<std::string>& mask) {
    v1::UpdateCollectionRequest request;
    request.mutable_collection()->set_name("collections/docs");
    request.mutable_collection()->set_description(description);
    for (const std::string& path : mask) request.mutable_update_mask()->add_paths(path);
    return request;
  }
  grpc::Status Send(const v1::UpdateCollectionRequest& request, v1::Collection* updated) const {
    const TestClient client = Connect();
    return client.collections->UpdateCollection(client.Context().get(), request, updated);
  }
  // "docs", with a description and a label.
  void MakeDescribed() const {
    v1::Collection wanted;
    wanted.set_description("old");
    (*wanted.mutable_labels())["team"] = "search";
    ASSERT_TRUE(IsOk(CreateCollection(Connect(), "docs", nullptr, wanted)));
  }
};

TEST_F(CollectionsServiceTest, ACollectionHasTheSettingsItWasMadeWith) {
  const TestClient client = Connect();
  v1::Collection wanted;
  wanted.set_name("collections/ignored");
  wanted.set_description("Of the tests.");
  (*wanted.mutable_labels())["team"] = "search";
  v1::CollectionSettings& settings = *wanted.mutable_settings();
  settings.set_chunker(v1::CHUNKER_FIXED);
  settings.set_chunk_tokens(64);
  settings.set_overlap_tokens(8);
  settings.set_analyzer("unicode");
  settings.set_vector_index(v1::VECTOR_INDEX_FLAT);
  settings.set_vector_encoding(v1::VECTOR_ENCODING_FLOAT32);
  v1::Collection made, found;
  ASSERT_TRUE(IsOk(CreateCollection(client, "docs", &made, wanted)));
  ASSERT_TRUE(IsOk(GetCollection(client, "docs", &found)));
  for (const v1::Collection& c : {made, found}) {
    EXPECT_EQ(c.name(), "collections/docs");
    EXPECT_EQ(c.description(), "Of the tests.");
    EXPECT_EQ(c.labels().at("team"), "search");
    EXPECT_EQ(c.settings().SerializeAsString(), settings.SerializeAsString());
    EXPECT_GT(c.dimensions(), 0u);
    EXPECT_NE(c.embedder_fingerprint(), "");
    EXPECT_GT(c.create_time().seconds(), 0);
    EXPECT_EQ(c.create_time().seconds(), made.create_time().seconds());
    EXPECT_TRUE(c.has_statistics());
    EXPECT_EQ(c.statistics().documents(), 0u);
  }
}

TEST_F(CollectionsServiceTest, WhatIsNotSetHasItsDefault) {
  v1::Collection made;
  ASSERT_TRUE(IsOk(CreateCollection(Connect(), "docs", &made)));
  EXPECT_EQ(made.settings().chunker(), v1::CHUNKER_STRUCTURE);
  EXPECT_EQ(made.settings().chunk_tokens(), 512u);
  EXPECT_EQ(made.settings().overlap_tokens(), 0u);
  EXPECT_EQ(made.settings().analyzer(), "english");
  EXPECT_EQ(made.settings().vector_index(), v1::VECTOR_INDEX_HNSW);
  EXPECT_EQ(made.settings().vector_encoding(), v1::VECTOR_ENCODING_INT8);
}

TEST_F(CollectionsServiceTest, AMistakeMakesNoCollection) {
  const TestClient client = Connect();
  std::vector<v1::Collection> mistakes(10);
  mistakes[0].mutable_settings()->set_chunk_tokens(7);
  mistakes[1].mutable_settings()->set_chunk_tokens(65537);
  mistakes[2].mutable_settings()->set_overlap_tokens(3);  // Of the structure chunker.
  mistakes[3].mutable_settings()->set_analyzer("klingon");
  mistakes[4].mutable_settings()->set_chunker(static_cast<v1::Chunker>(77));
  mistakes[5].set_description(std::string(4097, 'x'));
  (*mistakes[6].mutable_labels())["Capital"] = "x";
  (*mistakes[7].mutable_labels())["long"] = std::string(256, 'x');
  for (int i = 0; i < 65; ++i) (*mistakes[8].mutable_labels())["l" + std::to_string(i)] = "x";
  mistakes[9].set_description(std::string("a\0b", 3));
  for (size_t i = 0; i < mistakes.size(); ++i) {
    EXPECT_EQ(CreateCollection(client, "docs", nullptr, mistakes[i]).error_code(),
              StatusCode::INVALID_ARGUMENT)
        << i;
  }
  EXPECT_TRUE(IsBadField(CreateCollection(client, "docs", nullptr, mistakes[0]),
                         "collection.settings.chunk_tokens"));
  EXPECT_TRUE(IsBadField(CreateCollection(client, "docs", nullptr, mistakes[4]),
                         "collection.settings.chunker"));
  for (const std::string& id :
       {std::string(), std::string("a/b"), std::string(".."), std::string("a.b"),
        std::string("\xC3\xBC"), std::string("a b"), std::string("../x"), std::string(65, 'a')}) {
    EXPECT_TRUE(IsBadField(CreateCollection(client, id), "collection_id")) << id;
  }
  EXPECT_THAT(CollectionNames(client), IsEmpty());
  EXPECT_TRUE(IsOk(CreateCollection(client, std::string(64, 'a'))));
}

TEST_F(CollectionsServiceTest, ANameIsTakenOnce) {
  const TestClient client = Connect();
  ASSERT_TRUE(IsOk(CreateCollection(client, "docs")));
  const grpc::Status s = CreateCollection(client, "docs");
  EXPECT_TRUE(IsError(s, StatusCode::ALREADY_EXISTS, "COLLECTION_EXISTS"));
  EXPECT_EQ(s.error_message(), "collections/docs exists already");
}

TEST_F(CollectionsServiceTest, WhatIsNotThereIsNotFoundWhateverIsDoneWithIt) {
  const TestClient client = Connect();
  Operation operation;
  v1::Collection updated;
  for (const grpc::Status& s : {GetCollection(client, "docs"), Send(Update("x", {}), &updated),
                                DeleteCollection(client, "docs", true, &operation)}) {
    EXPECT_TRUE(IsError(s, StatusCode::NOT_FOUND, "COLLECTION_NOT_FOUND"));
    EXPECT_EQ(s.error_message(), "collections/docs does not exist");
  }
}

TEST_F(CollectionsServiceTest, WhatIsNoNameOfACollectionIsABadField) {
  const TestClient client = Connect();
  v1::GetCollectionRequest request;
  v1::Collection found;
  for (const char* name : {"", "docs", "collections", "collections/", "collections/a/b",
                           "collections/../x", "collections/a%2Fb", "collections/acme..docs",
                           "/collections/a", "collections/a/documents/b", "Collections/a"}) {
    request.set_name(name);
    EXPECT_TRUE(IsBadField(
        client.collections->GetCollection(client.Context().get(), request, &found), "name"))
        << name;
  }
}

TEST_F(CollectionsServiceTest, PagesGoThroughAllInTheOrderOfNames) {
  const TestClient client = Connect();
  for (const char* id : {"c", "a", "e", "b", "d"}) ASSERT_TRUE(IsOk(CreateCollection(client, id)));
  for (const int size : {0, 1, 2, 3, 5, 1000, 100000}) {
    EXPECT_THAT(CollectionNames(client, size),
                ElementsAre("collections/a", "collections/b", "collections/c", "collections/d",
                            "collections/e"))
        << size;
  }
  v1::ListCollectionsResponse page;
  ASSERT_TRUE(IsOk(ListCollections(client, 2, "", &page)));
  EXPECT_EQ(page.collections_size(), 2);
  EXPECT_NE(page.next_page_token(), "");
  EXPECT_FALSE(page.collections(0).has_statistics());
  ASSERT_TRUE(IsOk(ListCollections(client, 5, "", &page)));
  EXPECT_EQ(page.next_page_token(), "") << "the last page is full";
  EXPECT_TRUE(IsBadField(ListCollections(client, -1, "", &page), "page_size"));
}

TEST_F(CollectionsServiceTest, ATokenOfAnotherListOrChangedIsRefused) {
  const TestClient client = Connect();
  client.Ingest("docs", {"one", "two", "three"});
  ASSERT_TRUE(IsOk(CreateCollection(client, "more")));
  v1::ListDocumentsRequest request;
  request.set_parent("collections/docs");
  request.set_page_size(1);
  v1::ListDocumentsResponse documents;
  ASSERT_TRUE(IsOk(ListDocuments(client, request, &documents)));
  ASSERT_NE(documents.next_page_token(), "");
  v1::ListCollectionsResponse page;
  EXPECT_TRUE(
      IsBadField(ListCollections(client, 1, documents.next_page_token(), &page), "page_token"));
  ASSERT_TRUE(IsOk(ListCollections(client, 1, "", &page)));
  const std::string token = page.next_page_token();
  ASSERT_NE(token, "");
  for (size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_TRUE(IsBadField(ListCollections(client, 1, changed, &page), "page_token")) << i;
  }
  EXPECT_TRUE(IsBadField(ListCollections(client, 1, "../../etc/passwd", &page), "page_token"));
  EXPECT_TRUE(IsOk(ListCollections(client, 2, token, &page))) << "the size may change";
}

TEST_F(CollectionsServiceTest, AMaskSaysWhatChanges) {
  MakeDescribed();
  v1::Collection updated;
  ASSERT_TRUE(IsOk(Send(Update("new", {"description"}), &updated)));
  EXPECT_EQ(updated.description(), "new");
  EXPECT_EQ(updated.labels().size(), 1u);
  EXPECT_GT(updated.update_time().seconds(), 0);
  // Without one, what is set.
  v1::UpdateCollectionRequest labels = Update("", {});
  (*labels.mutable_collection()->mutable_labels())["team"] = "other";
  ASSERT_TRUE(IsOk(Send(labels, &updated)));
  EXPECT_EQ(updated.description(), "new");
  EXPECT_EQ(updated.labels().at("team"), "other");
  // A named field that is not set is cleared.
  ASSERT_TRUE(IsOk(Send(Update("kept out", {"labels"}), &updated)));
  EXPECT_EQ(updated.description(), "new");
  EXPECT_TRUE(updated.labels().empty());
  ASSERT_TRUE(IsOk(Send(Update("", {"*"}), &updated)));
  EXPECT_EQ(updated.description(), "");
  v1::Collection found;
  ASSERT_TRUE(IsOk(GetCollection(Connect(), "docs", &found)));
  EXPECT_EQ(found.description(), "");
}

TEST_F(CollectionsServiceTest, AMaskOfWhatCannotChangeChangesNothing) {
  MakeDescribed();
  v1::Collection updated;
  for (const char* path : {"settings", "name", "descriptions", "labels.team", "create_time", ""}) {
    EXPECT_TRUE(IsBadField(Send(Update("new", {"description", path}), &updated), "update_mask"))
        << path;
  }
  EXPECT_EQ(Send(Update(std::string(4097, 'x'), {"*"}), &updated).error_code(),
            StatusCode::INVALID_ARGUMENT);
  ASSERT_TRUE(IsOk(GetCollection(Connect(), "docs", &updated)));
  EXPECT_EQ(updated.description(), "old");
  EXPECT_EQ(updated.labels().at("team"), "search");
}

TEST_F(CollectionsServiceTest, ACollectionWithDocumentsGoesWithForceOnly) {
  const TestClient client = Connect();
  client.Ingest("docs", {"The cat sat on the mat."});
  Operation operation;
  EXPECT_TRUE(IsError(DeleteCollection(client, "docs", false, &operation),
                      StatusCode::FAILED_PRECONDITION, "COLLECTION_NOT_EMPTY"));
  ASSERT_TRUE(IsOk(DeleteCollection(client, "docs", true, &operation)));
  const Operation done = Await(client, operation);
  ResultOf<google::protobuf::Empty>(done);
  const v1::OperationMetadata metadata = MetadataOf(done);
  EXPECT_EQ(metadata.method(), "cairn.v1.Collections/DeleteCollection");
  EXPECT_EQ(metadata.target(), "collections/docs");
  EXPECT_EQ(metadata.state(), v1::OperationMetadata::STATE_DONE);
  EXPECT_TRUE(metadata.has_end_time());
  EXPECT_TRUE(
      IsError(GetCollection(client, "docs"), StatusCode::NOT_FOUND, "COLLECTION_NOT_FOUND"));
  // A new one of the name has nothing of the old.
  ASSERT_TRUE(IsOk(CreateCollection(client, "docs")));
  v1::SearchResponse found;
  ASSERT_TRUE(IsOk(client.Search("docs", "cat", &found)));
  EXPECT_EQ(found.passages_size(), 0);
  ASSERT_TRUE(IsOk(DeleteCollection(client, "docs", false, &operation))) << "it is empty";
  ResultOf<google::protobuf::Empty>(Await(client, operation));
}

TEST_F(CollectionsServiceTest, ARepeatedRequestHasTheFirstOnesAnswer) {
  const TestClient client = Connect();
  v1::Collection first, again;
  ASSERT_TRUE(IsOk(CreateCollection(client, "docs", &first, {}, kUuid)));
  client.Ingest("docs", {"Not in the first answer."});
  for (const char* id : {kUuid, kUuidInCapitals}) {
    ASSERT_TRUE(IsOk(CreateCollection(client, "docs", &again, {}, id))) << id;
    EXPECT_EQ(again.statistics().documents(), 0u);
    EXPECT_EQ(again.create_time().nanos(), first.create_time().nanos());
  }
  EXPECT_TRUE(
      IsError(CreateCollection(client, "docs"), StatusCode::ALREADY_EXISTS, "COLLECTION_EXISTS"));
  // Deleted once, though the second request finds nothing to delete.
  Operation deleted, repeated;
  ASSERT_TRUE(IsOk(DeleteCollection(client, "docs", true, &deleted, kUuid)));
  Await(client, deleted);
  ASSERT_TRUE(IsOk(DeleteCollection(client, "docs", true, &repeated, kUuid)));
  EXPECT_EQ(repeated.name(), deleted.name());
}

TEST_F(CollectionsServiceTest, ARequestIdIsOfOneRequest) {
  const TestClient client = Connect();
  ASSERT_TRUE(IsOk(CreateCollection(client, "docs", nullptr, {}, kUuid)));
  EXPECT_EQ(CreateCollection(client, "other", nullptr, {}, kUuid).error_code(),
            StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(
      IsError(GetCollection(client, "other"), StatusCode::NOT_FOUND, "COLLECTION_NOT_FOUND"));
  for (const char* id :
       {"1", "123e4567e89b42d3a456426614174000", "123e4567-e89b-42d3-a456-42661417400g",
        "00000000-0000-0000-0000-000000000000"}) {
    EXPECT_TRUE(IsBadField(CreateCollection(client, "other", nullptr, {}, id), "request_id")) << id;
  }
}

TEST_F(CollectionsServiceTest, AFailureIsNotRepeated) {
  const TestClient client = Connect();
  ASSERT_TRUE(IsOk(CreateCollection(client, "docs")));
  EXPECT_TRUE(IsError(CreateCollection(client, "docs", nullptr, {}, kUuid),
                      StatusCode::ALREADY_EXISTS, "COLLECTION_EXISTS"));
  Operation operation;
  ASSERT_TRUE(IsOk(DeleteCollection(client, "docs", false, &operation)));
  Await(client, operation);
  EXPECT_TRUE(IsOk(CreateCollection(client, "docs", nullptr, {}, kUuid)));
}

}  // namespace
}  // namespace cairn::services
