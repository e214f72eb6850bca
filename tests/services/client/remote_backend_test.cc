#include "services/client/remote_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "services/wire/messages.h"
#include "services/wire/status.h"
#include "tests/services/client/fake_server.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::unique_ptr<RemoteBackend> Connect(const FakeServer& server, ConnectionOptions options = {}) {
  options.address = server.address();
  absl::StatusOr<std::unique_ptr<RemoteBackend>> backend = RemoteBackend::Open(std::move(options));
  EXPECT_TRUE(backend.ok()) << backend.status();
  return *std::move(backend);
}

SearchRequest Query(const std::string& query) {
  SearchRequest request;
  request.query = query;
  return request;
}

std::string Message(const absl::Status& status) { return std::string(status.message()); }

// Waits until the client has gone.
grpc::Status AwaitCancel(grpc::ServerContext* context) {
  while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
  return grpc::Status::CANCELLED;
}

SearchHit Hit(const std::string& document, float score) {
  SearchHit hit;
  hit.document_id = document;
  hit.score = score;
  hit.text = "text of " + document;
  hit.lexical = {1, true, 2.5f, 0.5f};
  return hit;
}

TEST(RemoteSearchTest, TheRequestArrivesAndTheResultComesBackWhole) {
  v1::SearchRequest seen;
  FakeHandlers handlers;
  handlers.search = [&](auto*, const v1::SearchRequest& request, v1::SearchResponse* response) {
    seen = request;
    WriteSearchResponse({{Hit("a", 2), Hit("b", 1)}, {1, 2, 3, 4, 5}, 0.25f},
                        *ReadSearchRequest(request), response);
    return grpc::Status::OK;
  };
  FakeServer server(std::move(handlers));
  SearchRequest request;
  request.collection = "docs";
  request.query = "q \xff";
  request.k = 7;
  const auto found = Connect(server)->Search(request);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(seen.parent(), "collections/docs");
  EXPECT_EQ(seen.query(), "q \xEF\xBF\xBD");
  EXPECT_EQ(seen.k(), 7);
  ASSERT_EQ(found->hits.size(), 2u);
  EXPECT_EQ(found->hits[0].text, "text of a");
  EXPECT_TRUE(found->hits[1].lexical.known);
  EXPECT_EQ(found->timings.fetch, 5);
  EXPECT_EQ(found->alpha, 0.25f);
}

TEST(RemoteSearchTest, AServersErrorKeepsItsCodeAndWords) {
  FakeHandlers handlers;
  handlers.search = [](auto*, const auto&, auto*) {
    return ToGrpcStatus(BadField("filter", "has a fault at column 3"));
  };
  FakeServer server(std::move(handlers));
  const absl::Status s = Connect(server)->Search(Query("q")).status();
  EXPECT_TRUE(absl::IsInvalidArgument(s));
  EXPECT_EQ(s.message(), "filter has a fault at column 3");
}

TEST(RemoteSearchTest, ANameThatNoCollectionHasIsRefusedBeforeItIsSent) {
  FakeServer server({});
  for (const std::string bad : {"", "..", "a/b", "a b", "\xff"}) {
    SearchRequest request;
    request.collection = bad;
    request.query = "q";
    EXPECT_TRUE(absl::IsInvalidArgument(Connect(server)->Search(request).status())) << bad;
  }
}

TEST(RemoteSearchTest, WhatIsNoResultIsTheServersFault) {
  FakeHandlers handlers;
  handlers.search = [](auto*, const auto&, v1::SearchResponse* response) {
    (*response->add_passages()->mutable_metadata())["x"];  // Without a value.
    return grpc::Status::OK;
  };
  FakeServer server(std::move(handlers));
  EXPECT_TRUE(absl::IsInternal(Connect(server)->Search(Query("q")).status()));
}

TEST(RemoteSearchTest, NoServerIsUnavailableAndNamed) {
  const ::cairn::testing::TempDir dir;
  ConnectionOptions options;
  options.address = "unix:" + dir.file("none");
  const auto backend = RemoteBackend::Open(options);
  ASSERT_TRUE(backend.ok());
  const absl::Status s = (*backend)->Search(Query("q")).status();
  EXPECT_TRUE(absl::IsUnavailable(s));
  EXPECT_THAT(Message(s), HasSubstr(options.address));
}

TEST(RemoteSearchTest, TimeEndsACall) {
  FakeHandlers handlers;
  handlers.search = [](auto* context, const auto&, auto*) { return AwaitCancel(context); };
  FakeServer server(std::move(handlers));
  ConnectionOptions options;
  options.timeout = absl::Milliseconds(50);
  const absl::Status s = Connect(server, options)->Search(Query("q")).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(s)) << s;
}

TEST(RemoteSearchTest, AnInterruptEndsACall) {
  std::atomic<bool> interrupted{false};
  FakeHandlers handlers;
  handlers.search = [&](auto* context, const auto&, auto*) {
    interrupted = true;
    return AwaitCancel(context);
  };
  FakeServer server(std::move(handlers));
  ConnectionOptions options;
  options.is_cancelled = [&] { return interrupted.load(); };
  const auto backend = Connect(server, options);
  EXPECT_TRUE(absl::IsCancelled(backend->Search(Query("q")).status()));
  EXPECT_TRUE(absl::IsCancelled(backend->Search(Query("q")).status()));
}

TEST(RemoteTokenTest, ItGoesWithEveryCall) {
  const ::cairn::testing::TempDir dir;
  const std::string file = dir.Write("token", "s3cret\n");
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  std::vector<std::string> seen;
  FakeHandlers handlers;
  handlers.search = [&](grpc::ServerContext* context, const auto&, auto*) {
    const auto [begin, end] = context->client_metadata().equal_range("authorization");
    for (auto it = begin; it != end; ++it) {
      seen.emplace_back(it->second.data(), it->second.size());
    }
    return grpc::Status::OK;
  };
  FakeServer server(std::move(handlers));
  ConnectionOptions options;
  options.token_file = file;
  const auto backend = Connect(server, options);
  ASSERT_TRUE(backend->Search(Query("q")).ok());
  ASSERT_TRUE(backend->Search(Query("q")).ok());
  EXPECT_THAT(seen, ElementsAre("Bearer s3cret", "Bearer s3cret"));
}

TEST(RemoteTokenTest, ItDoesNotLeaveTheMachineUnencrypted) {
  const ::cairn::testing::TempDir dir;
  const std::string file = dir.Write("token", "s3cret\n");
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  ConnectionOptions options;
  options.address = "search.example.org:7700";
  options.token_file = file;
  const absl::Status s = RemoteBackend::Open(options).status();
  EXPECT_TRUE(absl::IsInvalidArgument(s));
  EXPECT_THAT(Message(s), HasSubstr("--tls"));
  options.security.ca = dir.Write("ca.pem", "");
  EXPECT_TRUE(RemoteBackend::Open(options).ok());
  options.security.ca.clear();
  options.address = "127.0.0.1:7700";
  EXPECT_TRUE(RemoteBackend::Open(options).ok());
}

TEST(RemoteTokenTest, ACertificateNeedsItsKey) {
  const ::cairn::testing::TempDir dir;
  ConnectionOptions options;
  options.address = "localhost:7700";
  options.security.ca = dir.Write("ca.pem", "");
  options.security.cert = dir.Write("cert.pem", "");
  EXPECT_TRUE(absl::IsInvalidArgument(RemoteBackend::Open(options).status()));
  options.security.key = dir.file("missing");
  EXPECT_TRUE(absl::IsNotFound(RemoteBackend::Open(options).status()));
}

class RemoteTopicsTest : public ::testing::Test {
 protected:
  // Answers each topic with a document of its text; "fail" fails.
  static grpc::Status Echo(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::SearchStreamResponse, v1::SearchStreamRequest>* stream) {
    v1::SearchStreamRequest request;
    while (stream->Read(&request)) {
      v1::SearchStreamResponse response;
      response.set_topic_id(request.topic_id());
      if (request.search().query() == "fail") {
        WriteRpcStatus(absl::NotFoundError("no such thing"), response.mutable_error());
      } else {
        EXPECT_EQ(request.search().view(), v1::PASSAGE_VIEW_IDS);
        response.mutable_response()->add_passages()->set_document_id(request.search().query());
      }
      stream->Write(response);
    }
    return grpc::Status::OK;
  }

  absl::Status Run(const FakeServer& server, const std::vector<engine::Topic>& topics) {
    return Connect(server)->SearchTopics({}, topics, 1, [&](size_t i, SearchResponse found) {
      found_[i] = found.hits.at(0).document_id;
    });
  }

  std::map<size_t, std::string> found_;
};

TEST_F(RemoteTopicsTest, EachTopicGetsItsResult) {
  FakeHandlers handlers;
  handlers.search_stream = Echo;
  FakeServer server(std::move(handlers));
  std::vector<engine::Topic> topics;
  // More than the windows of a connection hold.
  for (int i = 0; i < 3000; ++i) {
    topics.push_back({absl::StrCat("t", i), absl::StrCat("query ", i, std::string(200, 'x'))});
  }
  const absl::Status s = Run(server, topics);
  ASSERT_TRUE(s.ok()) << s;
  ASSERT_EQ(found_.size(), topics.size());
  for (size_t i = 0; i < topics.size(); ++i) EXPECT_EQ(found_[i], topics[i].text);
  found_.clear();
  EXPECT_TRUE(Run(server, {}).ok());
}

TEST_F(RemoteTopicsTest, AnErrorNamesItsTopic) {
  FakeHandlers handlers;
  handlers.search_stream = Echo;
  FakeServer server(std::move(handlers));
  const absl::Status s = Run(server, {{"t1", "a"}, {"t2", "fail"}, {"t3", "b"}});
  EXPECT_TRUE(absl::IsNotFound(s));
  EXPECT_EQ(s.message(), "topic t2: no such thing");
}

TEST_F(RemoteTopicsTest, TooFewResultsAreAnError) {
  FakeHandlers handlers;
  handlers.search_stream = [](auto*, auto* stream) {
    v1::SearchStreamRequest request;
    stream->Read(&request);
    v1::SearchStreamResponse response;
    response.mutable_response()->add_passages()->set_document_id("x");
    stream->Write(response);
    return grpc::Status::OK;
  };
  FakeServer server(std::move(handlers));
  const absl::Status s = Run(server, {{"t1", "a"}, {"t2", "b"}});
  EXPECT_TRUE(absl::IsInternal(s)) << s;
  EXPECT_THAT(Message(s), HasSubstr("1 of 2"));
}

class RemoteAskTest : public ::testing::Test {
 protected:
  static void Send(grpc::ServerWriter<v1::AnswerResponse>* out, const std::string& text) {
    v1::AnswerResponse event;
    event.set_text(text);
    out->Write(event);
  }
  static void SendSentence(grpc::ServerWriter<v1::AnswerResponse>* out, const std::string& text,
                           bool supported) {
    AnswerSentence sentence;
    sentence.text = text;
    sentence.supported = supported;
    v1::AnswerResponse event;
    WriteAnswerSentence(sentence, event.mutable_sentence());
    out->Write(event);
  }
  static void SendPassage(grpc::ServerWriter<v1::AnswerResponse>* out) {
    v1::AnswerResponse event;
    WritePassage(Hit("a", 1), true, true, event.mutable_passages()->add_passages());
    out->Write(event);
  }
};

TEST_F(RemoteAskTest, TheAnswerComesAsItIsMade) {
  FakeHandlers handlers;
  handlers.answer = [](auto*, const v1::AnswerRequest& request, auto* out) {
    EXPECT_EQ(request.parent(), "collections/default");
    EXPECT_EQ(request.question(), "why?");
    SendPassage(out);
    Send(out, "Because. ");
    SendSentence(out, "Because.", true);
    Send(out, "So.");
    SendSentence(out, "So.", false);
    AskResponse end;
    end.mode = AskMode::kGenerated;
    end.finish = AnswerFinish::kLength;
    end.unsupported_sentences = 1;
    end.usage.generated_tokens = 9;
    v1::AnswerResponse event;
    WriteAnswerSummary(end, event.mutable_summary());
    out->Write(event);
    return grpc::Status::OK;
  };
  FakeServer server(std::move(handlers));
  std::vector<std::string> events;
  AskRequest request;
  request.question = "why?";
  request.on_passages = [&](const auto& p) { events.push_back(absl::StrCat("p", p.size())); };
  request.on_text = [&](std::string_view text) { events.push_back("t" + std::string(text)); };
  request.on_sentence = [&](const auto& s) { events.push_back("s" + s.text); };
  request.on_usage = [&](const auto& u, const auto&) {
    events.push_back(absl::StrCat("u", u.generated_tokens));
  };
  const auto answer = Connect(server)->Ask(request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(events, ElementsAre("p1", "tBecause. ", "sBecause.", "tSo.", "sSo.", "u9"));
  EXPECT_EQ(answer->answer, "Because. So.");
  EXPECT_EQ(answer->mode, AskMode::kGenerated);
  EXPECT_EQ(answer->finish, AnswerFinish::kLength);
  EXPECT_EQ(answer->passages.size(), 1u);
  EXPECT_EQ(answer->sentences.size(), 2u);
  EXPECT_EQ(answer->unsupported_sentences, 1u);
}

TEST_F(RemoteAskTest, HowMuchIsReusedIsTheRequestsOrTheServers) {
  std::vector<v1::ReuseQuality> seen;
  FakeHandlers handlers;
  handlers.answer = [&](auto*, const v1::AnswerRequest& request, auto* out) {
    seen.push_back(request.generation().reuse());
    AskResponse end;
    end.usage.reuse.reused_tokens = 40;
    end.usage.reuse.method = "cacheblend";
    v1::AnswerResponse event;
    WriteAnswerSummary(end, event.mutable_summary());
    out->Write(event);
    return grpc::Status::OK;
  };
  FakeServer server(std::move(handlers));
  const auto backend = Connect(server);
  AskRequest request;
  request.question = "why?";
  request.reuse = ReuseQuality::kFast;
  const auto answer = backend->Ask(request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->usage.reuse.reused_tokens, 40u);
  EXPECT_EQ(answer->usage.reuse.method, "cacheblend");
  backend->LeaveReuseToServer();
  ASSERT_TRUE(backend->Ask(request).ok());
  EXPECT_THAT(seen, ElementsAre(v1::REUSE_QUALITY_FAST, v1::REUSE_QUALITY_UNSPECIFIED));
}

TEST_F(RemoteAskTest, AnInterruptKeepsWhatThereIs) {
  FakeHandlers handlers;
  handlers.answer = [](auto* context, const auto&, auto* out) {
    Send(out, "Because. And");
    SendSentence(out, "Because.", false);
    return AwaitCancel(context);
  };
  FakeServer server(std::move(handlers));
  std::atomic<bool> interrupted{false};
  AskRequest request;
  request.question = "why?";
  request.on_sentence = [&](const auto&) { interrupted = true; };
  request.is_cancelled = [&] { return interrupted.load(); };
  const auto answer = Connect(server)->Ask(request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->finish, AnswerFinish::kCancelled);
  EXPECT_EQ(answer->answer, "Because. And");
  EXPECT_EQ(answer->unsupported_sentences, 1u);
}

TEST_F(RemoteAskTest, AnInterruptBeforeThereIsAnythingIsCancelled) {
  std::atomic<bool> interrupted{false};
  FakeHandlers handlers;
  handlers.answer = [&](auto* context, const auto&, auto*) {
    interrupted = true;
    return AwaitCancel(context);
  };
  FakeServer server(std::move(handlers));
  AskRequest request;
  request.question = "why?";
  request.is_cancelled = [&] { return interrupted.load(); };
  EXPECT_TRUE(absl::IsCancelled(Connect(server)->Ask(request).status()));
}

TEST_F(RemoteAskTest, AnAnswerWithoutAnEndIsAnError) {
  FakeHandlers handlers;
  handlers.answer = [](auto*, const auto&, auto* out) {
    Send(out, "Because.");
    return grpc::Status::OK;
  };
  FakeServer server(std::move(handlers));
  AskRequest request;
  request.question = "why?";
  EXPECT_TRUE(absl::IsInternal(Connect(server)->Ask(request).status()));
}

TEST(RemoteStatsTest, TheServersCollectionsAreTold) {
  FakeHandlers handlers;
  handlers.get_stats = [](auto*, const auto&, v1::StoreStats* stats) {
    CollectionInfo info;
    info.documents = 5;
    info.chunker = "fixed";
    WriteCollection(info, "collections/docs", true, stats->add_collections());
    stats->set_uuid("u");
    stats->set_disk_bytes(9);
    return grpc::Status::OK;
  };
  FakeServer server(std::move(handlers));
  const auto info = Connect(server)->Stats();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->uuid, "u");
  EXPECT_EQ(info->disk_bytes, 9u);
  ASSERT_EQ(info->collections.size(), 1u);
  EXPECT_EQ(info->collections[0].name, "docs");
  EXPECT_EQ(info->collections[0].documents, 5u);
  EXPECT_EQ(info->collections[0].chunker, "fixed");
}

TEST(RemoteModelsTest, WhetherThereIsALanguageModelIsTheServersToSay) {
  FakeHandlers handlers;
  handlers.get_models = [](auto*, const auto&, v1::GetModelsResponse* response) {
    response->set_has_generator(true);
    return grpc::Status::OK;
  };
  FakeServer server(std::move(handlers));
  EXPECT_TRUE(*Connect(server)->CanGenerate());
}

}  // namespace
}  // namespace cairn::services
