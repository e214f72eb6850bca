#include "services/client/channel.h"

#include <grpc/support/log.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <utility>

#include "services/client/client_token.h"

namespace cairn::services {
namespace {

constexpr const char* kSystemRoots = "/etc/ssl/certs/ca-certificates.crt";

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const ChannelSecurity& security) {
  if (!security.uses_tls()) return grpc::InsecureChannelCredentials();
  if (security.cert.empty() != security.key.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key go together");
  }
  grpc::SslCredentialsOptions options;
  absl::StatusOr<std::string> roots =
      ReadSmallFile(security.ca.empty() ? kSystemRoots : security.ca);
  if (!roots.ok()) return roots.status();
  options.pem_root_certs = *std::move(roots);
  if (!security.cert.empty()) {
    absl::StatusOr<std::string> cert = ReadSmallFile(security.cert);
    if (!cert.ok()) return cert.status();
    absl::StatusOr<std::string> key = ReadSmallFile(security.key);
    if (!key.ok()) return key.status();
    options.pem_cert_chain = *std::move(cert);
    options.pem_private_key = *std::move(key);
  }
  return grpc::SslCredentials(options);
}

}  // namespace

void SilenceTransport() {
  gpr_set_log_function([](gpr_log_func_args*) {});
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const ServerAddress& address,
                                                           const ChannelSecurity& security) {
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> credentials = MakeCredentials(security);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kMaxMessageBytes));
  arguments.SetMaxSendMessageSize(static_cast<int>(kMaxMessageBytes));
  // What stays on this machine is no proxy's business.
  if (address.local) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address.target, *credentials, arguments);
}

}  // namespace cairn::services
