// A segment's container: one immutable, checksummed file of sections (docs/formats/segment.md).
#ifndef CAIRN_INDEX_SEGMENT_SECTION_FILE_H_
#define CAIRN_INDEX_SEGMENT_SECTION_FILE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/work_control.h"

namespace cairn::index {

class RateLimiter;

// Sections by number; a file holds each at most once.
enum class Section : uint32_t {
  kMeta = 1,
  kDocumentChunks = 2,
  kDocumentSlots = 3,
  kDocumentMetadata = 4,
  kDocumentIds = 5,
  kDocumentIdBytes = 6,
  kMetadata = 7,
  kMetadataBytes = 8,
  kLengths = 16,
  kTerms = 17,
  kPostings = 18,
  kLargeCounts = 19,
  kVectorMeta = 32,
  kVectorPresent = 33,
  kVectorCodes = 34,
  kVectorScales = 35,
  kVectorNorms = 36,
  kVectorErrors = 37,
  kVectorExact = 38,
  kGraphLevel0 = 48,
  kGraphUpperOffsets = 49,
  kGraphUpper = 50,
  kIvfCentroids = 64,
  kIvfCodebooks = 65,
  kIvfListOffsets = 66,
  kIvfSlots = 67,
  kIvfCodes = 68,
};

// What identifies a file's bytes: the manifest keeps it, and a file is used only if it agrees.
struct FileDigest {
  uint64_t bytes = 0;
  std::array<uint8_t, 16> hash = {};  // XXH3-128 of all bytes before the trailing copy of it.
  friend bool operator==(const FileDigest&, const FileDigest&) = default;
};

// Writes sections one after the other. Not thread-safe. The file is a temporary one until the
// caller renames it; without a Finish that succeeded it is removed again.
class SectionWriter {
 public:
  // `limiter` (may be null) must outlive the writer.
  static absl::StatusOr<std::unique_ptr<SectionWriter>> Create(const std::string& path,
                                                               RateLimiter* limiter);
  ~SectionWriter();
  SectionWriter(const SectionWriter&) = delete;
  SectionWriter& operator=(const SectionWriter&) = delete;

  // Ends the current section and begins another, aligned to kAlignment bytes.
  void Begin(Section section);
  void Append(const void* data, size_t bytes);
  template <typename T>
  void AppendSpan(absl::Span<const T> values) {
    Append(values.data(), values.size() * sizeof(T));
  }
  // A whole section.
  template <typename T>
  void Put(Section section, absl::Span<const T> values) {
    Begin(section);
    AppendSpan(values);
  }
  uint64_t section_bytes() const { return position_ - section_begin_; }

  // The first error so far: ResourceExhausted for a full disk. After one, writes do nothing.
  const absl::Status& status() const { return status_; }

  // Writes the table and syncs the file to disk.
  absl::StatusOr<FileDigest> Finish();

  static constexpr size_t kAlignment = 64;

 private:
  struct Hasher;
  SectionWriter(std::string path, int descriptor, RateLimiter* limiter);
  void EndSection();
  void Flush();

  const std::string path_;
  int descriptor_;
  RateLimiter* const limiter_;
  absl::Status status_;
  std::unique_ptr<Hasher> hasher_;
  std::vector<char> buffer_;
  uint64_t position_ = 0;  // Bytes appended so far, written or not.
  bool in_section_ = false;
  uint32_t section_ = 0;
  uint64_t section_begin_ = 0;
  std::vector<std::array<uint64_t, 3>> table_;  // Section, offset, bytes.
  bool finished_ = false;
};

// A file mapped into memory for reading. Immutable, so safe to share. Its pages come and go as the
// system sees fit; deleting the file's name does not disturb it.
class SectionFile {
 public:
  // Checks size and hash before anything else is looked at: NotFound, or DataLoss when the file is
  // not the one that `expected` describes. Cancelled when `control` says so.
  static absl::StatusOr<std::shared_ptr<const SectionFile>> Open(const std::string& path,
                                                                 const FileDigest& expected,
                                                                 const WorkControl& control = {});
  // For tests and fuzzing: bytes in memory, whose hash is not looked at. The bytes, aligned to 64,
  // must outlive the object.
  static absl::StatusOr<std::shared_ptr<const SectionFile>> FromBytes(absl::Span<const char> bytes);
  ~SectionFile();
  SectionFile(const SectionFile&) = delete;
  SectionFile& operator=(const SectionFile&) = delete;

  bool Has(Section section) const;
  // DataLoss without the section, or when its size is not a multiple of T's.
  template <typename T>
  absl::StatusOr<absl::Span<const T>> Get(Section section) const {
    absl::StatusOr<std::string_view> bytes = Bytes(section);
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() % sizeof(T) != 0) return WrongSize(section);
    return absl::Span<const T>(reinterpret_cast<const T*>(bytes->data()),
                               bytes->size() / sizeof(T));
  }
  // The same with exactly `count` values.
  template <typename T>
  absl::StatusOr<absl::Span<const T>> Get(Section section, uint64_t count) const {
    absl::StatusOr<absl::Span<const T>> values = Get<T>(section);
    if (values.ok() && values->size() != count) return WrongSize(section);
    return values;
  }
  absl::StatusOr<std::string_view> Bytes(Section section) const;

  uint64_t size() const { return size_; }

 private:
  SectionFile() = default;
  static absl::Status WrongSize(Section section);
  absl::Status ReadTable();

  const char* data_ = nullptr;
  uint64_t size_ = 0;
  bool mapped_ = false;
  std::vector<std::array<uint64_t, 3>> table_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_SECTION_FILE_H_
