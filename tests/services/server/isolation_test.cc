// Tenants: each has collections and documents of the same names, and sees none but its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "tests/services/language_model.h"
#include "tests/services/server/test_calls.h"
#include "tests/services/server/token_fixture.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kSharedUuid[] = "0d9b1cf4-51d5-4c37-8a2e-7b1f5a9d3c21";

class IsolationTest : public TokenServerTest {
 protected:
  void SetUp() override {
    for (const char* tenant : {"acme", "globex", ""}) {
      secrets_[tenant] = AddToken(absl::StrCat("token-", tenant), tenant, {All()});
    }
  }
  TestClient As(const std::string& tenant) const { return Connect(secrets_.at(tenant)); }

  // "docs" of each tenant, with documents of the same ids.
  void Fill() const {
    As("acme").Ingest("docs", {"Acme sells anvils.", "Acme sells rockets."});
    As("globex").Ingest("docs", {"Globex builds domes."});
    As("").Ingest("docs", {"The operator's own anvils.", "And rockets.", "And more."});
  }

  static std::string Everything(const google::protobuf::Message& message) {
    return message.DebugString();
  }
  // Neither another tenant's names, nor the store's name for one's own.
  static void ExpectSilent(const std::string& text) {
    for (const char* word : {"acme", "Acme", "anvils", "rockets", ".."}) {
      EXPECT_FALSE(absl::StrContains(text, word)) << word << " in " << text;
    }
  }

  std::map<std::string, std::string> secrets_;
};

TEST_F(IsolationTest, EachTenantHasItsOwnOfEachName) {
  StartAndOpen();
  Fill();
  const std::map<std::string, std::string> first = {{"acme", "Acme sells anvils."},
                                                    {"globex", "Globex builds domes."},
                                                    {"", "The operator's own anvils."}};
  const std::map<std::string, uint64_t> documents = {{"acme", 2}, {"globex", 1}, {"", 3}};
  for (const auto& [tenant, text] : first) {
    const TestClient client = As(tenant);
    EXPECT_THAT(CollectionNames(client), ElementsAre("collections/docs")) << tenant;
    v1::Document document;
    ASSERT_TRUE(IsOk(GetDocument(client, "collections/docs/documents/d0", &document)));
    EXPECT_EQ(document.text(), text);
    v1::Collection collection;
    ASSERT_TRUE(IsOk(GetCollection(client, "docs", &collection)));
    EXPECT_EQ(collection.name(), "collections/docs");
    EXPECT_EQ(collection.statistics().documents(), documents.at(tenant));
    v1::StoreStats stats;
    ASSERT_TRUE(
        IsOk(client.admin->GetStats(client.Context().get(), v1::GetStatsRequest(), &stats)));
    ASSERT_EQ(stats.collections_size(), 1) << tenant;
    EXPECT_EQ(stats.collections(0).statistics().documents(), documents.at(tenant));
    EXPECT_EQ(stats.disk_bytes() > 0, tenant.empty()) << "it tells how much the others have";
    EXPECT_EQ(stats.uuid().empty(), !tenant.empty());
  }
}

TEST_F(IsolationTest, SearchesAndAnswersAreOfTheTenantsOwn) {
  StartAndOpen();
  Fill();
  const TestClient globex = As("globex");
  v1::SearchResponse found;
  ASSERT_TRUE(IsOk(globex.Search("docs", "Acme anvils rockets", &found, 1000)));
  ExpectSilent(Everything(found));
  grpc::Status s;
  for (const v1::AnswerResponse& event : Ask(globex, Question("docs", "Who sells anvils?"), &s)) {
    ExpectSilent(Everything(event));
  }
  EXPECT_TRUE(IsOk(s));
  const std::unique_ptr<grpc::ClientContext> context = globex.Context();
  const auto stream = globex.search->SearchStream(context.get());
  v1::SearchStreamRequest topic;
  topic.mutable_search()->set_parent("collections/docs");
  topic.mutable_search()->set_query("Acme anvils rockets");
  stream->Write(topic);
  stream->WritesDone();
  v1::SearchStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  ExpectSilent(Everything(response));
  EXPECT_TRUE(IsOk(stream->Finish()));
}

// What a tenant can ask of a collection, and of what is in it.
std::vector<grpc::Status> AllCallsOn(const TestClient& client, const std::string& id) {
  std::vector<grpc::Status> all;
  const std::string name = "collections/" + id;
  Operation operation;
  v1::Collection collection;
  all.push_back(GetCollection(client, id));
  v1::UpdateCollectionRequest update;
  update.mutable_collection()->set_name(name);
  all.push_back(client.collections->UpdateCollection(client.Context().get(), update, &collection));
  all.push_back(DeleteCollection(client, id, true, &operation));
  all.push_back(GetDocument(client, name + "/documents/d0"));
  v1::ListDocumentsRequest list;
  list.set_parent(name);
  v1::ListDocumentsResponse page;
  all.push_back(ListDocuments(client, list, &page));
  v1::DeleteDocumentRequest deletion;
  deletion.set_name(name + "/documents/d0");
  google::protobuf::Empty nothing;
  all.push_back(client.documents->DeleteDocument(client.Context().get(), deletion, &nothing));
  v1::BatchDeleteDocumentsRequest batch;
  batch.set_parent(name);
  batch.add_ids("d0");
  v1::BatchDeleteDocumentsResponse deleted;
  all.push_back(client.documents->BatchDeleteDocuments(client.Context().get(), batch, &deleted));
  v1::SearchResponse found;
  all.push_back(client.Search(id, "anvils", &found));
  Ask(client, Question(id, "anvils?"), &all.emplace_back());
  v1::VerifyStoreRequest verify;
  verify.set_collection(name);
  all.push_back(client.admin->VerifyStore(client.Context().get(), verify, &operation));
  v1::BuildKvRequest build;
  build.set_collection(name);
  all.push_back(client.admin->BuildKv(client.Context().get(), build, &operation));
  v1::GetKvStatsRequest kv;
  kv.set_collection(name);
  v1::KvStats kv_stats;
  all.push_back(client.admin->GetKvStats(client.Context().get(), kv, &kv_stats));
  v1::CompactStoreRequest compact;
  compact.set_collection(name);
  all.push_back(client.admin->CompactStore(client.Context().get(), compact, &operation));
  return all;
}

TEST_F(IsolationTest, AnothersCollectionIsNoneLikeOneThatExistsNowhere) {
  StartAndOpen();
  As("acme").Ingest("secret", {"Acme sells anvils."});
  As("acme").Ingest("s3cret", {"To be deleted: exists nowhere."});
  Operation operation;
  ASSERT_TRUE(IsOk(DeleteCollection(As("acme"), "s3cret", true, &operation)));
  Await(As("acme"), operation);
  for (const char* tenant : {"globex", ""}) {
    const TestClient client = As(tenant);
    const std::vector<grpc::Status> there = AllCallsOn(client, "secret");
    const std::vector<grpc::Status> nowhere = AllCallsOn(client, "s3cret");
    ASSERT_EQ(there.size(), nowhere.size());
    for (size_t i = 0; i < there.size(); ++i) {
      EXPECT_EQ(there[i].error_code(), StatusCode::NOT_FOUND) << i << there[i].error_message();
      std::string expected = nowhere[i].error_message(), details = nowhere[i].error_details();
      expected = absl::StrReplaceAll(expected, {{"s3cret", "secret"}});
      details = absl::StrReplaceAll(details, {{"s3cret", "secret"}});
      EXPECT_EQ(there[i].error_message(), expected) << i;
      EXPECT_EQ(there[i].error_details(), details) << i;
    }
    // The name is free.
    EXPECT_TRUE(IsOk(CreateCollection(client, "secret")));
  }
  EXPECT_THAT(DocumentIds(As("acme"), "secret"), ElementsAre("d0"));
}

TEST_F(IsolationTest, TheStoresNameOfACollectionLeadsNowhere) {
  StartAndOpen();
  Fill();
  for (const char* id : {"acme..docs", "..docs", "acme/docs", "../acme/docs", "acme%2E%2Edocs"}) {
    for (const char* tenant : {"globex", "", "acme"}) {
      for (const grpc::Status& s : AllCallsOn(As(tenant), id)) {
        EXPECT_EQ(s.error_code(), StatusCode::INVALID_ARGUMENT) << id << s.error_message();
      }
    }
  }
  EXPECT_THAT(DocumentIds(As("acme"), "docs"), ElementsAre("d0", "d1"));
}

TEST_F(IsolationTest, WhatOneDeletesStaysTheOthers) {
  StartAndOpen();
  Fill();
  Operation operation;
  ASSERT_TRUE(IsOk(DeleteCollection(As("globex"), "docs", true, &operation)));
  Await(As("globex"), operation);
  EXPECT_THAT(DocumentIds(As("acme"), "docs"), ElementsAre("d0", "d1"));
  EXPECT_THAT(DocumentIds(As(""), "docs"), ElementsAre("d0", "d1", "d2"));
  EXPECT_THAT(CollectionNames(As("globex")), IsEmpty());
}

TEST_F(IsolationTest, ListsEndWhereTheTenantsOwnEnd) {
  StartAndOpen();
  for (const char* id : {"a", "m", "z"}) {
    for (const char* tenant : {"acme", "globex", ""}) {
      ASSERT_TRUE(IsOk(CreateCollection(As(tenant), id)));
    }
  }
  for (const char* tenant : {"acme", "globex", ""}) {
    for (const int size : {1, 2, 3}) {
      EXPECT_THAT(CollectionNames(As(tenant), size),
                  ElementsAre("collections/a", "collections/m", "collections/z"));
    }
    // A full page is the last one, whatever others have behind it.
    v1::ListCollectionsResponse page;
    ASSERT_TRUE(IsOk(ListCollections(As(tenant), 3, "", &page)));
    EXPECT_EQ(page.next_page_token(), "") << tenant;
  }
  // For the default tenant, "a" is the last before the others' names.
  Operation operation;
  for (const char* id : {"m", "z"}) {
    ASSERT_TRUE(IsOk(DeleteCollection(As(""), id, false, &operation)));
    Await(As(""), operation);
  }
  v1::ListCollectionsResponse page;
  ASSERT_TRUE(IsOk(ListCollections(As(""), 1, "", &page)));
  EXPECT_EQ(page.next_page_token(), "") << "would tell that there is something";
}

TEST_F(IsolationTest, ATokenOfAPageIsOfNoOtherTenant) {
  StartAndOpen();
  for (const char* tenant : {"acme", "globex", ""}) {
    ASSERT_TRUE(IsOk(CreateCollection(As(tenant), "a")));
    ASSERT_TRUE(IsOk(CreateCollection(As(tenant), "b")));
    As(tenant).Ingest("docs", {"One.", "Two."});
  }
  v1::ListCollectionsResponse page;
  ASSERT_TRUE(IsOk(ListCollections(As("acme"), 1, "", &page)));
  const std::string token = page.next_page_token();
  v1::ListDocumentsRequest list;
  list.set_parent("collections/docs");
  list.set_page_size(1);
  v1::ListDocumentsResponse documents;
  ASSERT_TRUE(IsOk(ListDocuments(As("acme"), list, &documents)));
  list.set_page_token(documents.next_page_token());
  for (const char* tenant : {"globex", ""}) {
    EXPECT_TRUE(IsBadField(ListCollections(As(tenant), 1, token, &page), "page_token"));
    EXPECT_TRUE(IsBadField(ListDocuments(As(tenant), list, &documents), "page_token"));
  }
  EXPECT_TRUE(IsOk(ListCollections(As("acme"), 1, token, &page)));
}

class OperationIsolationTest : public IsolationTest {
 protected:
  static google::longrunning::ListOperationsResponse List(const TestClient& client, int page_size) {
    google::longrunning::ListOperationsRequest request;
    request.set_page_size(page_size);
    google::longrunning::ListOperationsResponse page;
    EXPECT_TRUE(IsOk(client.operations->ListOperations(client.Context().get(), request, &page)));
    return page;
  }
};

TEST_F(OperationIsolationTest, AnothersOperationIsNone) {
  StartAndOpen();
  Fill();
  const TestClient acme = As("acme");
  v1::VerifyStoreRequest request;
  request.set_collection("collections/docs");
  Operation started;
  ASSERT_TRUE(IsOk(acme.admin->VerifyStore(acme.Context().get(), request, &started)));
  const Operation done = Await(acme, started);
  EXPECT_EQ(ResultOf<v1::VerifyStoreResponse>(done).documents(), 2u) << "its own";
  ExpectSilent(absl::StrCat(MetadataOf(done).target(), MetadataOf(done).stage()));
  for (const char* tenant : {"globex", ""}) {
    const TestClient client = As(tenant);
    google::longrunning::GetOperationRequest get;
    get.set_name(started.name());
    Operation found;
    google::longrunning::CancelOperationRequest cancel;
    cancel.set_name(started.name());
    google::longrunning::DeleteOperationRequest deletion;
    deletion.set_name(started.name());
    google::protobuf::Empty nothing;
    for (const grpc::Status& s :
         {client.operations->GetOperation(client.Context().get(), get, &found),
          client.operations->CancelOperation(client.Context().get(), cancel, &nothing),
          client.operations->DeleteOperation(client.Context().get(), deletion, &nothing),
          WaitOperation(client, started.name(), &found)}) {
      EXPECT_TRUE(IsError(s, StatusCode::NOT_FOUND, "OPERATION_NOT_FOUND"));
      EXPECT_EQ(s.error_message(), started.name() + " does not exist");
    }
    EXPECT_EQ(List(client, 10).operations_size(), 0);
  }
  EXPECT_EQ(List(acme, 10).operations_size(), 1);
}

TEST_F(OperationIsolationTest, TokensOfPagesDoNotCountTheOthersOperations) {
  StartAndOpen();
  Fill();
  const auto verify = [&](const std::string& tenant) {
    const TestClient client = As(tenant);
    v1::VerifyStoreRequest request;
    request.set_collection("collections/docs");
    Operation started;
    EXPECT_TRUE(IsOk(client.admin->VerifyStore(client.Context().get(), request, &started)));
    Await(client, started);
  };
  for (int i = 0; i < 3; ++i) verify("acme");
  verify("globex");
  verify("globex");
  std::string token;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(List(As("globex"), 1).next_page_token(), &token));
  // Version, hash and signature apart, it holds a number: none that could be one of a count.
  const std::string number = token.substr(9, token.size() - 25);
  EXPECT_GE(number.size(), 15u) << number;
}

TEST_F(OperationIsolationTest, WhoMayNotMaintainACollectionSeesNothingOfItsOperations) {
  const std::string reader = AddToken("reader", "acme", {{.collections = "*", .read = true}});
  const std::string other = AddToken("other", "acme", {{.collections = "more", .admin = true}});
  StartAndOpen();
  Fill();
  const TestClient acme = As("acme");
  v1::VerifyStoreRequest request;
  request.set_collection("collections/docs");
  Operation started, found;
  ASSERT_TRUE(IsOk(acme.admin->VerifyStore(acme.Context().get(), request, &started)));
  for (const std::string& secret : {reader, other}) {
    EXPECT_EQ(List(Connect(secret), 10).operations_size(), 0);
    EXPECT_TRUE(IsError(WaitOperation(Connect(secret), started.name(), &found),
                        StatusCode::NOT_FOUND, "OPERATION_NOT_FOUND"));
    google::longrunning::CancelOperationRequest cancel;
    cancel.set_name(started.name());
    google::protobuf::Empty nothing;
    const TestClient client = Connect(secret);
    EXPECT_TRUE(
        IsError(client.operations->CancelOperation(client.Context().get(), cancel, &nothing),
                StatusCode::NOT_FOUND, "OPERATION_NOT_FOUND"));
  }
  ResultOf<v1::VerifyStoreResponse>(Await(acme, started));
}

TEST_F(IsolationTest, RequestIdsAreOfEachTenant) {
  StartAndOpen();
  v1::Collection made;
  for (const char* tenant : {"acme", "globex", ""}) {
    v1::Collection wanted;
    wanted.set_description(absl::StrCat("of ", tenant));
    ASSERT_TRUE(IsOk(CreateCollection(As(tenant), "docs", &made, wanted, kSharedUuid)));
    EXPECT_EQ(made.description(), wanted.description());
  }
}

TEST_F(IsolationTest, ErrorsAndMetadataTellNothingOfOthers) {
  StartAndOpen();
  Fill();
  for (const grpc::Status& s : AllCallsOn(As("globex"), "none")) {
    ExpectSilent(s.error_message() + s.error_details());
    EXPECT_FALSE(absl::StrContains(s.error_message(), dir_.path())) << s.error_message();
  }
  // Its own collection is called as it calls it, in an engine's errors too.
  v1::SearchRequest request;
  request.set_parent("collections/docs");
  request.set_query("x");
  request.set_filter("year >=");
  v1::SearchResponse found;
  const TestClient globex = As("globex");
  const std::unique_ptr<grpc::ClientContext> context = globex.Context();
  const grpc::Status s = globex.search->Search(context.get(), request, &found);
  EXPECT_EQ(s.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_FALSE(absl::StrContains(s.error_message(), "globex..")) << s.error_message();
  for (const auto* metadata :
       {&context->GetServerInitialMetadata(), &context->GetServerTrailingMetadata()}) {
    for (const auto& [name, value] : *metadata) {
      EXPECT_FALSE(absl::StrContains(std::string(value.data(), value.size()), "acme"));
    }
  }
}

TEST_F(IsolationTest, APromptThatOneTenantHadReadIsReadAnewForAnother) {
  options_.engine.generator = WriteLanguageModel(dir_, 1);
  options_.engine.generator_threads = 1;
  StartAndOpen();
  const std::string text = "Octopuses have three hearts. Two of them pump blood to the gills.";
  const auto cached = [&](const std::string& tenant) {
    v1::AnswerRequest request = Question("docs", "How many hearts do octopuses have?");
    request.set_mode(v1::ANSWER_MODE_GENERATED);
    request.mutable_generation()->set_max_tokens(2);
    grpc::Status s;
    const std::vector<v1::AnswerResponse> events = Ask(As(tenant), request, &s);
    EXPECT_TRUE(IsOk(s));
    return events.empty() ? 0 : events.back().summary().usage().cached_tokens();
  };
  for (const char* tenant : {"acme", "globex", ""}) As(tenant).Ingest("docs", {text});
  EXPECT_EQ(cached("acme"), 0u);
  EXPECT_GT(cached("acme"), 0u) << "the tenant's own is kept";
  EXPECT_EQ(cached("globex"), 0u);
  EXPECT_EQ(cached(""), 0u);
}

}  // namespace
}  // namespace cairn::services
