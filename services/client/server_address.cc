#include "services/client/server_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "chunking/readers/text_checks.h"

namespace cairn::services {
namespace {

using chunking::AbslView;

constexpr std::string_view kUnixPrefix = "unix:";

absl::Status NoAddress(std::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("no address of a server: \"", AbslView(text),
                                                 "\"; it must be HOST:PORT or unix:PATH"));
}

// gRPC's targets are URIs.
std::string EscapeForUri(std::string_view path) {
  constexpr std::string_view kKept = "-._~/:";
  std::string escaped;
  for (const char c : path) {
    if (chunking::IsAsciiLetter(c) || chunking::IsAsciiDigit(c) ||
        kKept.find(c) != std::string_view::npos) {
      escaped.push_back(c);
    } else {
      absl::StrAppendFormat(&escaped, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

bool IsHostName(std::string_view host) {
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
    return chunking::IsAsciiLetter(c) || chunking::IsAsciiDigit(c) || c == '.' || c == '-' ||
           c == '_';
  });
}

bool IsLoopback(const std::string& host) {
  if (chunking::EqualsIgnoreCase(host, "localhost")) return true;
  in_addr v4;
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace

absl::StatusOr<ServerAddress> ParseServerAddress(std::string_view text) {
  ServerAddress address;
  address.shown = text;
  if (text.substr(0, kUnixPrefix.size()) == kUnixPrefix) {
    const std::string_view path = text.substr(kUnixPrefix.size());
    if (path.empty() || chunking::Contains(path, '\0')) return NoAddress(text);
    constexpr size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;
    if (path.size() > kMaxPath) {
      return absl::InvalidArgumentError(absl::StrCat("the path of a Unix socket has at most ",
                                                     kMaxPath, " bytes: ", AbslView(path)));
    }
    address.target = absl::StrCat(AbslView(kUnixPrefix), EscapeForUri(path));
    address.local = true;
    return address;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return NoAddress(text);
  std::string host(text.substr(0, colon));
  const std::string_view port = text.substr(colon + 1);
  uint32_t number = 0;
  if (port.empty() || port.size() > 5 ||
      !std::all_of(port.begin(), port.end(), chunking::IsAsciiDigit) ||
      !absl::SimpleAtoi(AbslView(port), &number) || number < 1 || number > 65535) {
    return NoAddress(text);
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    in6_addr v6;
    if (::inet_pton(AF_INET6, host.c_str(), &v6) != 1) return NoAddress(text);
    address.target = absl::StrCat("dns:///%5B", host, "%5D:", number);
  } else {
    if (!IsHostName(host)) return NoAddress(text);
    address.target = absl::StrCat("dns:///", host, ":", number);
  }
  address.local = IsLoopback(host);
  return address;
}

}  // namespace cairn::services
