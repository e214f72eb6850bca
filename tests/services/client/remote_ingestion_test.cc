#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/client/path_documents.h"
#include "services/client/remote_backend.h"
#include "services/wire/messages.h"
#include "services/wire/status.h"
#include "tests/services/client/fake_server.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using IngestServerStream = grpc::ServerReaderWriter<v1::IngestResponse, v1::IngestRequest>;

class RemoteIngestionTest : public ::testing::Test {
 protected:
  // Acknowledges one document.
  static void Acknowledge(IngestServerStream* stream, uint64_t sequence,
                          const v1::InputDocument& document) {
    IngestOutcome outcome;
    outcome.sequence = sequence;
    outcome.document_id = document.id();
    outcome.kind = IngestOutcome::Kind::kCreated;
    outcome.first_chunk = 10 * sequence;
    outcome.chunk_count = 2;
    if (document.id() == "bad") {
      outcome.kind = IngestOutcome::Kind::kRefused;
      outcome.chunk_count = 0;
      outcome.reason = "is bad";
    } else if (document.id() == "old") {
      outcome.kind = IngestOutcome::Kind::kUnchanged;
    }
    v1::IngestResponse response;
    WriteIngestAck(outcome, response.mutable_ack());
    stream->Write(response);
  }

  // Takes documents as the real server does, `most` of them.
  grpc::Status Serve(IngestServerStream* stream, uint64_t most = ~uint64_t{0}) {
    v1::IngestRequest request;
    if (!stream->Read(&request) || !request.has_config()) {
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no config");
    }
    config_ = request.config();
    IngestReport report;
    uint64_t refused = 0;
    while (documents_.size() < most && stream->Read(&request)) {
      documents_.push_back(request.document());
      Acknowledge(stream, documents_.size(), request.document());
      if (request.document().id() == "bad") {
        ++refused;
      } else if (request.document().id() == "old") {
        ++report.unchanged;
      } else {
        ++report.created;
        report.chunks += 2;
      }
    }
    if (documents_.size() >= most) {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "going down");
    }
    report.issues = refused + 1;
    report.embed_calls = 4;
    v1::IngestResponse response;
    WriteIngestSummary(report, refused, response.mutable_summary());
    stream->Write(response);
    return grpc::Status::OK;
  }

  FakeHandlers Handlers() {
    FakeHandlers handlers;
    handlers.ingest = [this](auto*, auto* stream) { return Serve(stream); };
    return handlers;
  }

  absl::StatusOr<IngestReport> Ingest(const FakeServer& server,
                                      const std::vector<std::string>& paths,
                                      ConnectionOptions connection = {}) {
    connection.address = server.address();
    options_.report = &report_;
    options_.on_issue = [this](const IngestIssue& issue) {
      issues_.push_back(absl::StrCat(issue.source, ":", issue.line, ": ", issue.reason));
    };
    options_.on_durable = [this](const std::string& id) { durable_.push_back(id); };
    absl::StatusOr<std::unique_ptr<RemoteBackend>> backend =
        RemoteBackend::Open(std::move(connection));
    if (!backend.ok()) return backend.status();
    return (*backend)->Ingest(paths, options_);
  }

  std::string WriteRecords(const std::vector<std::string>& ids) const {
    std::string lines;
    for (const std::string& id : ids) {
      absl::StrAppend(&lines, "{\"_id\": \"", id, "\", \"text\": \"Text of ", id, ".\"}\n");
    }
    return dir_.Write("records.jsonl", lines);
  }

  const ::cairn::testing::TempDir dir_;
  IngestOptions options_;
  IngestReport report_;
  std::vector<std::string> issues_, durable_;
  // What the server got; read once it has ended the call.
  v1::IngestConfig config_;
  std::vector<v1::InputDocument> documents_;
};

TEST_F(RemoteIngestionTest, DocumentsAreSentAndAcknowledgedInOrder) {
  const std::string records = WriteRecords({"a", "old", "b"});
  const std::string page = dir_.Write("page.md", "# Title\n\nText.\n");
  options_.collection = "docs";
  options_.metadata["lang"] = std::string("en");
  FakeServer server(Handlers());
  const auto report = Ingest(server, {records, page});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(config_.parent(), "collections/docs");
  EXPECT_EQ(config_.metadata().at("lang").string_value(), "en");
  EXPECT_FALSE(config_.strict());
  ASSERT_EQ(documents_.size(), 4u);
  EXPECT_EQ(documents_[0].text(), "Text of a.");
  EXPECT_EQ(documents_[0].media_type(), "text/plain");
  EXPECT_EQ(documents_[3].text(), "# Title\n\nText.\n");
  EXPECT_EQ(documents_[3].media_type(), "text/markdown");
  EXPECT_EQ(documents_[3].title(), "Title");
  EXPECT_THAT(durable_, ElementsAre("a", "old", "b", page));
  EXPECT_EQ(report->created, 3u);
  EXPECT_EQ(report->unchanged, 1u);
  EXPECT_EQ(report->chunks, 6u);
  EXPECT_EQ(report->embed_calls, 4u);
  EXPECT_EQ(report->issues, 1u);  // The server's own.
  EXPECT_EQ(report->bytes, TotalPathBytes({records, page}));
}

TEST_F(RemoteIngestionTest, IssuesOfBothSidesAreToldWithTheirPlaces) {
  const std::string records = dir_.Write("records.jsonl",
                                         "{\"_id\": \"a\", \"text\": \"x\"}\n"
                                         "no record\n"
                                         "{\"_id\": \"bad\", \"text\": \"x\"}\n");
  FakeServer server(Handlers());
  const auto report = Ingest(server, {records});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->issues, 3u);
  ASSERT_EQ(issues_.size(), 2u);
  EXPECT_THAT(issues_, ::testing::Contains(records + ":3: is bad"));
  EXPECT_THAT(issues_, ::testing::Contains(HasSubstr(records + ":2: ")));
}

TEST_F(RemoteIngestionTest, AStrictIngestionEndsAtTheFirstIssueAndKeepsWhatWasBefore) {
  const std::string records = dir_.Write("records.jsonl",
                                         "{\"_id\": \"a\", \"text\": \"x\"}\n"
                                         "no record\n"
                                         "{\"_id\": \"b\", \"text\": \"x\"}\n");
  options_.strict = true;
  FakeServer server(Handlers());
  const absl::Status s = Ingest(server, {records}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(s)) << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr(records + ":2: "));
  EXPECT_THAT(std::string(s.message()), HasSubstr("1 document was acknowledged"));
  EXPECT_TRUE(config_.strict());
  EXPECT_THAT(durable_, ElementsAre("a"));
  EXPECT_EQ(report_.created, 1u);
}

TEST_F(RemoteIngestionTest, AServerThatGoesAwayLeavesItsAcknowledgements) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5000; ++i) ids.push_back(absl::StrCat("d", i));
  FakeHandlers handlers;
  handlers.ingest = [this](auto*, auto* stream) { return Serve(stream, 700); };
  FakeServer server(std::move(handlers));
  const absl::Status s = Ingest(server, {WriteRecords(ids)}).status();
  EXPECT_TRUE(absl::IsUnavailable(s)) << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr(server.address()));
  EXPECT_THAT(std::string(s.message()), HasSubstr("700 documents were acknowledged"));
  EXPECT_THAT(std::string(s.message()), HasSubstr("running it again goes on"));
  EXPECT_EQ(durable_, std::vector<std::string>(ids.begin(), ids.begin() + 700));
  EXPECT_EQ(report_.created, 700u);
}

TEST_F(RemoteIngestionTest, AnAbruptEndIsUnavailable) {
  const std::string records = WriteRecords({"a", "b", "c"});
  FakeServer* running = nullptr;
  std::thread stopper;
  FakeHandlers handlers;
  handlers.ingest = [&](grpc::ServerContext* context, IngestServerStream* stream) {
    v1::IngestRequest request;
    stream->Read(&request);
    stream->Read(&request);
    Acknowledge(stream, 1, request.document());
    stopper = std::thread([&] { running->Stop(); });
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  FakeServer server(std::move(handlers));
  running = &server;
  const absl::Status s = Ingest(server, {records}).status();
  stopper.join();
  EXPECT_FALSE(s.ok());
  EXPECT_THAT(std::string(s.message()), HasSubstr("acknowledged as stored"));
}

TEST_F(RemoteIngestionTest, AnInterruptEndsIt) {
  std::atomic<bool> interrupted{false};
  FakeHandlers handlers;
  handlers.ingest = [&](grpc::ServerContext* context, auto*) {
    interrupted = true;
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  FakeServer server(std::move(handlers));
  ConnectionOptions connection;
  connection.is_cancelled = [&] { return interrupted.load(); };
  // More than the connection holds: the sender waits for the server.
  const std::string large = dir_.Write("large.txt", std::string(40 << 20, 'a'));
  const absl::Status s = Ingest(server, {large, large, large}, connection).status();
  EXPECT_TRUE(absl::IsCancelled(s)) << s;
}

TEST_F(RemoteIngestionTest, ALargeDocumentFitsIntoAMessage) {
  const std::string large = dir_.Write("large.txt", std::string(40 << 20, 'a'));
  const std::string too_large = dir_.Write("too_large.txt", std::string(64 << 20, 'a'));
  FakeServer server(Handlers());
  const auto report = Ingest(server, {large, too_large});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(durable_, ElementsAre(large));
  ASSERT_EQ(issues_.size(), 1u);
  EXPECT_THAT(issues_[0], HasSubstr("larger than"));
}

TEST_F(RemoteIngestionTest, NothingToSendIsNoError) {
  FakeServer server(Handlers());
  const auto report = Ingest(server, {dir_.path()});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->created, 0u);
  EXPECT_THAT(durable_, IsEmpty());
}

TEST_F(RemoteIngestionTest, SettingsMakeTheCollectionThatIsMissing) {
  v1::CreateCollectionRequest created;
  FakeHandlers handlers = Handlers();
  handlers.get_collection = [](auto*, const auto&, auto*) {
    return ToGrpcStatus(absl::NotFoundError("not there"));
  };
  handlers.create_collection = [&](auto*, const v1::CreateCollectionRequest& request, auto*) {
    created = request;
    return grpc::Status::OK;
  };
  FakeServer server(std::move(handlers));
  options_.collection = "docs";
  options_.create.chunker = "fixed";
  options_.create.chunk_tokens = 64;
  const auto report = Ingest(server, {WriteRecords({"a"})});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(created.collection_id(), "docs");
  EXPECT_EQ(created.collection().settings().chunker(), v1::CHUNKER_FIXED);
  EXPECT_EQ(created.collection().settings().chunk_tokens(), 64u);
}

TEST_F(RemoteIngestionTest, SettingsThatACollectionDoesNotHaveAreRefused) {
  FakeHandlers handlers = Handlers();
  handlers.get_collection = [](auto*, const v1::GetCollectionRequest& request,
                               v1::Collection* collection) {
    CollectionInfo info;
    info.chunker = "structure";
    info.chunk_tokens = 512;
    WriteCollection(info, request.name(), true, collection);
    return grpc::Status::OK;
  };
  FakeServer server(std::move(handlers));
  options_.create.chunk_tokens = 64;
  const absl::Status s = Ingest(server, {WriteRecords({"a"})}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr("chunk size 512, not 64"));
  EXPECT_THAT(documents_, IsEmpty());
  options_.create.chunk_tokens = 512;
  EXPECT_TRUE(Ingest(server, {WriteRecords({"a"})}).ok());
}

TEST_F(RemoteIngestionTest, SettingsThatNoCollectionCanHaveNeverLeave) {
  FakeServer server(Handlers());
  options_.create.analyzer = "klingon";
  EXPECT_TRUE(absl::IsInvalidArgument(Ingest(server, {WriteRecords({"a"})}).status()));
  EXPECT_THAT(documents_, IsEmpty());
}

TEST_F(RemoteIngestionTest, ProgressReachesTheTotal) {
  const std::string records = WriteRecords({"a", "b"});
  IngestProgress last;
  options_.on_progress = [&](const IngestProgress& progress) { last = progress; };
  FakeServer server(Handlers());
  ASSERT_TRUE(Ingest(server, {records}).ok());
  EXPECT_EQ(last.bytes_read, last.bytes_total);
  EXPECT_GT(last.bytes_total, 0u);
  EXPECT_EQ(last.documents, 2u);
}

}  // namespace
}  // namespace cairn::services
