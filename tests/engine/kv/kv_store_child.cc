// A process for tests to kill: kv_store_child STORE writes documents, replacing older ones, and
// stores a blob for the chunk of each, evicting others. Prints the number of each blob stored.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/kv/kv_store.h"
#include "index/store.h"
#include "tests/support/kv_blobs.h"
#include "tests/support/test_store.h"

namespace cairn::engine {
namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

int Run(const std::string& path) {
  absl::StatusOr<std::unique_ptr<index::Store>> store =
      index::Store::Open(path, cairn::testing::Writable());
  if (!store.ok()) return Fail(store.status());
  absl::StatusOr<std::shared_ptr<index::Collection>> collection = (*store)->Find("c");
  if (!collection.ok()) collection = (*store)->Create("c", cairn::testing::Settings());
  if (!collection.ok()) return Fail(collection.status());
  KvStoreOptions options;
  options.disk_bytes = cairn::testing::kChildDiskBytes;
  options.flush_interval = absl::Milliseconds(1);
  absl::StatusOr<std::unique_ptr<KvStore>> kv = KvStore::Open(store->get(), options);
  if (!kv.ok()) return Fail(kv.status());
  absl::StatusOr<KvIdentity> identity = (*kv)->Identity((*collection)->id());
  if (!identity.ok()) return Fail(identity.status());
  const KvConfigurationId configuration = identity->Configuration({});
  for (uint32_t i = 0;; ++i) {
    const std::vector<index::PreparedDocument> documents = {cairn::testing::Prepare(
        "d" + std::to_string(i % cairn::testing::kChildDocuments), std::to_string(::getpid() + i))};
    std::vector<index::WriteOutcome> outcomes;
    std::vector<index::ChunkRange> chunks;
    absl::Status s = (*collection)->Upsert(documents, &outcomes, &chunks);
    if (!s.ok()) return Fail(s);
    const std::vector<uint32_t> tokens = {i};
    const KvKey key = identity->Key(configuration, {}, tokens);
    s = (*kv)->Put(key, {chunks[0].first, configuration, "model"}, cairn::testing::MakeKvBlob(i));
    if (!s.ok()) return Fail(s);
    if ((*kv)->Find(key) == nullptr) return Fail(absl::InternalError("what was stored is gone"));
    const std::string line = std::to_string(i) + "\n";
    if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      return 1;
    }
  }
}

}  // namespace
}  // namespace cairn::engine

int main(int argc, char** argv) { return argc == 2 ? cairn::engine::Run(argv[1]) : 2; }
