#include "engine/maintenance.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "index/verify.h"
#include "index/work_control.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxProblemsKept = 1000;

index::StageProgress Stages(const MaintenanceOptions& options) {
  if (!options.on_progress) return {};
  return [&options](std::string_view stage, uint64_t done, uint64_t total) {
    options.on_progress({std::string(stage), done, total});
  };
}

// Tells in `total` units of a stage how far something is.
index::WorkControl::Progress Shares(const index::StageProgress& stages, std::string_view stage,
                                    uint64_t total) {
  return [&stages, stage, total](double share) {
    if (stages) stages(stage, static_cast<uint64_t>(share * static_cast<double>(total)), total);
  };
}

// The collections asked for. NotFound where it is one that is not there.
absl::StatusOr<std::vector<std::string>> Names(const index::Store& store,
                                               const MaintenanceOptions& options) {
  if (options.collection.empty()) return store.List();
  if (absl::Status s = store.Describe(options.collection).status(); !s.ok()) return s;
  return std::vector<std::string>{options.collection};
}

using Rebuild = absl::FunctionRef<absl::Status(index::Collection&, const index::WorkControl&)>;

// Runs `rebuild` for one collection after the other, and tells how many of all their chunks are
// done.
absl::Status RebuildEach(index::Store* store, const MaintenanceOptions& options, Rebuild rebuild) {
  const index::StageProgress stages = Stages(options);
  absl::StatusOr<std::vector<std::string>> names = Names(*store, options);
  if (!names.ok()) return names.status();
  struct Piece {
    std::string name;
    std::shared_ptr<index::Collection> collection;
    uint64_t chunks = 0;
  };
  std::vector<Piece> pieces;
  uint64_t total = 0, done = 0;
  const index::WorkControl cancel(options.cancel, nullptr);
  for (const std::string& name : *names) {
    if (absl::Status s = cancel.Check(); !s.ok()) return s;
    absl::StatusOr<std::shared_ptr<index::Collection>> found = store->Find(name);
    const bool deleted = absl::IsNotFound(found.status()) && options.collection.empty();
    if (deleted) continue;
    if (!found.ok()) {
      return absl::Status(found.status().code(),
                          absl::StrCat(name, ": ", found.status().message()));
    }
    pieces.push_back({name, *found, (*found)->Stats().chunks});
    total += pieces.back().chunks;
  }
  const index::WorkControl::Progress chunks = Shares(stages, "segments", total);
  const index::WorkControl all(options.cancel, &chunks);
  const double scale = total == 0 ? 0 : 1 / static_cast<double>(total);
  all.Report(0);
  for (Piece& piece : pieces) {
    if (absl::Status s = cancel.Check(); !s.ok()) return s;
    const double begin = static_cast<double>(done) * scale;
    done += piece.chunks;
    const absl::Status s =
        rebuild(*piece.collection, all.Part(begin, static_cast<double>(done) * scale));
    if (absl::IsNotFound(s) && options.collection.empty()) continue;  // Deleted meanwhile.
    if (absl::IsCancelled(s)) return s;
    if (!s.ok()) return absl::Status(s.code(), absl::StrCat(piece.name, ": ", s.message()));
    piece.collection.reset();
  }
  all.Report(total == 0 ? 0 : 1);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<VerifyResult> VerifyStore(index::Store* store, bool deep,
                                         const MaintenanceOptions& options) {
  VerifyResult result;
  index::VerifyReport report;
  absl::Status s = store->Verify(
      {deep, options.collection, options.cancel, Stages(options)},
      [&](const std::string& problem) {
        if (result.problems.size() < kMaxProblemsKept) result.problems.push_back(problem);
      },
      &report);
  if (!s.ok()) return s;
  result.collections = report.collections;
  result.documents = report.documents;
  result.chunks = report.chunks;
  result.vectors = report.vectors;
  result.terms = report.terms;
  result.segments = report.segments;
  result.problem_count = report.problems;
  return result;
}

absl::Status CompactStore(index::Store* store, const MaintenanceOptions& options) {
  absl::Status s = RebuildEach(
      store, options, [](index::Collection& c, const auto& control) { return c.Compact(control); });
  if (!s.ok() || !options.collection.empty()) return s;
  const index::StageProgress stages = Stages(options);
  return store->rows().CompactAll(options.cancel,
                                  Shares(stages, "tables", store->rows().DiskBytes()));
}

absl::Status ReindexStore(index::Store* store, const MaintenanceOptions& options) {
  return RebuildEach(store, options,
                     [](index::Collection& c, const auto& control) { return c.Reindex(control); });
}

absl::Status SnapshotStore(index::Store* store, const std::string& destination,
                           const MaintenanceOptions& options) {
  if (!options.collection.empty()) {
    return absl::InvalidArgumentError("a snapshot is of the whole store, not of one collection");
  }
  return store->Snapshot(destination, {options.cancel, Stages(options)});
}

}  // namespace cairn::engine
