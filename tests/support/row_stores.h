// Opening stores of rows, and looking at all that is in them.
#ifndef CAIRN_TESTS_SUPPORT_ROW_STORES_H_
#define CAIRN_TESTS_SUPPORT_ROW_STORES_H_

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "index/row_store.h"

namespace cairn::testing {

using Rows = std::vector<std::pair<std::string, std::string>>;

inline index::RowStoreOptions Writing() {
  index::RowStoreOptions options;
  options.create_if_missing = true;
  options.min_free_bytes = 0;
  return options;
}

inline index::RowStoreOptions Reading() {
  index::RowStoreOptions options;
  options.read_only = true;
  return options;
}

inline std::unique_ptr<index::RowStore> Open(const std::string& path,
                                             const index::RowStoreOptions& options) {
  absl::StatusOr<std::unique_ptr<index::RowStore>> store = index::RowStore::Open(path, options);
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

// All rows of a family, but for those that every store has.
inline Rows AllRows(const index::RowStore& store, index::Family family,
                    const index::RowSnapshot* snapshot) {
  Rows rows;
  const absl::Status s =
      store.Scan(family, "", "\xFF", snapshot, [&](std::string_view k, std::string_view v) {
        if (k != "uuid" && k != "counters") rows.emplace_back(k, v);
        return absl::OkStatus();
      });
  EXPECT_TRUE(s.ok()) << s;
  return rows;
}

inline std::vector<Rows> AllRows(const index::RowStore& store,
                                 const index::RowSnapshot* snapshot = nullptr) {
  std::vector<Rows> rows;
  for (size_t f = 0; f < index::kFamilyCount; ++f) {
    rows.push_back(AllRows(store, static_cast<index::Family>(f), snapshot));
  }
  return rows;
}

inline std::string Get(const index::RowStore& store, index::Family family, std::string_view key) {
  std::string value;
  const absl::Status s = store.Get(family, key, nullptr, &value);
  return s.ok() ? value : s.ToString();
}

// Names, ascending; none when the directory is not there.
inline std::vector<std::string> FilesIn(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

inline std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// While it lives files cannot grow beyond that: writing more is an error, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_;
  void (*handler_)(int);
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_ROW_STORES_H_
