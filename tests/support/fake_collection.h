// A store with a collection that a fake model embedded.
#ifndef CAIRN_TESTS_SUPPORT_FAKE_COLLECTION_H_
#define CAIRN_TESTS_SUPPORT_FAKE_COLLECTION_H_

#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/ingest.h"
#include "engine/preparation.h"
#include "index/store.h"
#include "tests/support/temp_dir.h"

namespace cairn::testing {

inline index::StoreOptions FakeStoreOptions() {
  index::StoreOptions options;
  options.rows.create_if_missing = true;
  options.rows.min_free_bytes = 0;
  return options;
}

inline index::CollectionSettings FakeSettings(const engine::Embedder& embedder) {
  index::CollectionSettings settings;
  settings.analyzer = "none";
  settings.chunk_tokens = 16;
  settings.embedder_fingerprint = embedder.fingerprint();
  settings.dim = static_cast<uint32_t>(embedder.dim());
  return settings;
}

inline InputDocument TextDocument(std::string id, std::string text, std::string title = "") {
  InputDocument document;
  document.id = std::move(id);
  document.text = std::move(text);
  document.title = std::move(title);
  return document;
}

// Ingests into a collection, which is made when it is not there.
inline absl::StatusOr<IngestReport> IngestInto(index::Store* store, const std::string& name,
                                               const engine::Embedder& embedder,
                                               const std::vector<InputDocument>& documents,
                                               IngestOptions options = {}) {
  if (absl::IsNotFound(store->Describe(name).status())) {
    absl::Status created = store->Create(name, FakeSettings(embedder)).status();
    if (!created.ok()) return created;
  }
  absl::StatusOr<std::shared_ptr<index::Collection>> collection = store->Find(name);
  if (!collection.ok()) return collection.status();
  absl::StatusOr<std::unique_ptr<engine::Preparation>> preparation =
      engine::Preparation::Create((*collection)->settings(), &embedder);
  if (!preparation.ok()) return preparation.status();
  return engine::IngestDocuments(collection->get(), **preparation, documents, options);
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_FAKE_COLLECTION_H_
