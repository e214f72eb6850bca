// Lets tests meet a system that grants few threads.
#ifndef CAIRN_TESTS_SUPPORT_SCARCE_THREADS_H_
#define CAIRN_TESTS_SUPPORT_SCARCE_THREADS_H_

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>

namespace cairn::testing {

// While alive, new threads ask for a GiB of stack each, of which the process may have only so many.
class ScarceThreads {
 public:
  explicit ScarceThreads(double stacks) {
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const auto used = static_cast<rlim_t>(pages) * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
    ::getrlimit(RLIMIT_AS, &before_);
    rlimit now = before_;
    now.rlim_cur = used + static_cast<rlim_t>(stacks * kStack);
    ::pthread_getattr_default_np(&attributes_);
    pthread_attr_t large;
    ::pthread_attr_init(&large);
    ::pthread_attr_setstacksize(&large, kStack);
    ok_ =
        pages > 0 && ::pthread_setattr_default_np(&large) == 0 && ::setrlimit(RLIMIT_AS, &now) == 0;
    ::pthread_attr_destroy(&large);
  }
  ~ScarceThreads() {
    ::setrlimit(RLIMIT_AS, &before_);
    ::pthread_setattr_default_np(&attributes_);
    ::pthread_attr_destroy(&attributes_);
  }
  ScarceThreads(const ScarceThreads&) = delete;
  ScarceThreads& operator=(const ScarceThreads&) = delete;

  bool ok() const { return ok_; }

 private:
  static constexpr size_t kStack = size_t{1} << 30;
  rlimit before_{};
  pthread_attr_t attributes_;
  bool ok_ = false;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_SCARCE_THREADS_H_
