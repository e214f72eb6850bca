// Batches whose rows tell which of them a store has seen, and whether each came as a whole.
#ifndef CAIRN_TESTS_SUPPORT_NUMBERED_BATCHES_H_
#define CAIRN_TESTS_SUPPORT_NUMBERED_BATCHES_H_

#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "index/row_store.h"

namespace cairn::testing {

inline constexpr uint64_t kNumberedRows = 3;  // In each family, once there were as many batches.

inline std::string NumberedKey(uint64_t number) {
  char key[32];
  std::snprintf(key, sizeof(key), "n%010llu", static_cast<unsigned long long>(number));
  return key;
}

// Sizes vary, so that batches are spread over files and log blocks in many ways.
inline std::string NumberedValue(uint64_t number, size_t family) {
  return absl::StrCat(number, "/", family, std::string(number * 7919 % 9000, 'x'));
}

// Adds a row to every family and deletes the one of `kNumberedRows` batches ago.
inline index::RowBatch NumberedBatch(uint64_t number) {
  index::RowBatch batch;
  for (size_t f = 0; f < index::kFamilyCount; ++f) {
    const auto family = static_cast<index::Family>(f);
    batch.Put(family, NumberedKey(number), NumberedValue(number, f));
    if (number < kNumberedRows) continue;
    const std::string old = NumberedKey(number - kNumberedRows);
    if (number % 2 == 0) {
      batch.Delete(family, old);
    } else {
      batch.DeleteRange(family, old, old + '\0');
    }
  }
  return batch;
}

// Every third by way of table files.
inline absl::Status CommitNumbered(index::RowStore& store, uint64_t number) {
  return number % 3 == 2 ? store.CommitSorted(NumberedBatch(number))
                         : store.Commit(NumberedBatch(number));
}

// How many batches, from 0 on, the store has seen. An error unless it shows exactly these, whole.
inline absl::StatusOr<uint64_t> CountNumbered(const index::RowStore& store) {
  uint64_t count = 0;
  for (size_t f = 0; f < index::kFamilyCount; ++f) {
    std::string keys;
    uint64_t last = 0, rows = 0;
    absl::Status s = store.Scan(static_cast<index::Family>(f), "n", "o", nullptr,
                                [&](std::string_view key, std::string_view value) {
                                  last = std::stoull(std::string(key.substr(1)));
                                  absl::StrAppend(&keys, std::string(key), " ");
                                  ++rows;
                                  return value == NumberedValue(last, f)
                                             ? absl::OkStatus()
                                             : absl::DataLossError("another value");
                                });
    if (!s.ok()) return s;
    const uint64_t seen = rows == 0 ? 0 : last + 1;
    if (f == 0) count = seen;
    std::string expected;
    for (uint64_t i = count < kNumberedRows ? 0 : count - kNumberedRows; i < count; ++i) {
      absl::StrAppend(&expected, NumberedKey(i), " ");
    }
    if (keys != expected) {
      return absl::DataLossError(absl::StrCat("family ", f, ": ", keys, ", not ", expected));
    }
  }
  return count;
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_NUMBERED_BATCHES_H_
