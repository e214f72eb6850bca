// The engine's structs and the API's messages, each made from the other.
#ifndef CAIRN_SERVICES_WIRE_MESSAGES_H_
#define CAIRN_SERVICES_WIRE_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace google::protobuf {
class Timestamp;
}
namespace cairn::v1 {
class AnswerPassages;
class AnswerRequest;
class AnswerSentence;
class AnswerSummary;
class Collection;
class CollectionSettings;
class Document;
class InputDocument;
class IngestAck;
class IngestSummary;
class MetadataValue;
class Passage;
class SearchRequest;
class SearchResponse;
class VerifyStoreResponse;
}  // namespace cairn::v1

namespace cairn::services {

// Read... takes a message from outside: InvalidArgument naming the field at fault (BadField), with
// defaults filled in as the API's comments have them. Write... cannot fail. What Write... writes,
// Read... reads back as it was. None of them deals with the names of collections (`parent`,
// `name`): a server's tenant and a client's wish decide those.

// `field` is what errors call it, e.g. "config.metadata[\"year\"]".
absl::StatusOr<MetadataValue> ReadMetadataValue(const v1::MetadataValue& in,
                                                std::string_view field);
void WriteMetadataValue(const MetadataValue& in, v1::MetadataValue* out);

absl::StatusOr<InputDocument> ReadInputDocument(v1::InputDocument in);
void WriteInputDocument(const InputDocument& in, v1::InputDocument* out);
void WriteIngestAck(const IngestOutcome& in, v1::IngestAck* out);
IngestOutcome ReadIngestAck(const v1::IngestAck& in);
void WriteIngestSummary(const IngestReport& in, uint64_t refused, v1::IngestSummary* out);
// The issues of a report are refused documents and warnings.
IngestReport ReadIngestSummary(const v1::IngestSummary& in);

absl::StatusOr<CollectionOptions> ReadCollectionSettings(const v1::CollectionSettings& in);
void WriteCollectionSettings(const CollectionOptions& in, v1::CollectionSettings* out);
// `name` is the resource's.
void WriteCollection(const CollectionInfo& in, std::string_view name, bool with_statistics,
                     v1::Collection* out);
// CollectionInfo::name is the resource's name without "collections/".
CollectionInfo ReadCollection(const v1::Collection& in);

void WriteDocument(const StoredDocument& in, std::string_view name, bool full, v1::Document* out);
void WriteDocument(const DocumentSummary& in, std::string_view name, v1::Document* out);

struct SearchCall {
  SearchRequest request;
  bool explain = false;
};
absl::StatusOr<SearchCall> ReadSearchRequest(const v1::SearchRequest& in);
void WriteSearchRequest(const SearchCall& in, v1::SearchRequest* out);
void WriteSearchResponse(const SearchResponse& in, const SearchCall& call, v1::SearchResponse* out);
absl::StatusOr<SearchResponse> ReadSearchResponse(const v1::SearchResponse& in);
void WritePassage(const SearchHit& in, bool with_text, bool explain, v1::Passage* out);
absl::StatusOr<SearchHit> ReadPassage(const v1::Passage& in);

absl::StatusOr<AskRequest> ReadAnswerRequest(const v1::AnswerRequest& in);
void WriteAnswerRequest(const AskRequest& in, v1::AnswerRequest* out);
void WriteAnswerSentence(const AnswerSentence& in, v1::AnswerSentence* out);
AnswerSentence ReadAnswerSentence(const v1::AnswerSentence& in);
// Everything of a response but its text, sentences and passages.
void WriteAnswerSummary(const AskResponse& in, v1::AnswerSummary* out);
void ReadAnswerSummary(const v1::AnswerSummary& in, AskResponse* out);

void WriteVerifyResult(const VerifyResult& in, v1::VerifyStoreResponse* out);
VerifyResult ReadVerifyResult(const v1::VerifyStoreResponse& in);

void WriteTimestamp(int64_t unix_milliseconds, google::protobuf::Timestamp* out);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_WIRE_MESSAGES_H_
