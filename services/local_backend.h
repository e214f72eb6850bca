// A store of this process.
#ifndef CAIRN_SERVICES_LOCAL_BACKEND_H_
#define CAIRN_SERVICES_LOCAL_BACKEND_H_

#include <memory>
#include <string>

#include "services/backend.h"

namespace cairn::services {

class LocalBackend : public Backend {
 public:
  explicit LocalBackend(std::unique_ptr<Engine> engine);

  absl::StatusOr<SearchResponse> Search(const SearchRequest& request) override;
  absl::Status SearchTopics(const SearchRequest& request, absl::Span<const engine::Topic> topics,
                            size_t threads,
                            const std::function<void(size_t, SearchResponse)>& on_found) override;
  absl::StatusOr<bool> CanGenerate() override;
  absl::StatusOr<AskResponse> Ask(const AskRequest& request) override;
  absl::StatusOr<IngestReport> Ingest(absl::Span<const std::string> paths,
                                      const IngestOptions& options) override;
  absl::Status AwaitSeals(const std::string& collection) override;
  absl::StatusOr<StoreInfo> Stats() override;

 private:
  const std::unique_ptr<Engine> engine_;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_LOCAL_BACKEND_H_
