#include "engine/kv/kv_writer.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/kv/kv_blob.h"

namespace cairn::engine {
namespace {

// After a failure: it is likely to last, a full disk for example.
constexpr absl::Duration kPause = absl::Seconds(30);

}  // namespace

KvWriter::KvWriter(KvStore* kv, uint64_t max_bytes,
                   std::function<void(const std::string&)> on_problem)
    : kv_(kv),
      max_bytes_(max_bytes),
      on_problem_(std::move(on_problem)),
      thread_([this] { Run(); }) {}

KvWriter::~KvWriter() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  thread_.join();
}

bool KvWriter::Takes(uint64_t bytes) const {
  return !stop_ && (bytes_ == 0 || bytes_ + bytes <= max_bytes_) && absl::Now() >= resume_;
}

bool KvWriter::HasRoom(uint64_t bytes) const {
  absl::MutexLock lock(&mutex_);
  return Takes(bytes);
}

void KvWriter::Add(Item item) {
  const uint64_t bytes = item.kv->bytes();
  absl::MutexLock lock(&mutex_);
  if (!Takes(bytes)) return;
  bytes_ += bytes;
  waiting_.push_back(std::move(item));
}

std::vector<KvKey> KvWriter::Waiting(uint32_t collection, uint64_t chunk) const {
  std::vector<KvKey> keys;
  absl::MutexLock lock(&mutex_);
  for (const Item& item : waiting_) {
    if (item.key.collection == collection && item.owner.chunk == chunk) keys.push_back(item.key);
  }
  return keys;
}

void KvWriter::Run() {
  while (true) {
    Item item;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &KvWriter::HasWork));
      if (waiting_.empty()) return;
      item = waiting_.front();
    }
    const absl::Status written = Write(item);
    if (!written.ok() && on_problem_) {
      on_problem_(absl::StrCat("keys and values were not written: ", written.message()));
    }
    absl::MutexLock lock(&mutex_);
    bytes_ -= item.kv->bytes();
    waiting_.pop_front();
    if (!written.ok()) resume_ = absl::Now() + kPause;
  }
}

absl::Status KvWriter::Write(const Item& item) {
  // Prompts that were read at the same time may each have brought one.
  absl::StatusOr<std::vector<KvKey>> known =
      kv_->OfChunk(item.key.collection, item.owner.chunk, item.owner.configuration);
  if (!known.ok()) return known.status();
  if (known->size() >= item.variants) return absl::OkStatus();
  const absl::Status put = kv_->Put(item.key, item.owner, BlobOf(*item.kv, item.seconds));
  return absl::IsNotFound(put) ? absl::OkStatus() : put;  // A chunk was deleted meanwhile.
}

}  // namespace cairn::engine
