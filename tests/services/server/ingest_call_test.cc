#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/services/server/test_calls.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Ack = v1::IngestAck;

class IngestCallTest : public ServerTest {
 protected:
  void SetUp() override { StartAndOpen(); }

  // Sends the messages as they are; what came back, and how it ended.
  static std::vector<v1::IngestResponse> Send(const TestClient& client,
                                              const std::vector<v1::IngestRequest>& messages,
                                              grpc::Status* status) {
    const std::unique_ptr<grpc::ClientContext> context = client.Context();
    const auto stream = client.documents->Ingest(context.get());
    for (const v1::IngestRequest& m : messages) {
      if (!stream->Write(m)) break;
    }
    stream->WritesDone();
    std::vector<v1::IngestResponse> responses;
    v1::IngestResponse response;
    while (stream->Read(&response)) responses.push_back(response);
    *status = stream->Finish();
    return responses;
  }
  static v1::IngestRequest Config(const std::string& parent, bool strict = false) {
    v1::IngestRequest request;
    request.mutable_config()->set_parent(parent);
    request.mutable_config()->set_strict(strict);
    return request;
  }
  static v1::IngestRequest Document(const std::string& id, const std::string& text) {
    v1::IngestRequest request;
    *request.mutable_document() = TextDocument(id, text);
    return request;
  }
};

TEST_F(IngestCallTest, TheConfigurationIsFirstAndOnlyThere) {
  const TestClient client = Connect();
  grpc::Status s;
  Send(client, {}, &s);
  EXPECT_TRUE(IsBadField(s, "config"));
  Send(client, {Document("a", "text")}, &s);
  EXPECT_TRUE(IsBadField(s, "config"));
  Send(client, {v1::IngestRequest()}, &s);
  EXPECT_TRUE(IsBadField(s, "config"));
  EXPECT_THAT(CollectionNames(client), IsEmpty());
  Send(client, {Config("collections/docs"), Config("collections/docs")}, &s);
  EXPECT_TRUE(IsBadField(s, "document"));
  Send(client, {Config("docs")}, &s);
  EXPECT_TRUE(IsBadField(s, "config.parent"));
}

TEST_F(IngestCallTest, AnIngestionWithoutDocumentsMakesTheCollection) {
  const TestClient client = Connect();
  grpc::Status s;
  const std::vector<v1::IngestResponse> responses = Send(client, {Config("collections/new")}, &s);
  EXPECT_TRUE(IsOk(s));
  ASSERT_EQ(responses.size(), 1u);
  EXPECT_TRUE(responses[0].has_summary());
  v1::Collection made;
  ASSERT_TRUE(IsOk(GetCollection(client, "new", &made)));
  EXPECT_EQ(made.settings().chunker(), v1::CHUNKER_STRUCTURE);
}

TEST_F(IngestCallTest, ABadConfigurationMakesNoCollection) {
  const TestClient client = Connect();
  grpc::Status s;
  v1::IngestRequest config = Config("collections/docs");
  (*config.mutable_config()->mutable_metadata())["year"].set_double_value(std::nan(""));
  Send(client, {config}, &s);
  EXPECT_TRUE(IsBadField(s, "config.metadata[year]"));
  config = Config("collections/docs");
  (*config.mutable_config()->mutable_metadata())["note"].set_string_value(
      std::string(65 << 10, 'x'));
  Send(client, {config}, &s);
  EXPECT_EQ(s.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(CollectionNames(client), IsEmpty());
}

TEST_F(IngestCallTest, RefusedDocumentsKeepTheirTurnAndHarmNoOther) {
  const TestClient client = Connect();
  std::vector<v1::InputDocument> documents(9);
  documents[0] = TextDocument("first", "Some text.");
  documents[1] = TextDocument("", "Without an id.");
  documents[2] = TextDocument("pdf", "Some text.");
  documents[2].set_media_type("application/pdf");
  documents[3] = TextDocument("bytes", "");
  documents[3].set_raw("caf\xE9");
  documents[4] = TextDocument("nan", "Some text.");
  (*documents[4].mutable_metadata())["x"].set_double_value(std::nan(""));
  documents[5] = TextDocument("nothing", "Some text.");
  (*documents[5].mutable_metadata())["x"];  // No kind of value.
  documents[6] = TextDocument(std::string(1025, 'i'), "Too long an id.");
  documents[7] = TextDocument("control\n", "Some text.");
  documents[8] = TextDocument("last", "");
  documents[8].set_raw("caf\xC3\xA9");
  grpc::Status s;
  v1::IngestSummary summary;
  const std::vector<Ack> acks = client.IngestDocuments("docs", documents, &s, &summary);
  EXPECT_TRUE(IsOk(s));
  ASSERT_EQ(acks.size(), documents.size());
  const std::vector<std::string> why = {"",      "document.id",       "document.media_type",
                                        "UTF-8", "document.metadata", "document.metadata",
                                        "1024",  "control",           ""};
  for (size_t i = 0; i < acks.size(); ++i) {
    EXPECT_EQ(acks[i].sequence(), i + 1);
    EXPECT_EQ(acks[i].document_id(), documents[i].id());
    const bool good = why[i].empty();
    EXPECT_EQ(acks[i].outcome(), good ? Ack::OUTCOME_CREATED : Ack::OUTCOME_REFUSED) << i;
    EXPECT_EQ(acks[i].error().code(), good ? 0 : 3) << i;
    EXPECT_THAT(acks[i].error().message(), HasSubstr(why[i])) << i;
    EXPECT_EQ(acks[i].chunk_ids_size(), good ? 1 : 0) << i;
  }
  EXPECT_EQ(summary.created(), 2u);
  EXPECT_EQ(summary.refused(), 7u);
  EXPECT_EQ(summary.warnings(), 0u);
  EXPECT_THAT(DocumentIds(client, "docs"), ElementsAre("first", "last"));
}

TEST_F(IngestCallTest, TheSummaryCountsWhatBecameOfTheDocuments) {
  const TestClient client = Connect();
  client.Ingest("docs", {"The first.", "The second.", "The third."});
  grpc::Status s;
  v1::IngestSummary summary;
  const std::vector<Ack> acks =
      client.IngestDocuments("docs",
                             {TextDocument("d0", "The first."), TextDocument("d1", "Another."),
                              TextDocument("new", "The fourth.")},
                             &s, &summary);
  ASSERT_EQ(acks.size(), 3u);
  EXPECT_EQ(acks[0].outcome(), Ack::OUTCOME_UNCHANGED);
  EXPECT_EQ(acks[1].outcome(), Ack::OUTCOME_REPLACED);
  EXPECT_EQ(acks[2].outcome(), Ack::OUTCOME_CREATED);
  EXPECT_EQ(summary.unchanged(), 1u);
  EXPECT_EQ(summary.replaced(), 1u);
  EXPECT_EQ(summary.created(), 1u);
  EXPECT_EQ(summary.refused(), 0u);
  EXPECT_EQ(summary.chunks(), 2u);
  EXPECT_EQ(summary.bytes(), std::string("The first.Another.The fourth.").size());
  EXPECT_GE(summary.embed_calls(), 1u);
  EXPECT_GE(summary.embed_busy(), 0);
  EXPECT_LE(summary.embed_busy(), 1);
}

TEST_F(IngestCallTest, OfOneIdTheLastDocumentStays) {
  const TestClient client = Connect();
  grpc::Status s;
  v1::IngestSummary summary;
  const std::vector<Ack> acks =
      client.IngestDocuments("docs",
                             {TextDocument("d", "The first."), TextDocument("e", "Other."),
                              TextDocument("d", "The last.")},
                             &s, &summary);
  ASSERT_EQ(acks.size(), 3u);
  for (size_t i = 0; i < acks.size(); ++i) {
    EXPECT_EQ(acks[i].sequence(), i + 1);
    EXPECT_NE(acks[i].outcome(), Ack::OUTCOME_REFUSED);
    EXPECT_NE(acks[i].outcome(), Ack::OUTCOME_UNSPECIFIED);
  }
  v1::Document found;
  ASSERT_TRUE(IsOk(GetDocument(client, "collections/docs/documents/d", &found)));
  EXPECT_EQ(found.text(), "The last.");
  EXPECT_EQ(found.chunks(0).chunk_id(), acks[2].chunk_ids(0));
  EXPECT_EQ(summary.refused(), 0u);
}

TEST_F(IngestCallTest, InStrictModeTheFirstRefusalIsTheEnd) {
  const TestClient client = Connect();
  grpc::Status s;
  v1::IngestRequest bad = Document("bad", "Some text.");
  bad.mutable_document()->set_media_type("application/pdf");
  const std::vector<v1::IngestResponse> responses = Send(
      client, {Config("collections/docs", true), Document("a", "One."), bad, Document("b", "Two.")},
      &s);
  EXPECT_EQ(s.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(s.error_message(), HasSubstr("media_type")) << "what was wrong with it";
  ASSERT_EQ(responses.size(), 2u);
  EXPECT_EQ(responses[0].ack().outcome(), Ack::OUTCOME_CREATED);
  EXPECT_EQ(responses[1].ack().outcome(), Ack::OUTCOME_REFUSED);
  EXPECT_EQ(responses[1].ack().document_id(), "bad");
  EXPECT_THAT(DocumentIds(client, "docs"), ElementsAre("a"));
}

TEST_F(IngestCallTest, MarkupIsReadAsItsMediaTypeHasIt) {
  const TestClient client = Connect();
  std::vector<v1::InputDocument> documents = {
      TextDocument("md", "# The title\n\nA paragraph.\n\n## Below\n\nAnother one.\n"),
      TextDocument("html",
                   "<html><head><title>A page</title><script>alert(1)</script></head><body>"
                   "<h1>Heading</h1><p>Fish &amp; chips.</p></body></html>"),
      TextDocument("text", "# No title\n\n<p>as it is</p>")};
  documents[0].set_media_type("text/markdown");
  documents[1].set_media_type("text/html");
  client.IngestDocuments("docs", documents);
  v1::Document found;
  ASSERT_TRUE(IsOk(GetDocument(client, "collections/docs/documents/md", &found)));
  EXPECT_EQ(found.title(), "The title");
  EXPECT_EQ(found.media_type(), "text/markdown");
  bool below = false;
  for (const v1::DocumentChunk& c : found.chunks()) {
    for (const std::string& h : c.headings()) below = below || h == "Below";
    EXPECT_LE(c.span().end(), found.text().size());
  }
  EXPECT_TRUE(below || found.chunks_size() == 1);
  ASSERT_TRUE(IsOk(GetDocument(client, "collections/docs/documents/html", &found)));
  EXPECT_EQ(found.title(), "A page");
  EXPECT_THAT(found.text(), HasSubstr("Fish & chips."));
  EXPECT_THAT(found.text(), ::testing::Not(HasSubstr("alert")));
  ASSERT_TRUE(IsOk(GetDocument(client, "collections/docs/documents/text", &found)));
  EXPECT_THAT(found.text(), HasSubstr("<p>as it is</p>"));
}

TEST_F(IngestCallTest, TheConfigurationsMetadataWins) {
  const TestClient client = Connect();
  v1::IngestRequest config = Config("collections/docs");
  (*config.mutable_config()->mutable_metadata())["lang"].set_string_value("en");
  v1::IngestRequest document = Document("d", "Some text.");
  auto& own = *document.mutable_document()->mutable_metadata();
  own["lang"].set_string_value("de");
  own["year"].set_int_value(2020);
  grpc::Status s;
  Send(client, {config, document}, &s);
  ASSERT_TRUE(IsOk(s));
  v1::Document found;
  ASSERT_TRUE(IsOk(GetDocument(client, "collections/docs/documents/d", &found)));
  EXPECT_EQ(found.metadata().at("lang").string_value(), "en");
  EXPECT_EQ(found.metadata().at("year").int_value(), 2020);
}

TEST_F(IngestCallTest, ATitleCanDoWithoutAText) {
  const TestClient client = Connect();
  v1::InputDocument titled = TextDocument("titled", "");
  titled.set_title("Only a title");
  v1::InputDocument neither;
  neither.set_id("neither");
  const std::vector<Ack> acks = client.IngestDocuments("docs", {titled, neither});
  ASSERT_EQ(acks.size(), 2u);
  EXPECT_EQ(acks[0].outcome(), Ack::OUTCOME_CREATED);
  v1::SearchResponse found;
  ASSERT_TRUE(IsOk(client.Search("docs", "title", &found)));
  ASSERT_GE(found.passages_size(), 1);
  EXPECT_EQ(found.passages(0).document_id(), "titled");
}

}  // namespace
}  // namespace cairn::services
