#include "kernels/thread_team.h"

#include <algorithm>
#include <system_error>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cairn::kernels {
namespace {

// A few microseconds of polling, then the core is offered to others: where the machine has fewer
// free cores than the team has members, the one that is waited for must get to run.
constexpr int kPolls = 4000;
// About a tenth of a millisecond between calls of Run before a worker sleeps.
constexpr int kIdlePolls = 40000;

void Relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

template <class Done>
void SpinUntil(Done done) {
  for (int i = 0; !done(); ++i) {
    if (i < kPolls) {
      Relax();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace

ThreadTeam::ThreadTeam(size_t threads) : cursors_(threads) {
  try {
    for (size_t member = 1; member < threads; ++member) {
      workers_.emplace_back([this, member] { Work(member); });
    }
  } catch (const std::system_error&) {
    // As many as the system gives: the caller's own thread is always one.
  }
}

ThreadTeam::~ThreadTeam() {
  stopping_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadTeam::RunErased(Erased call, void* body) {
  call_ = call;
  body_ = body;
  next_.store(0, std::memory_order_relaxed);
  std::fill(cursors_.begin(), cursors_.end(), Cursor());
  running_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  call(body, 0);
  SpinUntil([this] { return running_.load(std::memory_order_acquire) == 0; });
}

void ThreadTeam::Work(size_t member) {
  for (uint32_t seen = 0;;) {
    for (int i = 0; i < kIdlePolls && epoch_.load(std::memory_order_relaxed) == seen; ++i) Relax();
    epoch_.wait(seen, std::memory_order_relaxed);
    seen = epoch_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    call_(body_, member);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadTeam::Barrier() {
  if (workers_.empty()) return;
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == workers_.size()) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  SpinUntil([&] { return phase_.load(std::memory_order_acquire) != phase; });
}

Share ShareOf(size_t count, size_t grain, size_t member, size_t members) {
  const size_t pieces = (count + grain - 1) / grain;
  const size_t begin = pieces * member / members * grain;
  const size_t end = pieces * (member + 1) / members * grain;
  return {std::min(begin, count), std::min(end, count)};
}

}  // namespace cairn::kernels
