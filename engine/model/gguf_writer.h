// Writer of GGUF files, version 3.
#ifndef CAIRN_ENGINE_MODEL_GGUF_WRITER_H_
#define CAIRN_ENGINE_MODEL_GGUF_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/gguf.h"

namespace cairn::engine {

// Metadata and the tensors' descriptions first, then the tensors' bytes in the same order, in
// pieces of any size: nothing but a buffer is held in memory. The file appears under its name when
// it is complete and on disk; until then, or on failure, there is only PATH.partial, which the
// destructor removes. Not thread-safe. Errors begin with the path.
class GgufWriter {
 public:
  // InvalidArgument where something other than a regular file has the name; the system's error
  // where the temporary file cannot be made.
  static absl::StatusOr<std::unique_ptr<GgufWriter>> Create(const std::string& path);
  ~GgufWriter();
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;

  // Each key once, none after the first tensor.
  void AddUnsigned(std::string_view key, uint32_t value);
  void AddReal(std::string_view key, float value);
  void AddBool(std::string_view key, bool value);
  void AddString(std::string_view key, std::string_view value);
  void AddStrings(std::string_view key, absl::Span<const std::string> values);
  void AddFloats(std::string_view key, absl::Span<const float> values);
  void AddInts(std::string_view key, absl::Span<const int32_t> values);
  void AddBools(std::string_view key, const std::vector<bool>& values);
  void AddBytes(std::string_view key, std::string_view values);
  // As it stands in another file.
  void AddValue(std::string_view key, const GgufValue& value);

  // Row-major shape of one to four dimensions, rows of whole blocks. Each name once.
  void AddTensor(std::string_view name, kernels::BlockFormat format,
                 const std::vector<uint64_t>& shape);

  // The next bytes of the tensor whose turn it is; never beyond its end.
  absl::Status Append(std::string_view bytes);

  // After all tensors' bytes.
  absl::Status Finish();

 private:
  explicit GgufWriter(std::string path);

  void Key(std::string_view key, GgufType type);
  void ArrayHead(std::string_view key, GgufType element, uint64_t count);
  absl::Status WriteHeader();
  absl::Status Write(std::string_view bytes);  // Through the buffer.
  absl::Status Flush();
  absl::Status Failed(const char* what) const;

  const std::string path_;
  const std::string temporary_;
  int fd_ = -1;
  std::string metadata_;  // The entries, as they go into the file.
  uint64_t entries_ = 0;
  std::string tensors_;          // Likewise.
  std::vector<uint64_t> sizes_;  // Bytes of each tensor.
  uint64_t next_offset_ = 0;     // Of the tensor to be added.
  bool header_written_ = false;
  size_t current_ = 0;  // The tensor whose turn it is.
  uint64_t done_ = 0;   // Of its bytes.
  std::string buffer_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_GGUF_WRITER_H_
