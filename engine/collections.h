// Collections as things that have owners: their notes, what there is to know of them, their
// documents page by page.
#ifndef CAIRN_ENGINE_COLLECTIONS_H_
#define CAIRN_ENGINE_COLLECTIONS_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "index/collection_rows.h"
#include "index/store.h"

namespace cairn::engine {

// InvalidArgument, naming what breaks which limit of CollectionNotes.
absl::Status CheckNotes(const CollectionNotes& notes);

// What the store keeps of checked notes.
index::CollectionRemarks ToRemarks(const CollectionNotes& notes);

// Reads the collection into memory if it is not there. NotFound.
absl::StatusOr<CollectionInfo> DescribeCollection(index::Store* store, const std::string& name);

// Engine::ListDocuments.
absl::StatusOr<DocumentPage> ListDocuments(const index::CollectionRows& rows,
                                           std::string_view after, size_t limit,
                                           std::string_view filter, size_t max_scanned);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_COLLECTIONS_H_
