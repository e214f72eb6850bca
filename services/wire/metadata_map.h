// Metadata as messages hold it.
#ifndef CAIRN_SERVICES_WIRE_METADATA_MAP_H_
#define CAIRN_SERVICES_WIRE_METADATA_MAP_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace google::protobuf {
template <typename Key, typename T>
class Map;
}
namespace cairn::v1 {
class MetadataValue;
}

namespace cairn::services {

// `field` is the map's name in errors.
absl::StatusOr<Metadata> ReadMetadataMap(
    const google::protobuf::Map<std::string, v1::MetadataValue>& in, std::string_view field);
void WriteMetadataMap(const Metadata& in,
                      google::protobuf::Map<std::string, v1::MetadataValue>* out);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_WIRE_METADATA_MAP_H_
