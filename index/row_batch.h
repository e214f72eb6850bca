// A set of changes to a store's rows.
#ifndef CAIRN_INDEX_ROW_BATCH_H_
#define CAIRN_INDEX_ROW_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace cairn::index {

// Column families, see docs/formats/store.md.
enum class Family : uint8_t {
  kDefault,
  kDocuments,
  kChunks,
  kVectors,
  kTerms,
  kForward,
  kTombstones
};
inline constexpr size_t kFamilyCount = 7;

// Changes that become visible, and durable, together; of those to one key the last counts. Movable
// (what was moved from is empty); not thread-safe.
class RowBatch {
 public:
  struct Operation {
    enum class Kind : uint8_t { kPut, kDelete, kDeleteRange } kind;
    Family family;
    std::string_view key, value;  // For kDeleteRange: begin and end.
  };

  RowBatch() = default;
  RowBatch(RowBatch&& other) noexcept;
  RowBatch& operator=(RowBatch&& other) noexcept;

  void Put(Family family, std::string_view key, std::string_view value);
  void Delete(Family family, std::string_view key);
  // Every key in [begin, end).
  void DeleteRange(Family family, std::string_view begin, std::string_view end);

  // As they were added. Their bytes live as long as the batch, or what it is moved to.
  const std::vector<Operation>& operations() const { return operations_; }
  size_t bytes() const { return bytes_; }
  // Whether it only deletes.
  bool frees_space() const { return frees_space_; }

 private:
  void Add(Operation::Kind kind, Family family, std::string_view key, std::string_view value);
  // `size` bytes that stay where they are.
  char* Allocate(size_t size);

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* free_ = nullptr;  // The unused end of the last block, and its size.
  size_t free_bytes_ = 0;
  std::vector<Operation> operations_;
  size_t bytes_ = 0;
  bool frees_space_ = true;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_ROW_BATCH_H_
