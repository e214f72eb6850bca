// A model's files, in a directory that appears when all of them are there.
#ifndef CAIRN_ENGINE_MODEL_MODEL_DIRECTORY_H_
#define CAIRN_ENGINE_MODEL_MODEL_DIRECTORY_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn::engine {

// Until Finish, or on failure, there is only PATH.partial, which the destructor removes with what
// was written into it. Not thread-safe. Errors begin with the path.
class ModelDirectory {
 public:
  // Makes PATH.partial, or takes over the one that a killed run left. AlreadyExists where there is
  // something at `path`; else the system's error.
  static absl::StatusOr<std::unique_ptr<ModelDirectory>> Create(const std::string& path);
  ~ModelDirectory();
  ModelDirectory(const ModelDirectory&) = delete;
  ModelDirectory& operator=(const ModelDirectory&) = delete;

  // `name` without a slash.
  absl::Status Write(const std::string& name, std::string_view bytes);

  // Everything is on disk when it returns.
  absl::Status Finish();

 private:
  explicit ModelDirectory(std::string path);

  const std::string path_;  // Without slashes at its end.
  const std::string temporary_;
  std::vector<std::string> written_;  // Names.
  bool made_ = false;                 // There is a `temporary_` of ours.
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_MODEL_DIRECTORY_H_
