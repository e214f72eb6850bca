// Changes to a token file, one writer after the other.
#ifndef CAIRN_SERVICES_SERVER_TOKEN_FILE_EDITOR_H_
#define CAIRN_SERVICES_SERVER_TOKEN_FILE_EDITOR_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/token_file.h"

namespace cairn::services {

// Has a lock that keeps other editors waiting, in Open, for as long as it lives. The new text is
// written beside the file (FILE.new) and takes its place in Commit, or not at all. Not thread-safe.
class TokenFileEditor {
 public:
  // `create`: begins an empty one where there is no file. Waits for another editor to finish. The
  // errors of ReadTokenFile, and of ParseTokenFile with the path before them as FailedPrecondition.
  static absl::StatusOr<std::unique_ptr<TokenFileEditor>> Open(const std::string& path,
                                                               bool create);
  ~TokenFileEditor();
  TokenFileEditor(const TokenFileEditor&) = delete;
  TokenFileEditor& operator=(const TokenFileEditor&) = delete;

  const std::vector<TokenEntry>& tokens() const { return tokens_; }

  // AlreadyExists where there is a token of this name; InvalidArgument for parts that the format
  // does not take.
  absl::Status Add(const TokenEntry& token);
  // Takes the token's line out. NotFound where there is none of this name.
  absl::Status Remove(std::string_view name);

  // The file is on disk when it returns. To be called once, as the last thing.
  absl::Status Commit();

 private:
  TokenFileEditor(std::string path, int fd);

  // Reads what is there; a new file's text is the first line.
  absl::Status Read(bool create);
  // The parse of a text that is to be.
  absl::Status Take(std::string text);

  const std::string path_;       // Without symbolic links.
  const std::string temporary_;  // path_ and ".new".
  const int fd_;                 // Of temporary_; has the lock.
  bool committed_ = false;
  std::string text_;
  std::vector<TokenEntry> tokens_;
  mode_t mode_ = 0600;  // Of a new file, or the one that was there.
  // Likewise; as the system has it, -1 is the editor's own.
  uid_t owner_ = static_cast<uid_t>(-1);
  gid_t group_ = static_cast<gid_t>(-1);
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_TOKEN_FILE_EDITOR_H_
