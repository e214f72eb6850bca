#include "engine/kv/background_builder.h"

#include <utility>

namespace cairn::engine {

BackgroundBuilder::BackgroundBuilder(Build build)
    : build_(std::move(build)), thread_([this] { Run(); }) {}

BackgroundBuilder::~BackgroundBuilder() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void BackgroundBuilder::Add(std::string_view collection) {
  absl::MutexLock lock(&mutex_);
  waiting_.emplace(collection);
}

void BackgroundBuilder::Run() {
  while (true) {
    std::string collection;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &BackgroundBuilder::HasWork));
      if (stopping_) return;
      collection = std::move(waiting_.extract(waiting_.begin()).value());
    }
    build_(collection, [this] { return stopping_.load(std::memory_order_relaxed); });
  }
}

}  // namespace cairn::engine
