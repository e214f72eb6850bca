// Ctrl-C that ends what a language model writes, not the program.
#ifndef CAIRN_SERVICES_INTERRUPT_H_
#define CAIRN_SERVICES_INTERRUPT_H_

namespace cairn::services {

// From now on the first SIGINT is only noted; a second one ends the program.
void WatchForInterrupt();
// Whether one was noted.
bool Interrupted();

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_INTERRUPT_H_
