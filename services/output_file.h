// Files that are written whole or not at all.
#ifndef CAIRN_SERVICES_OUTPUT_FILE_H_
#define CAIRN_SERVICES_OUTPUT_FILE_H_

#include <ostream>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace cairn::services {

// Lets `write` fill the file at `path`; "-" is standard output. It is written under another name
// first: a command that fails must not cost the file that was there. Pipes and devices are written
// as they are. The first error, which names the path.
absl::Status WriteOutputFile(const std::string& path,
                             absl::FunctionRef<absl::Status(std::ostream&)> write);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_OUTPUT_FILE_H_
