#include "services/server/worker_threads.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace cairn::services {
namespace {

// On Linux niceness is a thread's own, and `who` may be a thread.
void BeNicer(int nice) {
  const auto thread = static_cast<id_t>(::gettid());
  errno = 0;
  const int before = ::getpriority(PRIO_PROCESS, thread);
  if (errno == 0) ::setpriority(PRIO_PROCESS, thread, std::min(before + nice, 19));
}

}  // namespace

std::vector<std::thread> StartWorkers(size_t count, int nice, const std::function<void()>& run) {
  if (count == 0) count = std::max(std::thread::hardware_concurrency(), 1U);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < count; ++i) {
    try {
      threads.emplace_back([nice, run] {
        if (nice > 0) BeNicer(nice);
        run();
      });
    } catch (const std::system_error&) {
      break;
    }
  }
  return threads;
}

}  // namespace cairn::services
