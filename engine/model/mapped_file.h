// Files that are read where they lie, through the page cache.
#ifndef CAIRN_ENGINE_MODEL_MAPPED_FILE_H_
#define CAIRN_ENGINE_MODEL_MAPPED_FILE_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace cairn::engine {

// A regular file mapped read-only. Moving it does not move the bytes. Thread-safe. The file must
// not be shortened while it is mapped: reading what is gone ends the process (SIGBUS), as with
// every mapping.
class MappedFile {
 public:
  // Symbolic links are followed. Errors begin with the path: the system's own where it cannot be
  // opened or mapped, InvalidArgument for anything but a regular file.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Page-aligned; empty for an empty file.
  std::string_view bytes() const { return {data_, size_}; }

  // Lets the system drop the pages that lie wholly within `part` of bytes(); a later read gets them
  // from the file again. Only a hint.
  void Drop(std::string_view part) const;

 private:
  MappedFile(const char* data, size_t size) : data_(data), size_(size) {}
  void Unmap();

  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_MAPPED_FILE_H_
