#include "services/server_flags.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/client/channel.h"
#include "services/client/remote_backend.h"
#include "services/interrupt.h"
#include "services/local_backend.h"

namespace cairn::services {
namespace {

// Whether the option has the value that its variable of the environment gives it.
bool IsFromEnvironment(const CLI::Option& option) {
  const std::string& name = option.get_envname();
  if (name.empty() || option.results().size() != 1) return false;
  const char* value = std::getenv(name.c_str());
  return value != nullptr && option.results().front() == value;
}

}  // namespace

void ServerFlags::Register(CLI::App* command, std::vector<std::string> local_only,
                           bool with_timeout) {
  command_ = command;
  local_only_ = std::move(local_only);
  command
      ->add_option("--server", server_,
                   "Server that has the store, instead of --store: HOST:PORT or unix:PATH")
      ->envname("CAIRN_SERVER");
  command->add_flag("--tls", tls_, "Encrypted, with the authorities that the system trusts");
  command->add_option("--tls-ca", tls_ca_,
                      "Encrypted, with the authorities of this file (PEM) alone");
  command->add_option("--tls-cert", tls_cert_, "This client's certificate (PEM), where one is due");
  command->add_option("--tls-key", tls_key_, "Its key (PEM)");
  command
      ->add_option("--token-file", token_file_,
                   "File whose first line tells the server who calls; nobody else may read it")
      ->envname("CAIRN_TOKEN_FILE");
  if (with_timeout) {
    command->add_option("--timeout", timeout_, "Seconds to wait for the server (0: no limit)")
        ->check(CLI::Range(0.0, 1e6))
        ->capture_default_str();
  }
}

absl::StatusOr<bool> ServerFlags::NamesServer(const StoreFlags& store) const {
  if (server_.empty()) return false;
  if (!store.store.empty()) {
    const bool from_environment = IsFromEnvironment(*command_->get_option("--server"));
    if (from_environment == IsFromEnvironment(*command_->get_option("--store"))) {
      return absl::InvalidArgumentError("--store and --server exclude each other");
    }
    if (from_environment) return false;
  }
  for (const std::string& name : local_only_) {
    const CLI::Option& option = *command_->get_option(name);
    if (option.count() == 0 || IsFromEnvironment(option)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(name, " does not go with --server, which decides that by itself"));
  }
  return true;
}

absl::StatusOr<std::unique_ptr<Backend>> ServerFlags::Open(const StoreFlags& store, bool writable,
                                                           bool create) {
  absl::StatusOr<bool> remote = NamesServer(store);
  if (!remote.ok()) return remote.status();
  if (!*remote) {
    absl::StatusOr<std::unique_ptr<Engine>> engine = store.Open(writable, create);
    if (!engine.ok()) return engine.status();
    return std::make_unique<LocalBackend>(*std::move(engine));
  }
  ConnectionOptions options;
  options.address = server_;
  options.security.tls = tls_;
  options.security.ca = tls_ca_;
  options.security.cert = tls_cert_;
  options.security.key = tls_key_;
  options.token_file = token_file_;
  if (timeout_ > 0) options.timeout = absl::Seconds(timeout_);
  if (watch_interrupts_) {
    WatchForInterrupt();
    options.is_cancelled = Interrupted;
  }
  // gRPC's own variable asks for its messages.
  if (std::getenv("GRPC_VERBOSITY") == nullptr) SilenceTransport();
  return RemoteBackend::Open(std::move(options));
}

}  // namespace cairn::services
