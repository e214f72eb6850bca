// The secret that tells a server who calls.
#ifndef CAIRN_SERVICES_CLIENT_CLIENT_TOKEN_H_
#define CAIRN_SERVICES_CLIENT_CLIENT_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"

namespace cairn::services {

// The first line of the file at `path`. FailedPrecondition where others than its owner may read
// the file, and where that line is no token (1 to 4,096 visible ASCII characters); NotFound and the
// like where it cannot be read. No error quotes what the file holds.
absl::StatusOr<std::string> ReadClientToken(const std::string& path);

// A file of at most 1 MiB, such as a certificate.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_CLIENT_CLIENT_TOKEN_H_
