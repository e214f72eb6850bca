#include "engine/kv/scratch_kv_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/kv_blob_files.h"

namespace cairn::engine {
namespace {

class DiskTier final : public ChunkTier {
 public:
  DiskTier(std::unique_ptr<ScratchKvStore> store, std::vector<KvKey> keys)
      : store_(std::move(store)), keys_(std::move(keys)) {}

  absl::Status Prepare() override {
    for (const KvKey& key : keys_) {
      if (absl::Status status = store_->DropPages(key); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<std::shared_ptr<const ChunkKv>>> Get() override {
    std::vector<std::shared_ptr<const ChunkKv>> kvs;
    for (const KvKey& key : keys_) {
      kvs.push_back(store_->kv().Find(key));
      if (kvs.back() == nullptr) return absl::DataLossError("a chunk is not on disk any more");
    }
    return kvs;
  }

 private:
  const std::unique_ptr<ScratchKvStore> store_;
  const std::vector<KvKey> keys_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ScratchKvStore>> ScratchKvStore::Create(uint64_t memory_bytes) {
  std::error_code error;
  const std::filesystem::path directory = std::filesystem::temp_directory_path(error);
  if (error) return absl::NotFoundError("no directory for temporary files: " + error.message());
  std::string path = (directory / "cairn-bench-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path));
  }
  std::unique_ptr<ScratchKvStore> scratch(new ScratchKvStore(path));
  index::StoreOptions options;
  options.rows.create_if_missing = true;
  auto store = index::Store::Open(path + "/store", options);
  if (!store.ok()) return store.status();
  scratch->store_ = *std::move(store);
  index::CollectionSettings settings;
  settings.dim = 8;  // Of vectors, of which there will be none.
  const auto collection = scratch->store_->Create("bench", settings);
  if (!collection.ok()) return collection.status();
  scratch->collection_ = (*collection)->id();
  KvStoreOptions kv_options;
  kv_options.memory_bytes = memory_bytes;
  kv_options.disk_bytes = std::numeric_limits<uint64_t>::max() / 2;
  auto kv = KvStore::Open(scratch->store_.get(), kv_options);
  if (!kv.ok()) return kv.status();
  scratch->kv_ = *std::move(kv);
  return scratch;
}

ScratchKvStore::~ScratchKvStore() {
  kv_.reset();
  store_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

absl::StatusOr<KvKey> ScratchKvStore::Put(absl::Span<const uint32_t> tokens, const ChunkKv& kv,
                                          KvEncoding encoding) {
  const absl::StatusOr<KvIdentity> identity = kv_->Identity(collection_);
  if (!identity.ok()) return identity.status();
  const KvConfigurationId configuration = identity->Configuration({});
  KvBlob blob;
  blob.metadata.shape = kv.shape();
  blob.metadata.encoding = encoding;
  blob.metadata.tokens = static_cast<uint32_t>(kv.tokens());
  blob.metadata.first_position = kv.first_position();
  if (kv.attention() != nullptr) blob.metadata.attention = *kv.attention();
  blob.seconds = 1;
  std::vector<float> keys(kv.tokens() * kv.shape().width()), values(keys.size());
  for (size_t layer = 0; layer < kv.shape().layers; ++layer) {
    absl::Status status = kv.Read(layer, 0, kv.tokens(), keys.data(), values.data());
    if (!status.ok()) return status;
    AlignedBytes bytes(blob.metadata.layer_bytes());
    EncodeKvTokens(encoding, kv.shape(), kv.tokens(), 0, kv.tokens(), keys.data(), values.data(),
                   bytes.data());
    blob.layers.push_back(std::move(bytes));
  }
  const KvKey key = identity->Key(configuration, {}, tokens);
  // No chunk's: then the blob does not go with one.
  const KvOwner owner = {.chunk = 0, .configuration = configuration, .model = "bench"};
  if (absl::Status status = kv_->Put(key, owner, std::move(blob)); !status.ok()) return status;
  return key;
}

absl::Status ScratchKvStore::DropPages(const KvKey& key) const {
  const std::string path = index::KvBlobFiles(directory_ + "/store").Path(key.name);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  const int failed = ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  ::close(descriptor);
  return failed == 0 ? absl::OkStatus() : absl::ErrnoToStatus(failed, path);
}

ChunkTierMaker ColdDiskTier(KvEncoding encoding) {
  return {"disk, cold",
          [encoding](const std::vector<BenchmarkChunk>& chunks)
              -> absl::StatusOr<std::unique_ptr<ChunkTier>> {
            auto store = ScratchKvStore::Create(/*memory_bytes=*/0);
            if (!store.ok()) return store.status();
            std::vector<KvKey> keys;
            for (const BenchmarkChunk& chunk : chunks) {
              const auto key = (*store)->Put(chunk.tokens, *chunk.kv, encoding);
              if (!key.ok()) return key.status();
              keys.push_back(*key);
            }
            return std::make_unique<DiskTier>(*std::move(store), std::move(keys));
          }};
}

}  // namespace cairn::engine
