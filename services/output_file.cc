#include "services/output_file.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"

namespace cairn::services {

absl::Status WriteOutputFile(const std::string& path,
                             absl::FunctionRef<absl::Status(std::ostream&)> write) {
  if (path == "-") {
    const absl::Status s = write(std::cout);
    std::cout.flush();
    return !s.ok() || std::cout ? s : absl::DataLossError("cannot write to standard output");
  }
  std::error_code error;
  const bool regular =
      !std::filesystem::exists(path, error) || std::filesystem::is_regular_file(path, error);
  const std::string written = regular ? path + ".new" : path;
  std::ofstream out(written, std::ios::binary | std::ios::trunc);
  if (!out) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", written));
  absl::Status s = write(out);
  out.close();
  if (s.ok() && !out) s = absl::DataLossError(absl::StrCat("cannot write ", written));
  if (!regular) return s;
  if (s.ok() && std::rename(written.c_str(), path.c_str()) != 0) {
    s = absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  }
  if (!s.ok()) std::remove(written.c_str());
  return s;
}

}  // namespace cairn::services
