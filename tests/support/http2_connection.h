// A hand-made HTTP/2 connection over a Unix socket, for what no client library would send.
#ifndef CAIRN_TESTS_SUPPORT_HTTP2_CONNECTION_H_
#define CAIRN_TESTS_SUPPORT_HTTP2_CONNECTION_H_

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace cairn::testing {

// Not thread-safe. Neither flow control nor compression of headers.
class Http2Connection {
 public:
  static constexpr uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kGoAway = 7,
                           kWindowUpdate = 8;
  static constexpr uint8_t kEndStream = 1, kEndHeaders = 4;

  struct Frame {
    uint8_t type = 0;
    uint8_t flags = 0;
    uint32_t stream = 0;
    std::string payload;
  };

  explicit Http2Connection(const std::string& path) {
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(std::exchange(fd_, -1));
      return;
    }
    // A server that takes nothing more, or says nothing more, does not hold up the test.
    const timeval patience = {10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Http2Connection() {
    if (fd_ >= 0) ::close(fd_);
  }
  Http2Connection(const Http2Connection&) = delete;
  Http2Connection& operator=(const Http2Connection&) = delete;

  bool connected() const { return fd_ >= 0; }

  // False where the server takes no more.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  bool SendPreface() {
    return Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") && SendFrame(kSettings, 0, 0, "");
  }
  bool SendFrame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
    const auto size = static_cast<uint32_t>(payload.size());
    std::string frame;
    for (const int shift : {16, 8, 0}) frame.push_back(static_cast<char>(size >> shift));
    frame.push_back(static_cast<char>(type));
    frame.push_back(static_cast<char>(flags));
    for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(stream >> shift));
    frame.append(payload);
    if (type == kData) {
      connection_window_ -= size;
      stream_window_ -= size;
    }
    return Send(frame);
  }
  // Begins a call of gRPC.
  bool SendHeaders(uint32_t stream, const std::string& path,
                   const std::string& content_type = "application/grpc") {
    const std::pair<std::string, std::string> headers[] = {{":method", "POST"},
                                                           {":scheme", "http"},
                                                           {":path", path},
                                                           {":authority", "localhost"},
                                                           {"content-type", content_type},
                                                           {"te", "trailers"}};
    std::string block;
    for (const auto& [name, value] : headers) {
      block.push_back(0);  // Literal, not indexed, with a new name.
      block.push_back(static_cast<char>(name.size()));
      block += name;
      block.push_back(static_cast<char>(value.size()));
      block += value;
    }
    stream_window_ = initial_window_;
    return SendFrame(kHeaders, kEndHeaders, stream, block);
  }

  // Sends data as far as the server's windows allow, reading what it says meanwhile. How much.
  uint64_t SendData(uint32_t stream, uint64_t bytes) {
    const std::string block(16384, 'x');
    uint64_t sent = 0;
    while (sent < bytes) {
      const int64_t room = std::min(connection_window_, stream_window_);
      if (room <= 0) {
        const std::optional<Frame> frame = ReadFrame();
        if (!frame.has_value() || frame->type == kGoAway) return sent;
        if (frame->stream == stream && (frame->type == kReset || frame->type == kHeaders)) {
          return sent;
        }
        continue;
      }
      const auto size =
          std::min({block.size(), static_cast<size_t>(room), static_cast<size_t>(bytes - sent)});
      if (!SendFrame(kData, 0, stream, std::string_view(block).substr(0, size))) return sent;
      sent += size;
    }
    return sent;
  }

  // Nullopt where the server has closed the connection, or says nothing for a long time.
  std::optional<Frame> ReadFrame() {
    std::string head;
    if (!ReadBytes(9, &head)) return std::nullopt;
    const auto byte = [&](size_t i) {
      return static_cast<uint32_t>(static_cast<uint8_t>(head[i]));
    };
    Frame frame;
    frame.type = static_cast<uint8_t>(head[3]);
    frame.flags = static_cast<uint8_t>(head[4]);
    frame.stream = byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
    if (!ReadBytes(byte(0) << 16 | byte(1) << 8 | byte(2), &frame.payload)) return std::nullopt;
    NoteWindows(frame);
    return frame;
  }
  // Reads until the server has ended the stream or the connection. False: it does not.
  bool AwaitEnd(uint32_t stream) {
    while (true) {
      const std::optional<Frame> frame = ReadFrame();
      if (!frame.has_value()) return closed_;
      if (frame->type == kGoAway) return true;
      if (frame->stream != stream) continue;
      received += frame->payload;
      if (frame->type == kReset || (frame->flags & kEndStream) != 0) return true;
    }
  }

  std::string received;  // Payloads of the stream's frames, by AwaitEnd.

 private:
  static uint32_t Number(std::string_view bytes, size_t at) {
    const auto byte = [&](size_t i) {
      return static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i]));
    };
    return byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
  }
  void NoteWindows(const Frame& frame) {
    if (frame.type == kWindowUpdate && frame.payload.size() == 4) {
      (frame.stream == 0 ? connection_window_ : stream_window_) += Number(frame.payload, 0);
    }
    if (frame.type != kSettings) return;
    for (size_t i = 0; i + 6 <= frame.payload.size(); i += 6) {
      if (frame.payload[i] != 0 || frame.payload[i + 1] != 4) continue;  // Of streams' windows.
      const int64_t initial = Number(frame.payload, i + 2);
      stream_window_ += initial - initial_window_;
      initial_window_ = initial;
    }
  }
  bool ReadBytes(size_t count, std::string* out) {
    out->resize(count);
    for (size_t at = 0; at < count;) {
      const ssize_t n = ::recv(fd_, out->data() + at, count - at, 0);
      if (n == 0 || (n < 0 && errno == ECONNRESET)) closed_ = true;
      if (n <= 0) return false;
      at += static_cast<size_t>(n);
    }
    return true;
  }

  int fd_ = -1;
  int64_t connection_window_ = 65535;
  int64_t stream_window_ = 65535;  // Of the stream begun last.
  int64_t initial_window_ = 65535;
  bool closed_ = false;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_HTTP2_CONNECTION_H_
