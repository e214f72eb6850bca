// The --metadata k=v flag.
#ifndef CAIRN_SERVICES_METADATA_FLAG_H_
#define CAIRN_SERVICES_METADATA_FLAG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace cairn::services {

// "name=value" items. A value is true, false, an integer, a decimal number, or else text; in single
// or double quotes it is always text. InvalidArgument naming a malformed item.
absl::StatusOr<Metadata> ParseMetadata(const std::vector<std::string>& items);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_METADATA_FLAG_H_
