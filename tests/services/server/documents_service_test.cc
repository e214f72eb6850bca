#include <gmock/gmock.h>
#include <google/protobuf/empty.pb.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/services/server/test_calls.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kDeletionId[] = "8c2b1a66-22a6-4c4e-9d53-0a4f9a0c9a01";

class DocumentsServiceTest : public ServerTest {
 protected:
  void SetUp() override { StartAndOpen(); }

  static grpc::Status Delete(const TestClient& client, const std::string& name,
                             bool allow_missing = false, const std::string& request_id = "") {
    v1::DeleteDocumentRequest request;
    request.set_name(name);
    request.set_allow_missing(allow_missing);
    request.set_request_id(request_id);
    google::protobuf::Empty nothing;
    return client.documents->DeleteDocument(client.Context().get(), request, &nothing);
  }
  static grpc::Status BatchDelete(const TestClient& client, const std::vector<std::string>& names,
                                  const std::vector<std::string>& ids,
                                  v1::BatchDeleteDocumentsResponse* response) {
    v1::BatchDeleteDocumentsRequest request;
    request.set_parent("collections/docs");
    for (const std::string& name : names) request.add_names(name);
    for (const std::string& id : ids) request.add_ids(id);
    return client.documents->BatchDeleteDocuments(client.Context().get(), request, response);
  }
  static v1::MetadataValue Integer(int64_t value) {
    v1::MetadataValue out;
    out.set_int_value(value);
    return out;
  }
};

TEST_F(DocumentsServiceTest, ADocumentIsReadAsItWasGiven) {
  const TestClient client = Connect();
  v1::InputDocument input = TextDocument("d", "Two lines.\r\nThe second.");
  input.set_title("A title");
  input.set_source_uri("https://example.org/d");
  auto& metadata = *input.mutable_metadata();
  metadata["bool"].set_bool_value(true);
  metadata["int"] = Integer(std::numeric_limits<int64_t>::min());
  metadata["double"].set_double_value(0.1);
  metadata["string"].set_string_value("\xE6\x97\xA5");
  metadata["list"].mutable_string_list()->add_values("a");
  metadata["list"].mutable_string_list()->add_values("b");
  const std::vector<v1::IngestAck> acks = client.IngestDocuments("docs", {input});
  ASSERT_EQ(acks.size(), 1u);
  v1::Document found;
  ASSERT_TRUE(IsOk(GetDocument(client, "collections/docs/documents/d", &found)));
  EXPECT_EQ(found.name(), "collections/docs/documents/d");
  EXPECT_EQ(found.id(), "d");
  EXPECT_EQ(found.title(), "A title");
  EXPECT_EQ(found.media_type(), "text/plain");
  EXPECT_EQ(found.source_uri(), "https://example.org/d");
  EXPECT_EQ(found.text(), "Two lines.\nThe second.");
  ASSERT_EQ(found.metadata_size(), 5);
  for (const auto& [name, value] : input.metadata()) {
    EXPECT_EQ(found.metadata().at(name).SerializeAsString(), value.SerializeAsString()) << name;
  }
  ASSERT_EQ(found.chunks_size(), 1);
  EXPECT_EQ(found.chunk_count(), 1u);
  EXPECT_EQ(found.chunks(0).chunk_id(), acks[0].chunk_ids(0));
  EXPECT_EQ(found.chunks(0).span().end(), found.text().size());
  EXPECT_GT(found.chunks(0).tokens(), 0u);
}

TEST_F(DocumentsServiceTest, TheBasicViewHasNoText) {
  const TestClient client = Connect();
  client.Ingest("docs", {"Some text."});
  const std::string name = "collections/docs/documents/d0";
  v1::Document found;
  ASSERT_TRUE(IsOk(GetDocument(client, name, &found, v1::DOCUMENT_VIEW_BASIC)));
  EXPECT_EQ(found.text(), "");
  EXPECT_EQ(found.chunks_size(), 0);
  EXPECT_EQ(found.chunk_count(), 1u);
  ASSERT_TRUE(IsOk(GetDocument(client, name, &found, v1::DOCUMENT_VIEW_FULL)));
  EXPECT_EQ(found.text(), "Some text.");
  EXPECT_TRUE(
      IsBadField(GetDocument(client, name, &found, static_cast<v1::DocumentView>(9)), "view"));
}

TEST_F(DocumentsServiceTest, AnyIdHasANameThatLeadsToIt) {
  const TestClient client = Connect();
  const std::vector<std::string> ids = {"a/b", "a b",       "..",           "%2F",
                                        "50%", "x?y#z&=+",  "\xE6\x97\xA5", "~._-",
                                        "/",   "../../etc", "\xC3\xA9",     std::string(1024, '%')};
  std::vector<v1::InputDocument> documents;
  for (const std::string& id : ids) documents.push_back(TextDocument(id, "Text of " + id));
  for (const v1::IngestAck& ack : client.IngestDocuments("docs", documents)) {
    EXPECT_EQ(ack.outcome(), v1::IngestAck::OUTCOME_CREATED) << ack.error().message();
  }
  v1::ListDocumentsRequest request;
  request.set_parent("collections/docs");
  v1::ListDocumentsResponse page;
  ASSERT_TRUE(IsOk(ListDocuments(client, request, &page)));
  EXPECT_EQ(static_cast<size_t>(page.documents_size()), ids.size());
  for (const v1::Document& d : page.documents()) {
    v1::Document found;
    ASSERT_TRUE(IsOk(GetDocument(client, d.name(), &found))) << d.name();
    EXPECT_EQ(found.id(), d.id());
    EXPECT_EQ(found.name(), d.name());
    EXPECT_EQ(found.text(), "Text of " + d.id());
    EXPECT_TRUE(IsOk(Delete(client, d.name()))) << d.name();
  }
  EXPECT_THAT(DocumentIds(client, "docs"), IsEmpty());
}

TEST_F(DocumentsServiceTest, ANameIsWrittenInOneWayAndReadInMore) {
  const TestClient client = Connect();
  client.IngestDocuments("docs", {TextDocument("a/b", "x"), TextDocument("%2F", "y")});
  v1::Document found;
  for (const char* name : {"a%2Fb", "a%2fb", "%61%2Fb"}) {
    ASSERT_TRUE(
        IsOk(GetDocument(client, std::string("collections/docs/documents/") + name, &found)))
        << name;
    EXPECT_EQ(found.id(), "a/b");
    EXPECT_EQ(found.name(), "collections/docs/documents/a%2Fb");
  }
  ASSERT_TRUE(IsOk(GetDocument(client, "collections/docs/documents/%252F", &found)));
  EXPECT_EQ(found.id(), "%2F");
  for (const char* name :
       {"", "collections/docs", "collections/docs/documents/", "collections/docs/documents/a/b",
        "collections/docs/documents/%", "collections/docs/documents/%2",
        "collections/docs/documents/%zz", "collections/docs/documents/a b",
        "collections/../documents/a", "collections/docs/operations/a"}) {
    EXPECT_TRUE(IsBadField(GetDocument(client, name), "name")) << name;
    EXPECT_TRUE(IsBadField(Delete(client, name), "name")) << name;
  }
}

TEST_F(DocumentsServiceTest, WhatIsMissingIsSaidExactly) {
  const TestClient client = Connect();
  client.Ingest("docs", {"Some text."});
  for (const char* id : {"none", "%FF", "%00", "d0%00"}) {
    const std::string name = std::string("collections/docs/documents/") + id;
    for (const grpc::Status& s : {GetDocument(client, name), Delete(client, name)}) {
      EXPECT_TRUE(IsError(s, StatusCode::NOT_FOUND, "DOCUMENT_NOT_FOUND"));
      EXPECT_EQ(s.error_message(), name + " does not exist");
    }
    EXPECT_TRUE(IsOk(Delete(client, name, true)));
  }
  v1::ListDocumentsRequest list;
  list.set_parent("collections/none");
  v1::ListDocumentsResponse page;
  for (const grpc::Status& s : {GetDocument(client, "collections/none/documents/d0"),
                                Delete(client, "collections/none/documents/d0"),
                                Delete(client, "collections/none/documents/d0", true),
                                ListDocuments(client, list, &page)}) {
    EXPECT_TRUE(IsError(s, StatusCode::NOT_FOUND, "COLLECTION_NOT_FOUND"));
    EXPECT_EQ(s.error_message(), "collections/none does not exist");
  }
}

TEST_F(DocumentsServiceTest, PagesOfAFilterGoThroughWhatMatches) {
  const TestClient client = Connect();
  std::vector<v1::InputDocument> documents;
  for (int i = 0; i < 20; ++i) {
    const std::string id = std::string(i < 10 ? "d0" : "d") + std::to_string(i);
    documents.push_back(TextDocument(id, "Text."));
    (*documents.back().mutable_metadata())["even"] = Integer(i % 2 == 0 ? 1 : 0);
  }
  client.IngestDocuments("docs", documents);
  v1::ListDocumentsRequest request;
  request.set_parent("collections/docs");
  request.set_filter("even = 1");
  request.set_page_size(3);
  std::vector<std::string> ids;
  v1::ListDocumentsResponse page;
  do {
    request.set_page_token(page.next_page_token());
    ASSERT_TRUE(IsOk(ListDocuments(client, request, &page)));
    EXPECT_LE(page.documents_size(), 3);
    for (const v1::Document& d : page.documents()) {
      ids.push_back(d.id());
      EXPECT_EQ(d.text(), "");
      EXPECT_EQ(d.metadata().at("even").int_value(), 1);
    }
  } while (!page.next_page_token().empty());
  EXPECT_THAT(ids,
              ElementsAre("d00", "d02", "d04", "d06", "d08", "d10", "d12", "d14", "d16", "d18"));
  // The token is of this filter.
  request.set_page_token("");
  ASSERT_TRUE(IsOk(ListDocuments(client, request, &page)));
  request.set_page_token(page.next_page_token());
  request.set_filter("even = 0");
  EXPECT_TRUE(IsBadField(ListDocuments(client, request, &page), "page_token"));
  request.set_page_token("");
  request.set_filter("even = ");
  EXPECT_EQ(ListDocuments(client, request, &page).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(DocumentsServiceTest, ADeletedDocumentIsFoundNoMore) {
  const TestClient client = Connect();
  client.Ingest("docs", {"The cat sat.", "The dog ran."});
  const std::string name = "collections/docs/documents/d0";
  ASSERT_TRUE(IsOk(Delete(client, name, false, kDeletionId)));
  v1::SearchResponse found;
  ASSERT_TRUE(IsOk(client.Search("docs", "cat", &found)));
  for (const v1::Passage& p : found.passages()) EXPECT_EQ(p.document_id(), "d1");
  EXPECT_TRUE(IsOk(Delete(client, name, false, kDeletionId))) << "the same request";
  EXPECT_TRUE(IsError(Delete(client, name), StatusCode::NOT_FOUND, "DOCUMENT_NOT_FOUND"));
}

TEST_F(DocumentsServiceTest, ABatchTakesNamesAndIds) {
  const TestClient client = Connect();
  client.Ingest("docs", {"a", "b", "c", "d"});
  v1::BatchDeleteDocumentsResponse response;
  ASSERT_TRUE(IsOk(
      BatchDelete(client, {"collections/docs/documents/d0", "collections/docs/documents/none%2F1"},
                  {"d1", "none/2"}, &response)));
  EXPECT_EQ(response.deleted(), 2u);
  EXPECT_THAT(std::vector<std::string>(response.missing().begin(), response.missing().end()),
              ElementsAre("none/1", "none/2"));
  EXPECT_THAT(DocumentIds(client, "docs"), ElementsAre("d2", "d3"));
  // Named twice, deleted once.
  ASSERT_TRUE(
      IsOk(BatchDelete(client, {"collections/docs/documents/d2"}, {"d2", "d2"}, &response)));
  EXPECT_EQ(response.deleted(), 1u);
  EXPECT_EQ(response.missing_size(), 0);
}

TEST_F(DocumentsServiceTest, ABatchWithAMistakeDeletesNothing) {
  const TestClient client = Connect();
  client.Ingest("docs", {"a", "b"});
  client.Ingest("other", {"a"});
  const std::string name = "collections/docs/documents/d0";
  v1::BatchDeleteDocumentsResponse response;
  EXPECT_TRUE(IsBadField(BatchDelete(client, {}, {}, &response), "names"));
  EXPECT_TRUE(IsBadField(
      BatchDelete(client, {name, "collections/other/documents/d0"}, {}, &response), "names"));
  EXPECT_TRUE(IsBadField(BatchDelete(client, {name, "d1"}, {}, &response), "names"));
  EXPECT_TRUE(IsBadField(
      BatchDelete(client, {name}, std::vector<std::string>(1000, "d1"), &response), "names"));
  EXPECT_THAT(DocumentIds(client, "docs"), ElementsAre("d0", "d1"));
  EXPECT_THAT(DocumentIds(client, "other"), ElementsAre("d0"));
}

}  // namespace
}  // namespace cairn::services
