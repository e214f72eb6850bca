// The sending side of a stream: one message after another, then the status.
#ifndef CAIRN_SERVICES_SERVER_STREAM_OUTPUT_H_
#define CAIRN_SERVICES_SERVER_STREAM_OUTPUT_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace google::protobuf {
class Message;
}

namespace cairn::services {

// Of a reactor, which writes one message at a time. Thread-safe. The hooks are called without a
// lock, `finish` once, after the last write is done, and no `write` after it.
class StreamOutput {
 public:
  struct Hooks {
    std::function<void(const google::protobuf::Message&)> write;  // StartWrite
    std::function<void(const absl::Status&)> finish;              // Finish
  };
  explicit StreamOutput(Hooks hooks) : hooks_(std::move(hooks)) {}
  StreamOutput(const StreamOutput&) = delete;
  StreamOutput& operator=(const StreamOutput&) = delete;

  // Queues a message; dropped after End or Abort.
  void Send(std::unique_ptr<google::protobuf::Message> message) ABSL_LOCKS_EXCLUDED(mutex_);
  // Finishes once all that was queued is sent. The first of End and Abort counts, but an Abort that
  // comes while messages wait does away with them.
  void End(absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);
  // Finishes as soon as the write at work is done.
  void Abort(absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);
  // Runs `start`, unless the stream is finished: what it begins, a read, begins before that. It
  // must not call anything here. Whether it ran.
  bool WhileOpen(absl::FunctionRef<void()> start) ABSL_LOCKS_EXCLUDED(mutex_);
  // The reactor's OnWriteDone.
  void OnWriteDone(bool ok) ABSL_LOCKS_EXCLUDED(mutex_);

  // Messages that were queued and are not sent.
  size_t waiting() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether a write is at work.
  bool writing() const ABSL_LOCKS_EXCLUDED(mutex_);
  size_t sent_bytes() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Starts what can be started.
  void Pump() ABSL_LOCKS_EXCLUDED(mutex_);

  const Hooks hooks_;
  mutable absl::Mutex mutex_;
  std::deque<std::unique_ptr<google::protobuf::Message>> queue_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;  // The front of the queue.
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  size_t sent_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_STREAM_OUTPUT_H_
