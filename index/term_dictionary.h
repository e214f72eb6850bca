// A collection's terms and their ids.
#ifndef CAIRN_INDEX_TERM_DICTIONARY_H_
#define CAIRN_INDEX_TERM_DICTIONARY_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "index/row_store.h"
#include "index/rows.h"

namespace cairn::index {

// Hash for maps whose keys are found by std::string_view.
struct StringViewHash {
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
};

// Term ids are dense from 0 and last for ever; the rows of family `terms` hold them. A small
// dictionary is read into memory at once. Of a large one only the terms that were asked for are
// kept, so that opening a store does not depend on its vocabulary. Thread-safe; the store must
// outlive the object.
class TermDictionary {
 public:
  // DataLoss when a small dictionary is damaged; a large one says so when the damage is met.
  static absl::StatusOr<std::unique_ptr<TermDictionary>> Load(const RowStore* store,
                                                              CollectionId collection);

  // The id of a term that was committed and added; nothing for another.
  absl::StatusOr<std::optional<TermId>> Find(std::string_view term) const;
  // Takes in a term that was just committed, with the id size().
  void Add(std::string_view term);

  size_t size() const;
  size_t MemoryBytes() const;

  // Dictionaries of at most this many terms are read at once.
  static constexpr size_t kReadAtOnce = 200'000;

 private:
  TermDictionary(const RowStore* store, CollectionId collection)
      : store_(store), collection_(collection) {}
  absl::Status ReadAll() ABSL_LOCKS_EXCLUDED(mutex_);
  void Keep(std::string_view term, TermId id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const RowStore* const store_;
  const CollectionId collection_;

  mutable absl::Mutex mutex_;
  TermId size_ ABSL_GUARDED_BY(mutex_) = 0;
  bool complete_ ABSL_GUARDED_BY(mutex_) = false;  // All terms are in memory.
  // Blocks that the map's keys point into.
  mutable std::deque<std::string> bytes_ ABSL_GUARDED_BY(mutex_);
  mutable absl::flat_hash_map<std::string_view, TermId, StringViewHash, std::equal_to<>> ids_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_TERM_DICTIONARY_H_
