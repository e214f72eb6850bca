#include "services/client/remote_backend.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cairn/v1/admin.grpc.pb.h"
#include "cairn/v1/admin.pb.h"
#include "cairn/v1/answer.grpc.pb.h"
#include "cairn/v1/answer.pb.h"
#include "cairn/v1/models.grpc.pb.h"
#include "cairn/v1/models.pb.h"
#include "cairn/v1/search.grpc.pb.h"
#include "cairn/v1/search.pb.h"
#include "chunking/readers/text_checks.h"
#include "chunking/text/utf8_repair.h"
#include "services/client/remote_collections.h"
#include "services/client/remote_ingestion.h"
#include "services/wire/messages.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

// A text from a command line may hold any bytes. In a query, those that are no UTF-8 are no words
// either.
std::string Repaired(const std::string& text) {
  std::string repaired;
  chunking::AppendRepairedUtf8(text, &repaired);
  return repaired;
}

absl::Status CheckFilter(const std::string& filter) {
  if (chunking::IsUtf8(filter)) return absl::OkStatus();
  return absl::InvalidArgumentError("the filter is not valid UTF-8");
}

absl::StatusOr<v1::SearchRequest> MakeSearchRequest(const SearchCall& call) {
  absl::StatusOr<std::string> parent = RemoteCollection(call.request.collection);
  if (!parent.ok()) return parent.status();
  if (absl::Status s = CheckFilter(call.request.filter); !s.ok()) return s;
  v1::SearchRequest request;
  WriteSearchRequest(call, &request);
  request.set_parent(*std::move(parent));
  request.set_query(Repaired(call.request.query));
  return request;
}

// The server's answer, read as it comes.
class AnswerReading {
 public:
  AnswerReading(const AskRequest& request, AskResponse* response)
      : request_(request), response_(response) {}

  absl::Status Take(const v1::AnswerResponse& event) {
    switch (event.event_case()) {
      case v1::AnswerResponse::kPassages:
        return TakePassages(event.passages());
      case v1::AnswerResponse::kText:
        response_->answer += event.text();
        if (request_.on_text) request_.on_text(event.text());
        break;
      case v1::AnswerResponse::kSentence:
        response_->sentences.push_back(ReadAnswerSentence(event.sentence()));
        if (request_.on_sentence) request_.on_sentence(response_->sentences.back());
        break;
      case v1::AnswerResponse::kSummary:
        ReadAnswerSummary(event.summary(), response_);
        complete_ = true;
        if (request_.on_usage) request_.on_usage(response_->usage, response_->timings);
        break;
      case v1::AnswerResponse::EVENT_NOT_SET:
        break;  // Something newer.
    }
    return absl::OkStatus();
  }

  bool complete() const { return complete_; }

  // Without the summary that tells.
  void EndEarly() {
    response_->mode = AskMode::kGenerated;
    response_->finish = AnswerFinish::kCancelled;
    response_->unsupported_sentences =
        static_cast<size_t>(std::count_if(response_->sentences.begin(), response_->sentences.end(),
                                          [](const AnswerSentence& s) { return !s.supported; }));
  }

 private:
  absl::Status TakePassages(const v1::AnswerPassages& passages) {
    for (const v1::Passage& passage : passages.passages()) {
      absl::StatusOr<SearchHit> hit = ReadPassage(passage);
      if (!hit.ok()) {
        return absl::InternalError(
            absl::StrCat("the server sent what is no passage: ", hit.status().message()));
      }
      response_->passages.push_back(*std::move(hit));
    }
    if (request_.on_passages) request_.on_passages(response_->passages);
    return absl::OkStatus();
  }

  const AskRequest& request_;
  AskResponse* const response_;
  bool complete_ = false;
};

absl::StatusOr<SearchResponse> ReadFound(const v1::SearchResponse& response) {
  absl::StatusOr<SearchResponse> found = ReadSearchResponse(response);
  if (found.ok()) return found;
  // The request was right: the code that this has is not for it.
  return absl::InternalError(
      absl::StrCat("the server sent what is no result: ", found.status().message()));
}

absl::StatusOr<SearchResponse> ReadTopic(const v1::SearchStreamResponse& response) {
  if (!response.has_error()) return ReadFound(response.response());
  const absl::Status status = FromRpcStatus(response.error());
  return status.ok() ? absl::InternalError("the server sent an error that is none") : status;
}

}  // namespace

struct RemoteBackend::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : search(channel), answer(channel), models(channel), admin(channel) {}

  v1::Search::Stub search;
  v1::Answer::Stub answer;
  v1::Models::Stub models;
  v1::Admin::Stub admin;
};

absl::StatusOr<std::unique_ptr<RemoteBackend>> RemoteBackend::Open(ConnectionOptions options) {
  absl::StatusOr<std::unique_ptr<ServerConnection>> connection =
      ServerConnection::Open(std::move(options));
  if (!connection.ok()) return connection.status();
  return std::unique_ptr<RemoteBackend>(new RemoteBackend(*std::move(connection)));
}

RemoteBackend::RemoteBackend(std::unique_ptr<ServerConnection> connection)
    : connection_(std::move(connection)), stubs_(std::make_unique<Stubs>(connection_->channel())) {}

RemoteBackend::~RemoteBackend() = default;

absl::StatusOr<SearchResponse> RemoteBackend::Search(const SearchRequest& request) {
  // The command prints scores and timings of its own accord.
  absl::StatusOr<v1::SearchRequest> message = MakeSearchRequest({request, /*explain=*/true});
  if (!message.ok()) return message.status();
  ServerCall call(connection_.get(), ServerCall::Kind::kQuery, request.is_cancelled);
  v1::SearchResponse response;
  const absl::Status s = call.Ended(stubs_->search.Search(call.context(), *message, &response));
  if (!s.ok()) return s;
  return ReadFound(response);
}

absl::Status RemoteBackend::SearchTopics(
    const SearchRequest& request, absl::Span<const engine::Topic> topics, size_t /*threads*/,
    const std::function<void(size_t, SearchResponse)>& on_found) {
  SearchCall each{request, /*explain=*/false};
  each.request.with_text = false;
  absl::StatusOr<v1::SearchRequest> made = MakeSearchRequest(each);
  if (!made.ok()) return made.status();
  ServerCall call(connection_.get(), ServerCall::Kind::kQuery, request.is_cancelled);
  const auto stream = stubs_->search.SearchStream(call.context());
  // Results come while queries go.
  std::thread writer([&] {
    v1::SearchStreamRequest message;
    *message.mutable_search() = *made;
    for (const engine::Topic& topic : topics) {
      message.set_topic_id(Repaired(topic.id));
      message.mutable_search()->set_query(Repaired(topic.text));
      if (!stream->Write(message)) return;
    }
    stream->WritesDone();
  });
  absl::Status fault;
  size_t answered = 0;
  v1::SearchStreamResponse response;
  while (stream->Read(&response)) {
    if (!fault.ok()) continue;  // The rest of a call that was given up.
    if (answered == topics.size()) {
      fault = absl::InternalError("the server answered more queries than it was asked");
    } else {
      const engine::Topic& topic = topics[answered];
      absl::StatusOr<SearchResponse> found = ReadTopic(response);
      if (found.ok()) {
        on_found(answered++, *std::move(found));
      } else {
        fault = absl::Status(found.status().code(),
                             absl::StrCat("topic ", topic.id, ": ", found.status().message()));
      }
    }
    if (!fault.ok()) call.context()->TryCancel();
  }
  writer.join();
  const absl::Status ended = call.Ended(stream->Finish());
  if (!fault.ok()) return fault;
  if (!ended.ok()) return ended;
  if (answered < topics.size()) {
    return absl::InternalError(
        absl::StrCat("the server answered ", answered, " of ", topics.size(), " queries"));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> RemoteBackend::CanGenerate() {
  ServerCall call(connection_.get(), ServerCall::Kind::kQuery);
  v1::GetModelsResponse response;
  const absl::Status s =
      call.Ended(stubs_->models.GetModels(call.context(), v1::GetModelsRequest(), &response));
  if (!s.ok()) return s;
  return response.has_generator();
}

absl::StatusOr<AskResponse> RemoteBackend::Ask(const AskRequest& request) {
  absl::StatusOr<std::string> parent = RemoteCollection(request.collection);
  if (!parent.ok()) return parent.status();
  if (absl::Status s = CheckFilter(request.filter); !s.ok()) return s;
  v1::AnswerRequest message;
  WriteAnswerRequest(request, &message);
  message.set_parent(*std::move(parent));
  message.set_question(Repaired(request.question));
  if (leaves_reuse_to_server_) message.mutable_generation()->clear_reuse();
  ServerCall call(connection_.get(), ServerCall::Kind::kQuery, request.is_cancelled);
  const auto stream = stubs_->answer.Answer(call.context(), message);
  AskResponse answer;
  AnswerReading reading(request, &answer);
  absl::Status fault;
  v1::AnswerResponse event;
  while (stream->Read(&event)) {
    if (!fault.ok()) continue;
    fault = reading.Take(event);
    if (!fault.ok()) call.context()->TryCancel();
  }
  const absl::Status ended = call.Ended(stream->Finish());
  if (!fault.ok()) return fault;
  // Who interrupts an answer keeps what there is of it.
  if (absl::IsCancelled(ended) && request.is_cancelled && !answer.answer.empty()) {
    reading.EndEarly();
    return answer;
  }
  if (!ended.ok()) return ended;
  if (!reading.complete()) return absl::InternalError("the server ended the answer before its end");
  return answer;
}

absl::StatusOr<IngestReport> RemoteBackend::Ingest(absl::Span<const std::string> paths,
                                                   const IngestOptions& options) {
  if (absl::Status s = RemoteCollection(options.collection).status(); !s.ok()) return s;
  // What the server would refuse, without a word of its fields.
  if (absl::Status s = Engine::CheckOptions(options); !s.ok()) return s;
  absl::Status s = EnsureCollection(connection_.get(), options.collection, options.create);
  if (!s.ok()) return s;
  return IngestRemotely(connection_.get(), paths, options);
}

absl::Status RemoteBackend::AwaitSeals(const std::string& /*collection*/) {
  return absl::OkStatus();
}

absl::StatusOr<StoreInfo> RemoteBackend::Stats() {
  ServerCall call(connection_.get(), ServerCall::Kind::kQuery);
  v1::StoreStats stats;
  const absl::Status s =
      call.Ended(stubs_->admin.GetStats(call.context(), v1::GetStatsRequest(), &stats));
  if (!s.ok()) return s;
  StoreInfo info;
  info.uuid = stats.uuid();
  info.disk_bytes = stats.disk_bytes();
  for (const v1::Collection& collection : stats.collections()) {
    info.collections.push_back(ReadCollection(collection));
  }
  return info;
}

}  // namespace cairn::services
