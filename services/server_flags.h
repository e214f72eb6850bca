// The flags that name a server instead of a store.
#ifndef CAIRN_SERVICES_SERVER_FLAGS_H_
#define CAIRN_SERVICES_SERVER_FLAGS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/backend.h"
#include "services/command.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace cairn::services {

class ServerFlags {
 public:
  // After StoreFlags::Register. `local_only`: names of the command's flags that a server has no use
  // for. `with_timeout`: the command has an end that can be waited for.
  void Register(CLI::App* command, std::vector<std::string> local_only, bool with_timeout);

  // What the flags name: a server, or the store of `store`. InvalidArgument where they name both,
  // unless the environment named one of them: flags come before it; and for flags that do not go
  // with a server.
  absl::StatusOr<std::unique_ptr<Backend>> Open(const StoreFlags& store, bool writable,
                                                bool create = false);
  // Whether it will be a server. Errors as Open has them.
  absl::StatusOr<bool> NamesServer(const StoreFlags& store) const;
  // The first Ctrl-C ends the program, also where a server works for it. For a command that waits
  // for its standard input, which a call's end would not end.
  void LeaveInterruptsAlone() { watch_interrupts_ = false; }

 private:
  std::string server_, tls_ca_, tls_cert_, tls_key_, token_file_;
  bool tls_ = false;
  double timeout_ = 0;  // Seconds; 0: none.
  bool watch_interrupts_ = true;
  std::vector<std::string> local_only_;
  CLI::App* command_ = nullptr;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_FLAGS_H_
