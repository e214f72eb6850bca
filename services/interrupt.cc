#include "services/interrupt.h"

#include <signal.h>

namespace cairn::services {
namespace {

// Set by SIGINT. A signal handler can reach nothing else.
volatile sig_atomic_t interrupted = 0;

}  // namespace

void WatchForInterrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
}

bool Interrupted() { return interrupted != 0; }

}  // namespace cairn::services
