#include "services/output_file.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn::services {

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Open(const std::string& path) {
  if (path == "-") return std::unique_ptr<OutputFile>(new OutputFile(path, ""));
  std::error_code error;
  const bool regular =
      !std::filesystem::exists(path, error) || std::filesystem::is_regular_file(path, error);
  std::unique_ptr<OutputFile> out(new OutputFile(path, regular ? path + ".new" : path));
  out->file_.open(out->written_, std::ios::binary | std::ios::trunc);
  if (out->file_) return out;
  out->committed_ = true;  // There is nothing to delete.
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", out->written_));
}

OutputFile::~OutputFile() {
  if (!committed_ && written_ != path_ && !written_.empty()) std::remove(written_.c_str());
}

std::ostream& OutputFile::stream() {
  if (written_.empty()) return std::cout;
  return file_;
}

absl::Status OutputFile::Commit() {
  if (written_.empty()) {
    std::cout.flush();
    return std::cout ? absl::OkStatus() : absl::DataLossError("cannot write to standard output");
  }
  file_.close();
  if (!file_) return absl::DataLossError(absl::StrCat("cannot write ", written_));
  if (written_ != path_ && std::rename(written_.c_str(), path_.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
  }
  committed_ = true;
  return absl::OkStatus();
}

}  // namespace cairn::services
