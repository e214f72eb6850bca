#include "services/local_backend.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace cairn::services {

LocalBackend::LocalBackend(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

absl::StatusOr<SearchResponse> LocalBackend::Search(const SearchRequest& request) {
  return engine_->Search(request);
}

absl::Status LocalBackend::SearchTopics(
    const SearchRequest& request, absl::Span<const engine::Topic> topics, size_t threads,
    const std::function<void(size_t, SearchResponse)>& on_found) {
  std::atomic<size_t> next{0};
  // Answers topics from `next` on until none are left or another thread has failed.
  const auto work = [&]() -> absl::Status {
    SearchRequest one = request;
    one.with_text = false;
    for (size_t i = next++; i < topics.size(); i = next++) {
      one.query = topics[i].text;
      absl::StatusOr<SearchResponse> found = engine_->Search(one);
      if (!found.ok()) {
        next = topics.size();
        return absl::Status(found.status().code(),
                            absl::StrCat("topic ", topics[i].id, ": ", found.status().message()));
      }
      on_found(i, *std::move(found));
    }
    return absl::OkStatus();
  };
  threads = std::clamp<size_t>(threads, 1, std::max<size_t>(topics.size(), 1));
  std::vector<absl::Status> statuses(threads);
  std::vector<std::thread> workers;
  for (absl::Status& status : statuses) workers.emplace_back([&] { status = work(); });
  for (std::thread& worker : workers) worker.join();
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> LocalBackend::CanGenerate() { return engine_->has_generator(); }

absl::StatusOr<AskResponse> LocalBackend::Ask(const AskRequest& request) {
  return engine_->Ask(request);
}

absl::StatusOr<IngestReport> LocalBackend::Ingest(absl::Span<const std::string> paths,
                                                  const IngestOptions& options) {
  return engine_->IngestPaths(paths, options);
}

absl::Status LocalBackend::AwaitSeals(const std::string& collection) {
  return engine_->AwaitSeals(collection);
}

absl::StatusOr<StoreInfo> LocalBackend::Stats() { return engine_->Stats(); }

}  // namespace cairn::services
