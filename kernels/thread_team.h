// A few threads that run one function together, in step.
#ifndef CAIRN_KERNELS_THREAD_TEAM_H_
#define CAIRN_KERNELS_THREAD_TEAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace cairn::kernels {

// A fork costs less than a microsecond while the threads are warm: between two calls of Run they
// spin for a while before they sleep, because the passes of a decoder follow each other closely.
// One thread at a time may call Run; Barrier and Take are for the function that Run runs.
class ThreadTeam {
 public:
  // `threads` >= 1, the caller of Run included; fewer where the system gives no more.
  explicit ThreadTeam(size_t threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  size_t size() const { return workers_.size() + 1; }

  // Calls body(member) once for each member in [0, size()), each on a thread of its own; member 0
  // is the caller. Returns when all have returned. `body` must not throw.
  template <class Body>
  void Run(Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    RunErased([](void* b, size_t member) { (*static_cast<Plain*>(b))(member); }, &body);
  }

  // Waits until every member is here. What each wrote before, all see after.
  void Barrier();

  // Shares out pieces [0, count) while the members work: returns one that nobody else gets, or
  // `count` when none is left. A member's first is the piece of its own number, so that it knows
  // beforehand where it begins; the others go to whoever comes first, because cores are rarely
  // equally fast. All members take until none is left, with the same `count`; a Barrier then, and
  // the next call begins anew.
  size_t Take(size_t member, size_t count) {
    Cursor& cursor = cursors_[member];
    if (!cursor.started) {
      cursor.started = true;
      if (member < count) return member;
    }
    const size_t drawn = next_.fetch_add(1, std::memory_order_relaxed) - cursor.base;
    if (drawn + size() < count) return drawn + size();
    // Each member draws in vain once, so all know what the counter stands at in the end.
    cursor.base += count > size() ? count : size();
    cursor.started = false;
    return count;
  }

 private:
  using Erased = void (*)(void* body, size_t member);

  // How far a member is in taking pieces; touched by itself alone.
  struct alignas(64) Cursor {
    size_t base = 0;  // What the counter stood at when this sharing began.
    bool started = false;
  };

  void RunErased(Erased call, void* body);
  void Work(size_t member);

  // Each on a cache line of its own: all are polled.
  alignas(64) std::atomic<uint32_t> epoch_{0};    // Counts the calls of Run; workers sleep on it.
  alignas(64) std::atomic<uint32_t> running_{0};  // Workers that have not returned yet.
  alignas(64) std::atomic<uint32_t> arrived_{0};  // At the barrier.
  alignas(64) std::atomic<uint32_t> phase_{0};    // Counts barriers.
  alignas(64) std::atomic<size_t> next_{0};
  Erased call_ = nullptr;  // Written before epoch_ rises, read after.
  void* body_ = nullptr;
  std::atomic<bool> stopping_{false};
  std::vector<Cursor> cursors_;  // By member.
  std::vector<std::thread> workers_;
};

// The part of [0, count) that is `member`'s of `members`: whole multiples of `grain` but for the
// last, as equal as that allows.
struct Share {
  size_t begin = 0;
  size_t end = 0;
};
Share ShareOf(size_t count, size_t grain, size_t member, size_t members);

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_THREAD_TEAM_H_
