// Walks the inputs named on a command line.
#ifndef CAIRN_CHUNKING_READERS_FILE_TREE_H_
#define CAIRN_CHUNKING_READERS_FILE_TREE_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "chunking/readers/reader.h"

namespace cairn::chunking {

struct FoundFile {
  std::string path;    // As opened: the root as given, then "/" and the names below it.
  uint64_t bytes = 0;  // Size when found.
};

// Calls `on_file` for the regular file `root`, or for each regular file below the directory `root`,
// in byte order of their paths; symbolic links below the root are not followed. What cannot be read
// (permission, FIFO, socket, device, a name that is not UTF-8) is an issue, and the walk goes on.
// Hidden files and folders (".git") below the root are passed over. A non-OK status from either
// callback stops the walk and is returned; NotFound when `root` does not exist.
absl::Status WalkFiles(const std::string& root,
                       absl::FunctionRef<absl::Status(const FoundFile&)> on_file,
                       absl::FunctionRef<absl::Status(const ReadIssue&)> on_issue);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_FILE_TREE_H_
