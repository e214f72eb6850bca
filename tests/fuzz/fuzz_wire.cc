// Requests and names of the API: whatever bytes come are refused or read, and what was read goes
// over the wire again as it was. The first byte says what the rest is.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/rpc/status.pb.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cairn/v1/admin.pb.h"
#include "cairn/v1/answer.pb.h"
#include "cairn/v1/collections.pb.h"
#include "cairn/v1/documents.pb.h"
#include "cairn/v1/search.pb.h"
#include "services/wire/messages.h"
#include "services/wire/resource_names.h"
#include "services/wire/status.h"

namespace {

using namespace cairn::services;
namespace v1 = cairn::v1;

void Require(bool promise) {
  if (!promise) std::abort();
}

// Maps in order, so that equal messages are equal bytes.
std::string Bytes(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream out(&bytes);
  google::protobuf::io::CodedOutputStream coded(&out);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

// Reads `bytes`; what is no request is refused as a field at fault, and anything else comes back
// from what is written of it.
template <typename Message, typename Read, typename Write>
void CheckRequest(const std::string& bytes, Read read, Write write) {
  Message message;
  if (!message.ParseFromString(bytes)) return;
  const auto value = read(message);
  if (!value.ok()) {
    Require(absl::IsInvalidArgument(value.status()) && !value.status().message().empty());
    google::rpc::Status status;
    WriteRpcStatus(value.status(), &status);
    Require(status.ParseFromString(status.SerializeAsString()) && status.details_size() == 2);
    return;
  }
  Message written;
  write(*value, &written);
  Message received;
  Require(received.ParseFromString(written.SerializeAsString()));
  const auto again = read(received);
  Require(again.ok());
  Message rewritten;
  write(*again, &rewritten);
  Require(Bytes(rewritten) == Bytes(written));
}

// What comes from a server cannot be refused: it is read without harm.
template <typename Message, typename Read>
void CheckReply(const std::string& bytes, Read read) {
  Message message;
  if (message.ParseFromString(bytes)) static_cast<void>(read(message));
}

void CheckReplies(const std::string& bytes) {
  CheckReply<v1::IngestAck>(bytes, [](const auto& m) { return ReadIngestAck(m); });
  CheckReply<v1::IngestSummary>(bytes, [](const auto& m) { return ReadIngestSummary(m); });
  CheckReply<v1::Collection>(bytes, [](const auto& m) { return ReadCollection(m); });
  CheckReply<v1::SearchResponse>(bytes, [](const auto& m) { return ReadSearchResponse(m); });
  CheckReply<v1::AnswerSentence>(bytes, [](const auto& m) { return ReadAnswerSentence(m); });
  CheckReply<v1::VerifyStoreResponse>(bytes, [](const auto& m) { return ReadVerifyResult(m); });
  CheckReply<google::rpc::Status>(bytes, [](const auto& m) { return FromRpcStatus(m); });
  CheckReply<v1::AnswerSummary>(bytes, [](const auto& m) {
    cairn::AskResponse response;
    ReadAnswerSummary(m, &response);
    return response;
  });
}

void CheckNames(const std::string& name) {
  if (const auto id = ParseCollectionName("name", name); id.ok()) {
    Require(IsResourceId(*id) && CollectionName(*id) == name);
  }
  if (const auto id = ParseOperationName("name", name); id.ok()) {
    Require(IsResourceId(*id) && OperationName(*id) == name);
  }
  if (const auto path = ParseDocumentName("name", name); path.ok()) {
    Require(IsResourceId(path->collection) && !path->document.empty());
    const auto again = ParseDocumentName("name", DocumentName(path->collection, path->document));
    Require(again.ok() && again->collection == path->collection &&
            again->document == path->document);
  }
  // As an id, too: any bytes can be one.
  if (name.empty() || name.size() > 1024) return;
  const auto path = ParseDocumentName("name", DocumentName("c", name));
  Require(path.ok() && path->document == name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 's':
      CheckRequest<v1::SearchRequest>(rest, ReadSearchRequest, WriteSearchRequest);
      break;
    case 'a':
      CheckRequest<v1::AnswerRequest>(rest, ReadAnswerRequest, WriteAnswerRequest);
      break;
    case 'd':
      CheckRequest<v1::InputDocument>(rest, ReadInputDocument, WriteInputDocument);
      break;
    case 'c':
      CheckRequest<v1::CollectionSettings>(rest, ReadCollectionSettings, WriteCollectionSettings);
      break;
    case 'n':
      CheckNames(rest);
      break;
    default:
      CheckReplies(rest);
  }
  return 0;
}
