// Names of the API's resources: collections/{collection}/documents/{document}, operations/{id}.
#ifndef CAIRN_SERVICES_WIRE_RESOURCE_NAMES_H_
#define CAIRN_SERVICES_WIRE_RESOURCE_NAMES_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace cairn::services {

// An id that a caller chose, of a collection or a snapshot: 1 to 64 letters, digits, "-" and "_".
bool IsResourceId(std::string_view id);

std::string CollectionName(std::string_view collection);
// The document's id is percent-encoded: all bytes but the unreserved ones of RFC 3986.
std::string DocumentName(std::string_view collection, std::string_view document);
std::string OperationName(std::string_view id);

struct DocumentPath {
  std::string collection;
  std::string document;  // As it was ingested.
};

// InvalidArgument, naming `field` (google.rpc.BadRequest), for anything but such a name.
absl::StatusOr<std::string> ParseCollectionName(std::string_view field, std::string_view name);
absl::StatusOr<DocumentPath> ParseDocumentName(std::string_view field, std::string_view name);
absl::StatusOr<std::string> ParseOperationName(std::string_view field, std::string_view name);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_WIRE_RESOURCE_NAMES_H_
