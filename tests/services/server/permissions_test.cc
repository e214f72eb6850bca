// What a token may do, and with which collections.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "tests/services/server/test_calls.h"
#include "tests/services/server/token_fixture.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;

class PermissionsTest : public TokenServerTest {
 protected:
  void SetUp() override { all_ = AddToken("all", "", {All()}); }
  void Fill() const { Connect(all_).Ingest("docs", {"One cat.", "Two dogs."}); }

  static grpc::Status Ingest(const TestClient& client, const std::string& collection) {
    grpc::Status s;
    client.Ingest(collection, {"Another."}, &s);
    return s;
  }
  static grpc::Status DeleteDocument(const TestClient& client) {
    v1::DeleteDocumentRequest request;
    request.set_name("collections/docs/documents/none");
    request.set_allow_missing(true);
    google::protobuf::Empty nothing;
    return client.documents->DeleteDocument(client.Context().get(), request, &nothing);
  }
  static grpc::Status BatchDelete(const TestClient& client) {
    v1::BatchDeleteDocumentsRequest request;
    request.set_parent("collections/docs");
    request.add_ids("none");
    v1::BatchDeleteDocumentsResponse response;
    return client.documents->BatchDeleteDocuments(client.Context().get(), request, &response);
  }

  using CallOfTest = std::function<grpc::Status(const TestClient&)>;
  struct NamedCall {
    const char* name;
    CallOfTest call;
  };
  std::vector<NamedCall> Reads() const {
    return {{"get", [](const TestClient& c) { return GetCollection(c, "docs"); }},
            {"document",
             [](const TestClient& c) { return GetDocument(c, "collections/docs/documents/d0"); }},
            {"list",
             [](const TestClient& c) {
               v1::ListDocumentsRequest request;
               request.set_parent("collections/docs");
               v1::ListDocumentsResponse page;
               return ListDocuments(c, request, &page);
             }},
            {"search",
             [](const TestClient& c) {
               v1::SearchResponse found;
               return c.Search("docs", "cat", &found);
             }},
            {"ask",
             [](const TestClient& c) {
               grpc::Status s;
               Ask(c, Question("docs", "cats?"), &s);
               return s;
             }},
            {"embed",
             [](const TestClient& c) {
               v1::EmbedRequest request;
               request.add_texts("x");
               v1::EmbedResponse response;
               return c.models->Embed(c.Context().get(), request, &response);
             }},
            {"models", [](const TestClient& c) {
               v1::GetModelsResponse response;
               return c.models->GetModels(c.Context().get(), v1::GetModelsRequest(), &response);
             }}};
  }
  std::vector<NamedCall> Writes() const {
    return {{"ingest", [](const TestClient& c) { return Ingest(c, "docs"); }},
            {"delete", DeleteDocument},
            {"batch", BatchDelete}};
  }
  std::vector<NamedCall> Maintenance() const {
    return {{"update",
             [](const TestClient& c) {
               v1::UpdateCollectionRequest request;
               request.mutable_collection()->set_name("collections/docs");
               v1::Collection updated;
               return c.collections->UpdateCollection(c.Context().get(), request, &updated);
             }},
            {"verify",
             [](const TestClient& c) {
               v1::VerifyStoreRequest request;
               request.set_collection("collections/docs");
               Operation operation;
               return c.admin->VerifyStore(c.Context().get(), request, &operation);
             }},
            {"compact",
             [](const TestClient& c) {
               v1::CompactStoreRequest request;
               request.set_collection("collections/docs");
               Operation operation;
               return c.admin->CompactStore(c.Context().get(), request, &operation);
             }},
            {"create", [](const TestClient& c) { return CreateCollection(c, "made"); }},
            {"drop", [](const TestClient& c) {
               Operation operation;
               return DeleteCollection(c, "made", true, &operation);
             }}};
  }

  static void ExpectAll(const TestClient& client, const std::vector<NamedCall>& calls,
                        bool allowed) {
    for (const NamedCall& call : calls) {
      const grpc::Status s = call.call(client);
      if (allowed) {
        EXPECT_TRUE(IsOk(s)) << call.name;
      } else {
        EXPECT_TRUE(IsError(s, StatusCode::PERMISSION_DENIED, "PERMISSION_MISSING")) << call.name;
      }
    }
  }

  std::string all_;
};

TEST_F(PermissionsTest, NoPermissionIncludesAnother) {
  const std::string reader = AddToken("reader", "", {{.collections = "*", .read = true}});
  const std::string writer = AddToken("writer", "", {{.collections = "*", .write = true}});
  const std::string admin = AddToken("admin", "", {{.collections = "*", .admin = true}});
  StartAndOpen();
  Fill();
  ExpectAll(Connect(reader), Reads(), true);
  ExpectAll(Connect(reader), Writes(), false);
  ExpectAll(Connect(reader), Maintenance(), false);
  ExpectAll(Connect(writer), Reads(), false);
  ExpectAll(Connect(writer), Writes(), true);
  ExpectAll(Connect(writer), Maintenance(), false);
  ExpectAll(Connect(admin), Reads(), false);
  ExpectAll(Connect(admin), Writes(), false);
  ExpectAll(Connect(admin), Maintenance(), true);
}

TEST_F(PermissionsTest, KeptKeysAndValuesAreForAdministrators) {
  const std::string reader =
      AddToken("reader", "", {{.collections = "*", .read = true, .write = true}});
  const std::string admin = AddToken("admin", "", {{.collections = "docs", .admin = true}});
  StartAndOpen();
  Fill();
  const auto statuses = [](const TestClient& client, const std::string& collection) {
    v1::GetKvStatsRequest stats;
    stats.set_collection(collection);
    v1::KvStats kv;
    v1::BuildKvRequest build;
    build.set_collection(collection);
    Operation operation;
    return std::vector<grpc::Status>{
        client.admin->GetKvStats(client.Context().get(), stats, &kv),
        client.admin->BuildKv(client.Context().get(), build, &operation)};
  };
  for (const grpc::Status& s : statuses(Connect(reader), "collections/docs")) {
    EXPECT_TRUE(IsError(s, StatusCode::PERMISSION_DENIED, "PERMISSION_MISSING"));
  }
  for (const grpc::Status& s : statuses(Connect(admin), "collections/docs")) {
    EXPECT_EQ(s.error_code(), StatusCode::FAILED_PRECONDITION) << "the server keeps none";
  }
  for (const grpc::Status& s : statuses(Connect(admin), "")) {
    EXPECT_TRUE(IsBadField(s, "collection"));
  }
}

TEST_F(PermissionsTest, GrantsAreOnTheCollectionsTheyName) {
  const std::string some =
      AddToken("some", "",
               {{.collections = "docs", .read = true}, {.collections = "notes-*", .read = true}});
  StartAndOpen();
  Fill();
  const TestClient all = Connect(all_), client = Connect(some);
  for (const char* id : {"docs2", "notes-1", "notes-2", "notes"}) {
    ASSERT_TRUE(IsOk(CreateCollection(all, id)));
  }
  for (const int size : {1, 2, 100}) {
    EXPECT_THAT(CollectionNames(client, size),
                ElementsAre("collections/docs", "collections/notes-1", "collections/notes-2"));
  }
  v1::ListCollectionsResponse page;
  ASSERT_TRUE(IsOk(ListCollections(client, 3, "", &page)));
  EXPECT_EQ(page.next_page_token(), "");
  EXPECT_TRUE(IsOk(GetCollection(client, "docs")));
  // One that is there, and one that is not, are refused alike.
  for (const char* id : {"docs2", "notes", "nowhere"}) {
    const grpc::Status s = GetCollection(client, id);
    EXPECT_TRUE(IsError(s, StatusCode::PERMISSION_DENIED, "PERMISSION_MISSING")) << id;
    EXPECT_EQ(s.error_message(),
              absl::StrCat("the token does not have the permission \"read\" on collections/", id));
  }
  v1::StoreStats stats;
  ASSERT_TRUE(IsOk(client.admin->GetStats(client.Context().get(), v1::GetStatsRequest(), &stats)));
  EXPECT_EQ(stats.collections_size(), 3);
  EXPECT_EQ(stats.uuid(), "") << "for administrators";
}

TEST_F(PermissionsTest, TheWholeStoreIsForTheDefaultTenantsAdministrators) {
  const std::string tenant = AddToken("tenant", "acme", {All()});
  const std::string some = AddToken("some", "", {{.collections = "docs", .admin = true}});
  options_.snapshot_directory = dir_.path();
  StartAndOpen();
  Fill();
  for (const std::string& secret : {tenant, some}) {
    const TestClient client = Connect(secret);
    Operation operation;
    v1::SnapshotStoreRequest snapshot;
    snapshot.set_snapshot_id("monday");
    for (const grpc::Status& s :
         {client.admin->VerifyStore(client.Context().get(), {}, &operation),
          client.admin->CompactStore(client.Context().get(), {}, &operation),
          client.admin->SnapshotStore(client.Context().get(), snapshot, &operation)}) {
      EXPECT_TRUE(IsError(s, StatusCode::PERMISSION_DENIED, "PERMISSION_MISSING"));
    }
  }
  Operation operation;
  const TestClient all = Connect(all_);
  EXPECT_TRUE(IsOk(all.admin->VerifyStore(all.Context().get(), {}, &operation)));
}

TEST_F(PermissionsTest, ATokenWithoutGrantsMayDoNothing) {
  const std::string nobody = AddToken("nobody", "", {});
  StartAndOpen();
  Fill();
  ExpectAll(Connect(nobody), Reads(), false);
  ExpectAll(Connect(nobody), Writes(), false);
  ExpectAll(Connect(nobody), Maintenance(), false);
  EXPECT_TRUE(CollectionNames(Connect(nobody)).empty());
}

// ------------------------------------------------------------------------- who it is

class AuthenticationTest : public PermissionsTest {
 protected:
  // What a call with these headers comes to.
  grpc::Status With(const std::vector<std::string>& authorization) const {
    const TestClient client = Connect();
    const std::unique_ptr<grpc::ClientContext> context = client.Context();
    for (const std::string& value : authorization) context->AddMetadata("authorization", value);
    v1::ListCollectionsResponse page;
    return client.collections->ListCollections(context.get(), v1::ListCollectionsRequest(), &page);
  }
  static bool IsRefused(const grpc::Status& s) {
    return s.error_code() == StatusCode::UNAUTHENTICATED && ReasonOf(s) == "UNAUTHENTICATED";
  }
};

TEST_F(AuthenticationTest, OnlyAValidTokenLetsIn) {
  const std::string expired =
      AddToken("expired", "", {All()}, absl::ToCivilDay(absl::Now(), absl::UTCTimeZone()) - 1);
  const std::string today =
      AddToken("today", "", {All()}, absl::ToCivilDay(absl::Now(), absl::UTCTimeZone()) + 1);
  StartAndOpen();
  std::string wrong = all_;
  wrong[10] = wrong[10] == 'A' ? 'B' : 'A';
  EXPECT_TRUE(IsOk(With({"Bearer " + all_})));
  EXPECT_TRUE(IsOk(With({"bearer " + all_}))) << "schemes have no case";
  EXPECT_TRUE(IsOk(With({"Bearer " + today})));
  const std::vector<std::vector<std::string>> refused = {
      {},
      {""},
      {"Bearer"},
      {"Bearer "},
      {all_},
      {"Basic " + all_},
      {"Bearer " + wrong},
      {"Bearer " + all_ + "x"},
      {"Bearer " + all_.substr(0, all_.size() - 1)},
      {"Bearer  " + all_},
      {"Bearer " + expired},
      {"Bearer " + all_, "Bearer " + all_},
      {"Bearer " + wrong, "Bearer " + all_},
      {"Bearer " + all_ + ", Bearer " + all_},
      {"Bearer " + std::string(4000, 'x')}};
  for (const std::vector<std::string>& headers : refused) {
    EXPECT_TRUE(IsRefused(With(headers))) << ::testing::PrintToString(headers);
  }
  EXPECT_EQ(With({"Bearer " + wrong}).error_message(), With({"Bearer " + expired}).error_message());
}

TEST_F(AuthenticationTest, StreamsAskForATokenToo) {
  StartAndOpen();
  const TestClient client = Connect();
  grpc::Status s;
  client.Ingest("docs", {"text"}, &s);
  EXPECT_TRUE(IsRefused(s));
  Ask(client, Question("docs", "cats?"), &s);
  EXPECT_TRUE(IsRefused(s));
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  const auto stream = client.search->SearchStream(context.get());
  v1::SearchStreamResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(IsRefused(stream->Finish()));
  Operation operation;
  EXPECT_TRUE(IsRefused(WaitOperation(client, "operations/x", &operation)));
}

TEST_F(AuthenticationTest, ARevokedTokenIsNoMoreOnceTheFileIsReadAgain) {
  const std::string guest = AddToken("guest", "", {All()});
  StartAndOpen();
  EXPECT_TRUE(IsOk(With({"Bearer " + guest})));
  RevokeToken("guest");
  const std::string added = AddToken("added", "", {All()});
  server_->ReloadTokens();
  EXPECT_TRUE(IsRefused(With({"Bearer " + guest})));
  EXPECT_TRUE(IsOk(With({"Bearer " + added})));
  EXPECT_TRUE(IsOk(With({"Bearer " + all_})));
}

TEST_F(AuthenticationTest, AFileThatCannotBeReadChangesNothing) {
  StartAndOpen();
  dir_.Write("tokens", "cairn-tokens 1\nno token at all\n");
  server_->ReloadTokens();
  EXPECT_TRUE(IsOk(With({"Bearer " + all_})));
  bool told = false;
  for (const std::string& line : log_->lines()) {
    told = told || absl::StrContains(line, "tokens not reloaded");
  }
  EXPECT_TRUE(told);
}

TEST_F(AuthenticationTest, NoSecretIsEverTold) {
  const std::string guest = AddToken("guest", "acme", {{.collections = "a", .read = true}});
  StartAndOpen();
  Fill();
  std::string wrong = all_;
  wrong[10] = wrong[10] == 'A' ? 'B' : 'A';
  std::string told;
  const std::vector<std::vector<std::string>> headers = {{"Bearer " + all_},
                                                         {"Bearer " + wrong},
                                                         {"Basic " + all_},
                                                         {"Bearer " + all_, guest},
                                                         {all_}};
  for (const std::vector<std::string>& h : headers) {
    const grpc::Status s = With(h);
    told += s.error_message() + s.error_details();
  }
  const grpc::Status denied = CreateCollection(Connect(guest), "b");
  EXPECT_EQ(denied.error_code(), StatusCode::PERMISSION_DENIED);
  told += denied.error_message() + denied.error_details();
  server_->Drain();
  bool named = false;
  for (const std::string& line : log_->lines()) {
    told += line;
    named = named || absl::StrContains(line, "guest");
  }
  EXPECT_TRUE(named) << "the log says which token it was";
  for (const std::string& secret : {all_, guest, wrong}) {
    EXPECT_FALSE(absl::StrContains(told, secret.substr(6, 20)));
  }
}

}  // namespace
}  // namespace cairn::services
