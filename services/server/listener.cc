#include "services/server/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/server/listening.h"

namespace cairn::services {
namespace {

constexpr int kBacklog = 4096;  // The kernel takes less where it is set to.
// How long to wait before the next accept where the system has no room for one.
constexpr int kNoRoomMilliseconds = 50;

// Descriptors that are not for connections: an eighth, but some for the store in any case.
int MostForConnections() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > INT_MAX) return INT_MAX;
  const int all = static_cast<int>(files.rlim_cur);
  return all - std::clamp(all / 8, 32, 1024);
}

absl::Status CannotListen(const std::string& address, int error) {
  const std::string message =
      absl::StrCat("cannot listen on ", address, ": ", std::strerror(error));
  return error == EACCES ? absl::PermissionDeniedError(message) : absl::UnavailableError(message);
}

void SetOption(int socket, int level, int name, int value) {
  ::setsockopt(socket, level, name, &value, sizeof value);
}

uint16_t PortOf(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

void SetPort(sockaddr* address, uint16_t port) {
  if (address->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
  }
}

// A listening socket; -1, with errno, where there is none.
int ListenOn(const addrinfo& info) {
  const int socket =
      ::socket(info.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, info.ai_protocol);
  if (socket < 0) return -1;
  SetOption(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (info.ai_family == AF_INET6) {
    // "[::]" stands for all addresses of the machine, also those of IPv4.
    const auto* address = reinterpret_cast<const sockaddr_in6*>(info.ai_addr);
    SetOption(socket, IPPROTO_IPV6, IPV6_V6ONLY,
              IN6_IS_ADDR_UNSPECIFIED(&address->sin6_addr) ? 0 : 1);
  }
  if (::bind(socket, info.ai_addr, info.ai_addrlen) == 0 && ::listen(socket, kBacklog) == 0) {
    return socket;
  }
  const int error = errno;
  ::close(socket);
  errno = error;
  return -1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Bind(const std::string& address) {
  auto listener = std::unique_ptr<Listener>(new Listener);
  listener->address_ = address;
  absl::Status s;
  if (absl::StartsWith(address, "unix:")) {
    s = listener->BindPath(address.substr(5));
  } else {
    const size_t colon = address.rfind(':');
    std::string host = address.substr(0, colon);
    if (absl::StartsWith(host, "[")) host = host.substr(1, host.size() - 2);
    s = listener->BindHost(host, address.substr(colon + 1));
    if (s.ok()) {
      listener->address_ =
          absl::StrCat(address.substr(0, colon), ":", PortOf(listener->sockets_.front()));
    }
  }
  if (!s.ok()) return s;
  listener->stop_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (listener->stop_ < 0) return CannotListen(address, errno);
  return listener;
}

absl::Status Listener::BindHost(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on ", address_, ": ", ::gai_strerror(error)));
  }
  const absl::Cleanup free = [found] { ::freeaddrinfo(found); };
  int error = EADDRNOTAVAIL;
  for (addrinfo* info = found; info != nullptr; info = info->ai_next) {
    // Where any port would do, all addresses get the same.
    if (!sockets_.empty()) SetPort(info->ai_addr, PortOf(sockets_.front()));
    const int socket = ListenOn(*info);
    if (socket >= 0) {
      sockets_.push_back(socket);
      continue;
    }
    error = errno;
    // A machine need not have both versions of IP.
    if (error != EADDRNOTAVAIL && error != EAFNOSUPPORT) return CannotListen(address_, error);
  }
  return sockets_.empty() ? CannotListen(address_, error) : absl::OkStatus();
}

absl::Status Listener::BindPath(const std::string& path) {
  if (absl::Status s = CheckUnixSocket(path); !s.ok()) return s;
  ::unlink(path.c_str());  // One that was left by a server that died.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return CannotListen(address_, errno);
  sockets_.push_back(socket);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return CannotListen(address_, errno);
  }
  path_ = path;
  // Nobody can connect before it listens.
  if (::chmod(path.c_str(), 0660) != 0 || ::listen(socket, kBacklog) != 0) {
    return CannotListen(address_, errno);
  }
  return absl::OkStatus();
}

Listener::~Listener() { Stop(); }

absl::Status Listener::Start(Take take) {
  take_ = std::move(take);
  most_ = MostForConnections();
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error&) {
    return absl::UnavailableError("the system grants no thread to accept connections");
  }
  return absl::OkStatus();
}

void Listener::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    while (::write(stop_, &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread_.join();
  }
  if (!path_.empty()) ::unlink(std::exchange(path_, {}).c_str());
  for (const int socket : std::exchange(sockets_, {})) ::close(socket);
  if (stop_ >= 0) ::close(std::exchange(stop_, -1));
}

void Listener::Run() {
  std::vector<pollfd> wanted = {{stop_, POLLIN, 0}};
  for (const int socket : sockets_) wanted.push_back({socket, POLLIN, 0});
  while (true) {
    if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;  // Interrupted.
    if (wanted.front().revents != 0) return;
    for (size_t i = 1; i < wanted.size(); ++i) {
      if (wanted[i].revents != 0) AcceptAll(wanted[i].fd);
    }
  }
}

void Listener::AcceptAll(int socket) {
  while (true) {
    const int fd = ::accept4(socket, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= most_) {
      ::close(fd);
      continue;
    }
    if (fd >= 0) {
      if (path_.empty()) SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
      take_(fd);
      continue;
    }
    if (errno == EAGAIN) return;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      pollfd stop = {stop_, POLLIN, 0};
      ::poll(&stop, 1, kNoRoomMilliseconds);
      return;
    }
    // That connection is gone already.
  }
}

void RaiseFileLimit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace cairn::services
