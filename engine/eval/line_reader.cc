#include "engine/eval/line_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "engine/eval/absl_view.h"

namespace cairn::engine {
namespace {

constexpr size_t kReadBytes = size_t{1} << 18;

bool SeparatesFields(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

}  // namespace

LineReader::LineReader(std::istream& in, std::string_view name, size_t max_line_bytes)
    : in_(in), name_(name), max_line_bytes_(max_line_bytes) {}

absl::Status LineReader::ErrorAt(uint64_t line, std::string_view reason) const {
  return absl::InvalidArgumentError(absl::StrCat(name_, ":", line, ": ", AbslView(reason)));
}

bool LineReader::Fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < kReadBytes / 2) {
    buffer_.resize(std::max(kReadBytes, 2 * buffer_.size()));
  }
  in_.read(buffer_.data() + end_, static_cast<std::streamsize>(buffer_.size() - end_));
  end_ += static_cast<size_t>(in_.gcount());
  if (in_.bad()) {
    status_ = absl::DataLossError(absl::StrCat(name_, ":", line_number_ + 1, ": read error"));
    return false;
  }
  return in_.gcount() > 0;
}

bool LineReader::Deliver(std::string_view bytes, std::string_view& line) {
  ++line_number_;
  if (bytes.size() > max_line_bytes_) {
    status_ = Error(absl::StrCat("line longer than ", max_line_bytes_, " bytes"));
    return false;
  }
  if (line_number_ == 1 && bytes.substr(0, 3) == "\xEF\xBB\xBF") bytes.remove_prefix(3);
  if (!bytes.empty() && bytes.back() == '\r') bytes.remove_suffix(1);
  if (bytes.find('\0') != std::string_view::npos) {
    status_ = Error("NUL byte in the line");
    return false;
  }
  line = bytes;
  return true;
}

bool LineReader::Next(std::string_view& line) {
  if (!status_.ok()) return false;
  for (;;) {
    const std::string_view rest(buffer_.data() + begin_, end_ - begin_);
    const size_t newline = rest.find('\n', scanned_);
    if (newline != std::string_view::npos) {
      begin_ += newline + 1;
      scanned_ = 0;
      return Deliver(rest.substr(0, newline), line);
    }
    scanned_ = rest.size();
    if (rest.size() > max_line_bytes_) return Deliver(rest, line);
    if (Fill()) continue;
    if (!status_.ok() || begin_ == end_) return false;
    // The last line, without a newline.
    const std::string_view last(buffer_.data() + begin_, end_ - begin_);
    begin_ = end_;
    scanned_ = 0;
    return Deliver(last, line);
  }
}

size_t SplitFields(std::string_view line, absl::Span<std::string_view> fields) {
  size_t count = 0;
  size_t i = 0;
  while (count < fields.size()) {
    while (i < line.size() && SeparatesFields(line[i])) ++i;
    if (i == line.size()) break;
    const size_t start = i;
    while (i < line.size() && !SeparatesFields(line[i])) ++i;
    fields[count++] = line.substr(start, i - start);
  }
  return count;
}

absl::StatusOr<std::ifstream> OpenToRead(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory"));
  }
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (in) return in;
  return absl::NotFoundError(
      absl::StrCat(path, ": ", std::generic_category().message(errno != 0 ? errno : ENOENT)));
}

}  // namespace cairn::engine
