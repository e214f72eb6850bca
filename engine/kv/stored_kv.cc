#include "engine/kv/stored_kv.h"

#include <utility>

#include "engine/kv/kv_encoding.h"

namespace cairn::engine {

StoredKv::StoredKv(const KvKey& key, KvMetadata metadata, std::vector<AlignedBytes> layers,
                   double seconds)
    : key_(key), metadata_(std::move(metadata)), seconds_(seconds), layers_(std::move(layers)) {
  ready_.store(layers_.size(), std::memory_order_release);
}

absl::StatusOr<std::shared_ptr<StoredKv>> StoredKv::FromFile(
    const KvKey& key, std::unique_ptr<index::KvBlobFile> file, double seconds) {
  absl::StatusOr<KvMetadata> metadata = DecodeKvMetadata(file->metadata());
  if (!metadata.ok()) {
    // Also of metadata of a newer version: the file's version should have told.
    return absl::DataLossError(metadata.status().message());
  }
  if (file->extents() != metadata->shape.layers) {
    return absl::DataLossError("a KV blob of a wrong number of layers");
  }
  for (size_t i = 0; i < file->extents(); ++i) {
    if (file->extent_bytes(i) != metadata->layer_bytes()) {
      return absl::DataLossError("a KV blob with a layer of a wrong size");
    }
  }
  auto kv =
      std::make_shared<StoredKv>(key, *std::move(metadata), std::vector<AlignedBytes>(), seconds);
  kv->layers_.resize(file->extents());
  kv->file_ = std::move(file);
  return kv;
}

absl::Status StoredKv::LoadNext() {
  const size_t layer = ready_.load(std::memory_order_relaxed);
  if (layer + 1 < layers_.size()) file_->WillNeed(layer + 1);
  AlignedBytes bytes(file_->extent_bytes(layer));
  if (absl::Status s = file_->Read(layer, bytes.span()); !s.ok()) return s;
  layers_[layer] = std::move(bytes);
  return absl::OkStatus();
}

absl::Status StoredKv::CheckAll() const {
  AlignedBytes bytes(metadata_.layer_bytes());
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    if (absl::Status s = file_->Read(layer, bytes.span()); !s.ok()) return s;
  }
  return absl::OkStatus();
}

void StoredKv::Publish() {
  if (last_is_next()) file_.reset();
  absl::MutexLock lock(&mutex_);
  ready_.store(ready_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void StoredKv::Fail(const absl::Status& why) {
  absl::MutexLock lock(&mutex_);
  failure_ = why;
}

absl::Status StoredKv::Read(size_t layer, size_t first, size_t count, float* keys,
                            float* values) const {
  if (layer >= layers_.size() || first > tokens() || count > tokens() - first) {
    return absl::InvalidArgumentError("no such layer or tokens in a KV blob");
  }
  if (!IsReady(layer)) {
    struct Wanted {
      const StoredKv* kv;
      size_t layer;
    } wanted = {this, layer};
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](Wanted* w) ABSL_NO_THREAD_SAFETY_ANALYSIS {
          return w->kv->IsReady(w->layer) || !w->kv->failure_.ok();
        },
        &wanted));
    if (!IsReady(layer)) return failure_;
  }
  DecodeKvTokens(metadata_.encoding, metadata_.shape, metadata_.tokens, first, count,
                 layers_[layer].data(), keys, values);
  return absl::OkStatus();
}

}  // namespace cairn::engine
