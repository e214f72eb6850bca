// A file that is replaced whole or not at all.
#ifndef CAIRN_SERVICES_OUTPUT_FILE_H_
#define CAIRN_SERVICES_OUTPUT_FILE_H_

#include <fstream>
#include <memory>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn::services {

// Written under another name first (PATH.new): a run that fails must not cost the file that was
// there. A pipe or device is written as it is, and "-" is standard output.
class OutputFile {
 public:
  static absl::StatusOr<std::unique_ptr<OutputFile>> Open(const std::string& path);
  // Deletes what was not committed.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  std::ostream& stream();
  // Gives the file its name.
  absl::Status Commit();

 private:
  OutputFile(std::string path, std::string written)
      : path_(std::move(path)), written_(std::move(written)) {}

  const std::string path_;
  const std::string written_;  // Where the bytes go; empty: standard output.
  bool committed_ = false;
  std::ofstream file_;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_OUTPUT_FILE_H_
