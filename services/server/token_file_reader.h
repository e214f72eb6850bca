// Token files on disk: what is there, and that nobody else could have written it.
#ifndef CAIRN_SERVICES_SERVER_TOKEN_FILE_READER_H_
#define CAIRN_SERVICES_SERVER_TOKEN_FILE_READER_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace cairn::services {

// Differs between two versions of a file, if time has passed on the file system's clock.
struct TokenFileVersion {
  dev_t device = 0;
  ino_t inode = 0;
  off_t bytes = 0;
  int64_t modified_ns = 0;  // Since 1970, as `changed_ns`.
  int64_t changed_ns = 0;   // Its permissions or owner too.

  friend bool operator==(const TokenFileVersion&, const TokenFileVersion&) = default;
};

struct TokenFileContents {
  std::string text;
  TokenFileVersion version;
  mode_t mode = 0;  // Permission bits.
  uid_t owner = 0;
  gid_t group = 0;
};

// Follows symbolic links. The system's error, beginning with the path.
absl::StatusOr<TokenFileVersion> VersionOfTokenFile(const std::string& path);
// Reads it whole, not parsing it. FailedPrecondition for what others could have written, and for
// what is no regular file; ResourceExhausted for one that is too large; Aborted for one that
// somebody writes meanwhile; else the system's error. All begin with the path.
absl::StatusOr<TokenFileContents> ReadTokenFile(const std::string& path);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_TOKEN_FILE_READER_H_
