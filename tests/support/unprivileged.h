// Lets tests that root runs meet missing permissions.
#ifndef CAIRN_TESTS_SUPPORT_UNPRIVILEGED_H_
#define CAIRN_TESTS_SUPPORT_UNPRIVILEGED_H_

#include <unistd.h>

namespace cairn::testing {

// While alive, file permissions hold for this process: root acts as nobody. Of the whole process,
// so for tests of one thread.
class Unprivileged {
 public:
  Unprivileged() : was_root_(geteuid() == 0) {
    constexpr uid_t kNobody = 65534;
    ok_ = !was_root_ || seteuid(kNobody) == 0;
  }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;
  ~Unprivileged() {
    if (was_root_ && ok_ && seteuid(0) != 0) _exit(1);
  }

  bool ok() const { return ok_; }

 private:
  const bool was_root_;
  bool ok_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_UNPRIVILEGED_H_
