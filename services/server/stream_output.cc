#include "services/server/stream_output.h"

#include <google/protobuf/message.h>

#include <utility>

namespace cairn::services {

using google::protobuf::Message;

void StreamOutput::Send(std::unique_ptr<Message> message) {
  {
    absl::MutexLock lock(&mutex_);
    if (end_.has_value()) return;
    queue_.push_back(std::move(message));
  }
  Pump();
}

void StreamOutput::End(absl::Status status) {
  {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = std::move(status);
  }
  Pump();
}

void StreamOutput::Abort(absl::Status status) {
  {
    absl::MutexLock lock(&mutex_);
    // The message being written belongs to gRPC until it is.
    const size_t kept = writing_ ? 1 : 0;
    if (!end_.has_value() || queue_.size() > kept) end_ = std::move(status);
    while (queue_.size() > kept) queue_.pop_back();
  }
  Pump();
}

bool StreamOutput::WhileOpen(absl::FunctionRef<void()> start) {
  absl::MutexLock lock(&mutex_);
  if (finished_) return false;
  start();
  return true;
}

void StreamOutput::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (ok) sent_bytes_ += queue_.front()->ByteSizeLong();
    queue_.pop_front();
    if (!ok) {
      // The stream is broken; whoever made it so has said why, or its client went.
      queue_.clear();
      if (!end_.has_value()) end_ = absl::CancelledError("the client went away");
    }
  }
  Pump();
}

void StreamOutput::Pump() {
  const Message* next = nullptr;
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    if (writing_ || finished_) return;
    if (!queue_.empty()) {
      next = queue_.front().get();
      writing_ = true;
    } else if (end_.has_value()) {
      finished_ = true;
      status = *end_;
    } else {
      return;
    }
  }
  if (next != nullptr) {
    hooks_.write(*next);
  } else {
    hooks_.finish(status);
  }
}

size_t StreamOutput::waiting() const {
  absl::MutexLock lock(&mutex_);
  return queue_.size();
}

bool StreamOutput::writing() const {
  absl::MutexLock lock(&mutex_);
  return writing_;
}

size_t StreamOutput::sent_bytes() const {
  absl::MutexLock lock(&mutex_);
  return sent_bytes_;
}

}  // namespace cairn::services
