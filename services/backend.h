// Where the commands' work is done: in a store opened by this process, or by a server.
#ifndef CAIRN_SERVICES_BACKEND_H_
#define CAIRN_SERVICES_BACKEND_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/engine.h"
#include "engine/eval/topics.h"

namespace cairn::services {

// Requests and results are the engine's, and so are the codes of errors. Thread-safe.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual absl::StatusOr<SearchResponse> Search(const SearchRequest& request) = 0;
  // Searches for each topic's text as `request` says, without texts of passages. `on_found` gets
  // each topic's index and result, in any order, from up to `threads` threads at once. The first
  // error, which names its topic, ends it.
  virtual absl::Status SearchTopics(
      const SearchRequest& request, absl::Span<const engine::Topic> topics, size_t threads,
      const std::function<void(size_t, SearchResponse)>& on_found) = 0;
  // Whether answers come from a language model unless a request says otherwise.
  virtual absl::StatusOr<bool> CanGenerate() = 0;
  virtual absl::StatusOr<AskResponse> Ask(const AskRequest& request) = 0;
  // From now on AskRequest::reuse does not count where a server has a mind of its own about it.
  virtual void LeaveReuseToServer() {}
  // As Engine::IngestPaths: files are this process's wherever they are stored.
  virtual absl::StatusOr<IngestReport> Ingest(absl::Span<const std::string> paths,
                                              const IngestOptions& options) = 0;
  // As Engine::AwaitSeals, where that is this process's to care for.
  virtual absl::Status AwaitSeals(const std::string& collection) = 0;
  virtual absl::StatusOr<StoreInfo> Stats() = 0;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_BACKEND_H_
