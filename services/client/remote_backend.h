// A store behind a server.
#ifndef CAIRN_SERVICES_CLIENT_REMOTE_BACKEND_H_
#define CAIRN_SERVICES_CLIENT_REMOTE_BACKEND_H_

#include <memory>
#include <string>

#include "services/backend.h"
#include "services/client/server_connection.h"

namespace cairn::services {

// Errors are what the server says, and Unavailable, DeadlineExceeded and the like, which name its
// address.
class RemoteBackend : public Backend {
 public:
  // Connects with the first request. InvalidArgument for options that do not fit together.
  static absl::StatusOr<std::unique_ptr<RemoteBackend>> Open(ConnectionOptions options);
  ~RemoteBackend() override;

  absl::StatusOr<SearchResponse> Search(const SearchRequest& request) override;
  // In one call, and from the caller's thread, in the order of the topics; how many run at once is
  // the server's to decide.
  absl::Status SearchTopics(const SearchRequest& request, absl::Span<const engine::Topic> topics,
                            size_t threads,
                            const std::function<void(size_t, SearchResponse)>& on_found) override;
  absl::StatusOr<bool> CanGenerate() override;
  absl::StatusOr<AskResponse> Ask(const AskRequest& request) override;
  void LeaveReuseToServer() override { leaves_reuse_to_server_ = true; }
  absl::StatusOr<IngestReport> Ingest(absl::Span<const std::string> paths,
                                      const IngestOptions& options) override;
  // The server does that by itself.
  absl::Status AwaitSeals(const std::string& collection) override;
  absl::StatusOr<StoreInfo> Stats() override;

 private:
  struct Stubs;

  explicit RemoteBackend(std::unique_ptr<ServerConnection> connection);

  const std::unique_ptr<ServerConnection> connection_;
  const std::unique_ptr<Stubs> stubs_;
  bool leaves_reuse_to_server_ = false;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_CLIENT_REMOTE_BACKEND_H_
