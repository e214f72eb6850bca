#include "engine/model/gguf_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/model/gguf_types.h"

namespace cairn::engine {
namespace {

constexpr uint64_t kTensorAlignment = 32;  // The format's default, so it needs no entry.
constexpr size_t kBufferBytes = 1 << 20;

template <class T>
void Put(T value, std::string* out) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out->append(bytes, sizeof value);
}

void PutString(std::string_view text, std::string* out) {
  Put<uint64_t>(text.size(), out);
  out->append(text);
}

uint64_t Padding(uint64_t bytes) {
  return (kTensorAlignment - bytes % kTensorAlignment) % kTensorAlignment;
}

absl::Status SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == path.npos ? "." : path.substr(0, slash + 1);
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, directory);
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  return error == 0 ? absl::OkStatus() : absl::ErrnoToStatus(error, directory);
}

}  // namespace

GgufWriter::GgufWriter(std::string path) : path_(std::move(path)), temporary_(path_ + ".partial") {}

absl::StatusOr<std::unique_ptr<GgufWriter>> GgufWriter::Create(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  std::unique_ptr<GgufWriter> writer(new GgufWriter(path));
  const std::string& temporary = writer->temporary_;
  writer->fd_ =
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (writer->fd_ < 0) return absl::ErrnoToStatus(errno, temporary);
  return writer;
}

GgufWriter::~GgufWriter() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

void GgufWriter::Key(std::string_view key, GgufType type) {
  assert(sizes_.empty());
  PutString(key, &metadata_);
  Put<uint32_t>(static_cast<uint32_t>(type), &metadata_);
  ++entries_;
}

void GgufWriter::ArrayHead(std::string_view key, GgufType element, uint64_t count) {
  Key(key, GgufType::kArray);
  Put<uint32_t>(static_cast<uint32_t>(element), &metadata_);
  Put<uint64_t>(count, &metadata_);
}

void GgufWriter::AddUnsigned(std::string_view key, uint32_t value) {
  Key(key, GgufType::kU32);
  Put(value, &metadata_);
}

void GgufWriter::AddReal(std::string_view key, float value) {
  Key(key, GgufType::kF32);
  Put(value, &metadata_);
}

void GgufWriter::AddBool(std::string_view key, bool value) {
  Key(key, GgufType::kBool);
  Put<uint8_t>(value ? 1 : 0, &metadata_);
}

void GgufWriter::AddString(std::string_view key, std::string_view value) {
  Key(key, GgufType::kString);
  PutString(value, &metadata_);
}

void GgufWriter::AddStrings(std::string_view key, absl::Span<const std::string> values) {
  ArrayHead(key, GgufType::kString, values.size());
  for (const std::string& value : values) PutString(value, &metadata_);
}

void GgufWriter::AddFloats(std::string_view key, absl::Span<const float> values) {
  ArrayHead(key, GgufType::kF32, values.size());
  for (float value : values) Put(value, &metadata_);
}

void GgufWriter::AddInts(std::string_view key, absl::Span<const int32_t> values) {
  ArrayHead(key, GgufType::kI32, values.size());
  for (int32_t value : values) Put(value, &metadata_);
}

void GgufWriter::AddBools(std::string_view key, const std::vector<bool>& values) {
  ArrayHead(key, GgufType::kBool, values.size());
  for (bool value : values) Put<uint8_t>(value ? 1 : 0, &metadata_);
}

void GgufWriter::AddBytes(std::string_view key, std::string_view values) {
  ArrayHead(key, GgufType::kU8, values.size());
  metadata_.append(values);
}

void GgufWriter::AddValue(std::string_view key, const GgufValue& value) {
  if (value.type == GgufType::kArray) {
    ArrayHead(key, value.element, value.count);
    metadata_.append(value.bytes);
    return;
  }
  Key(key, value.type);
  if (value.type == GgufType::kString) {
    PutString(value.bytes, &metadata_);
  } else {
    metadata_.append(value.bytes);
  }
}

void GgufWriter::AddTensor(std::string_view name, kernels::BlockFormat format,
                           const std::vector<uint64_t>& shape) {
  assert(!header_written_ && !shape.empty() && shape.size() <= 4);
  uint64_t values = 1;
  PutString(name, &tensors_);
  Put<uint32_t>(static_cast<uint32_t>(shape.size()), &tensors_);
  for (size_t i = shape.size(); i-- > 0;) {
    Put<uint64_t>(shape[i], &tensors_);
    values *= shape[i];
  }
  Put<uint32_t>(GgmlTypeOf(format), &tensors_);
  Put<uint64_t>(next_offset_, &tensors_);
  const uint64_t bytes = kernels::FormatBytes(format, values);
  sizes_.push_back(bytes);
  next_offset_ += bytes + Padding(bytes);
}

absl::Status GgufWriter::WriteHeader() {
  header_written_ = true;
  std::string head = "GGUF";
  Put<uint32_t>(3, &head);
  Put<uint64_t>(sizes_.size(), &head);
  Put<uint64_t>(entries_, &head);
  const uint64_t size = head.size() + metadata_.size() + tensors_.size();
  tensors_.append(Padding(size), '\0');
  for (const std::string* part : {&head, &metadata_, &tensors_}) {
    const absl::Status status = Write(*part);
    if (!status.ok()) return status;
  }
  metadata_ = std::string();
  tensors_ = std::string();
  return absl::OkStatus();
}

absl::Status GgufWriter::Append(std::string_view bytes) {
  if (!header_written_) {
    const absl::Status status = WriteHeader();
    if (!status.ok()) return status;
  }
  assert(current_ < sizes_.size() && bytes.size() <= sizes_[current_] - done_);
  const absl::Status status = Write(bytes);
  if (!status.ok()) return status;
  done_ += bytes.size();
  if (done_ < sizes_[current_]) return absl::OkStatus();
  ++current_;
  done_ = 0;
  return Write(std::string(Padding(sizes_[current_ - 1]), '\0'));
}

absl::Status GgufWriter::Finish() {
  if (!header_written_) {
    const absl::Status status = WriteHeader();
    if (!status.ok()) return status;
  }
  assert(current_ == sizes_.size());
  const absl::Status status = Flush();
  if (!status.ok()) return status;
  if (fsync(fd_) != 0) return Failed("cannot sync");
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return Failed("cannot rename");
  close(fd_);
  fd_ = -1;
  return SyncDirectoryOf(path_);
}

absl::Status GgufWriter::Write(std::string_view bytes) {
  if (buffer_.size() + bytes.size() >= kBufferBytes) {
    const absl::Status status = Flush();
    if (!status.ok()) return status;
  }
  buffer_.append(bytes);
  return buffer_.size() < kBufferBytes ? absl::OkStatus() : Flush();
}

absl::Status GgufWriter::Flush() {
  for (size_t done = 0; done < buffer_.size();) {
    const ssize_t n = write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("cannot write");
    done += static_cast<size_t>(n);
  }
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status GgufWriter::Failed(const char* what) const {
  return absl::ErrnoToStatus(errno, absl::StrCat(temporary_, ": ", what));
}

}  // namespace cairn::engine
