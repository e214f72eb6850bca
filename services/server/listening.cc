#include "services/server/listening.h"

#include <arpa/inet.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace cairn::services {
namespace {

constexpr absl::string_view kUnix = "unix:";
constexpr unsigned kReloadSeconds = 5;

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using PrivateKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

absl::Status Wrong(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

absl::StatusOr<File> OpenPem(const std::string& path) {
  File file(std::fopen(path.c_str(), "re"));
  if (file == nullptr) return Wrong(path, std::strerror(errno));
  return file;
}

absl::StatusOr<Certificate> ReadCertificate(const std::string& path) {
  absl::StatusOr<File> file = OpenPem(path);
  if (!file.ok()) return file.status();
  Certificate certificate(PEM_read_X509(file->get(), nullptr, nullptr, nullptr), &X509_free);
  if (certificate == nullptr) return Wrong(path, "no certificate in PEM format");
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return Wrong(path, "the certificate has expired");
  }
  return certificate;
}

// Whether "HOST:PORT" has both, the host in brackets where it is an IPv6 address.
bool SplitHostPort(absl::string_view address, absl::string_view* host, absl::string_view* port) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return false;
  *host = address.substr(0, colon);
  *port = address.substr(colon + 1);
  if (host->front() == '[') {
    if (host->back() != ']') return false;
    *host = host->substr(1, host->size() - 2);
  } else if (absl::StrContains(*host, ":")) {
    return false;
  }
  int number = -1;
  return !host->empty() && absl::SimpleAtoi(*port, &number) && number >= 0 && number <= 65535;
}

absl::Status CheckAddress(const std::string& address) {
  if (absl::StartsWith(address, kUnix)) {
    const size_t size = address.size() - kUnix.size();
    if (size == 0 || size >= sizeof(sockaddr_un::sun_path)) {
      return absl::InvalidArgumentError(absl::StrCat(address,
                                                     ": the path of a Unix socket has 1 to ",
                                                     sizeof(sockaddr_un::sun_path) - 1, " bytes"));
    }
    return absl::OkStatus();
  }
  absl::string_view host;
  absl::string_view port;
  if (!SplitHostPort(address, &host, &port)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\" is no address: use HOST:PORT or unix:PATH"));
  }
  return absl::OkStatus();
}

}  // namespace

bool IsLocalAddress(const std::string& address) {
  if (absl::StartsWith(address, kUnix)) return true;
  absl::string_view host;
  absl::string_view port;
  if (!SplitHostPort(address, &host, &port)) return false;
  if (host == "localhost" || host == "::1") return true;
  // 127.0.0.0/8, written in full: "127.evil.example" is a name like any other.
  in_addr number;
  return ::inet_pton(AF_INET, std::string(host).c_str(), &number) == 1 &&
         (ntohl(number.s_addr) >> 24) == 127;
}

absl::Status CheckServerOptions(const ServerOptions& options) {
  if (options.store.empty()) return absl::InvalidArgumentError("no store named: use --store DIR");
  if (options.listen.empty()) return absl::InvalidArgumentError("no address to listen on");
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key go together");
  }
  const bool tls = !options.tls_cert.empty();
  if (!tls && !options.client_ca.empty()) {
    return absl::InvalidArgumentError("--client-ca takes --tls-cert and --tls-key");
  }
  const bool authenticated = !options.token_file.empty() || !options.client_ca.empty();
  for (const std::string& address : options.listen) {
    if (absl::Status s = CheckAddress(address); !s.ok()) return s;
    if (!IsLocalAddress(address) && !(tls && authenticated)) {
      return absl::InvalidArgumentError(absl::StrCat(
          address, " can be reached from other machines: that takes TLS (--tls-cert, --tls-key) ",
          "and authentication (--token-file or --client-ca); otherwise listen on 127.0.0.1 or a ",
          "Unix socket"));
    }
  }
  if (!options.metrics_listen.empty()) {
    if (absl::Status s = CheckAddress(options.metrics_listen); !s.ok()) return s;
    if (!IsLocalAddress(options.metrics_listen) ||
        absl::StartsWith(options.metrics_listen, kUnix)) {
      return absl::InvalidArgumentError(absl::StrCat(
          options.metrics_listen, ": metrics are for this machine only: use 127.0.0.1:PORT"));
    }
  }
  const KvReuseOptions& kv = options.engine.kv;
  if ((kv.enabled || kv.build_on_ingest) && options.engine.generator.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(kv.build_on_ingest ? "--kv-build" : "--kv-reuse",
                                                   " takes a language model (--model)"));
  }
  return absl::OkStatus();
}

absl::Status CheckTlsFiles(const std::string& cert, const std::string& key,
                           const std::string& client_ca) {
  absl::StatusOr<Certificate> certificate = ReadCertificate(cert);
  if (!certificate.ok()) return certificate.status();
  absl::StatusOr<File> file = OpenPem(key);
  if (!file.ok()) return file.status();
  // A key with a passphrase would ask for it on the terminal.
  const auto no_passphrase = [](char*, int, int, void*) { return 0; };
  const PrivateKey private_key(PEM_read_PrivateKey(file->get(), nullptr, no_passphrase, nullptr),
                               &EVP_PKEY_free);
  if (private_key == nullptr) return Wrong(key, "no private key in PEM format without passphrase");
  if (X509_check_private_key(certificate->get(), private_key.get()) != 1) {
    return Wrong(key, absl::StrCat("is not the key of the certificate in ", cert));
  }
  return client_ca.empty() ? absl::OkStatus() : ReadCertificate(client_ca).status();
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const ServerOptions& options) {
  if (options.tls_cert.empty()) return grpc::InsecureServerCredentials();
  if (absl::Status s = CheckTlsFiles(options.tls_cert, options.tls_key, options.client_ca);
      !s.ok()) {
    return s;
  }
  const auto files = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      options.tls_key, options.tls_cert, options.client_ca, kReloadSeconds);
  grpc::experimental::TlsServerCredentialsOptions tls(files);
  tls.watch_identity_key_cert_pairs();
  if (!options.client_ca.empty()) {
    tls.watch_root_certs();
    tls.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(tls);
}

absl::Status CheckUnixSocket(const std::string& path) {
  struct stat st;
  if (::lstat(path.c_str(), &st) != 0) return absl::OkStatus();
  if (!S_ISSOCK(st.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": exists, and is no socket"));
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot make a socket");
  const int connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = connected == 0 ? 0 : errno;
  ::close(fd);
  if (error == ECONNREFUSED || error == ENOENT) return absl::OkStatus();  // Left by one that died.
  return absl::UnavailableError(absl::StrCat(path, ": a server listens on it already"));
}

}  // namespace cairn::services
