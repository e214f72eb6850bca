// A process for tests to kill. Prints a line for each thing done.
//
//   row_store_child commit STORE              commits numbered batches, on from those that are
//   there row_store_child snapshot STORE DIRECTORY  copies the store to DIRECTORY/0, DIRECTORY/1,
//   ... row_store_child restore STORE DIRECTORY   the same with RestoreStore
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "index/row_store.h"
#include "index/store_snapshot.h"
#include "tests/support/numbered_batches.h"

namespace cairn::index {
namespace {

constexpr uint64_t kCopies = 200;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

bool Tell(const absl::Status& status, uint64_t number) {
  if (!status.ok()) return Fail(status) == 0;
  // Straight to the pipe: what was done is told even when the kill comes at once.
  const std::string line = std::to_string(number) + "\n";
  return ::write(STDOUT_FILENO, line.data(), line.size()) == static_cast<ssize_t>(line.size());
}

int Run(const std::string& task, const std::string& path, const std::string& directory) {
  if (task == "restore") {
    for (uint64_t i = 0; i < kCopies; ++i) {
      if (!Tell(RestoreStore(path, directory + "/" + std::to_string(i)), i)) return 1;
    }
    return 0;
  }
  RowStoreOptions options;
  options.create_if_missing = true;
  options.min_free_bytes = 0;
  absl::StatusOr<std::unique_ptr<RowStore>> store = RowStore::Open(path, options);
  if (!store.ok()) return Fail(store.status());
  const absl::StatusOr<uint64_t> next = testing::CountNumbered(**store);
  if (!next.ok()) return Fail(next.status());
  for (uint64_t i = 0; task == "snapshot" && i < kCopies; ++i) {
    if (!Tell(SnapshotStore(**store, directory + "/" + std::to_string(i)), i)) return 1;
  }
  for (uint64_t i = *next; task == "commit"; ++i) {
    if (!Tell(testing::CommitNumbered(**store, i), i)) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace cairn::index

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  return cairn::index::Run(argv[1], argv[2], argc > 3 ? argv[3] : "");
}
