// A collection on its way to another model's vectors.
#ifndef CAIRN_INDEX_REEMBEDDING_H_
#define CAIRN_INDEX_REEMBEDDING_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "index/collection.h"

namespace cairn::index {

class Store;

// Made by Store::Reembed; at most one of a collection lives. Whoever has it fills target() with the
// documents of source(), chunk ids included, and then lets it take source's place. What was filled
// in stays when the object goes, for the next one. docs/formats/store.md, "Re-embedding".
class Reembedding {
 public:
  ~Reembedding();
  Reembedding(const Reembedding&) = delete;
  Reembedding& operator=(const Reembedding&) = delete;

  Collection& source() const { return *source_; }
  Collection& target() const { return *target_; }

  // Puts target in source's place and deletes what source held, in one durable step. The caller
  // holds a WritePause of source, and has made sure that both have the same documents. Writers that
  // hold source are refused from then on. Queries that hold it end as they began. An error leaves
  // all as it was, unless the store itself failed.
  absl::Status Commit();

 private:
  friend class Store;
  Reembedding(Store* store, std::string name, std::shared_ptr<Collection> source,
              std::shared_ptr<Collection> target);

  Store* const store_;
  const std::string name_;
  const std::shared_ptr<Collection> source_;
  const std::shared_ptr<Collection> target_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_REEMBEDDING_H_
