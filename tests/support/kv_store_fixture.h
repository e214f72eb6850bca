// A KvStore over a store with a collection of a few documents.
#ifndef CAIRN_TESTS_SUPPORT_KV_STORE_FIXTURE_H_
#define CAIRN_TESTS_SUPPORT_KV_STORE_FIXTURE_H_

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/kv/kv_store.h"
#include "index/store.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_store.h"

namespace cairn::testing {

class KvStoreFixture : public ::testing::Test {
 protected:
  static constexpr int kDocuments = 4;  // Of one chunk each.

  KvStoreFixture() {
    options_.now = [this] { return now_; };
    options_.flush_interval = absl::InfiniteDuration();
    options_.on_problem = [this](const std::string& problem) {
      absl::MutexLock lock(&mutex_);
      problems_.push_back(problem);
    };
    OpenStore();
    auto c = store_->Create("c", Settings());
    auto other = store_->Create("other", Settings());
    if (!c.ok() || !other.ok()) std::abort();
    collection_ = (*c)->id();
    other_ = (*other)->id();
    for (int i = 0; i < kDocuments; ++i) {
      const std::vector<index::PreparedDocument> documents = {
          Prepare(absl::StrCat("d", i), absl::StrCat("text ", i))};
      std::vector<index::WriteOutcome> outcomes;
      std::vector<index::ChunkRange> ranges;
      if (!(*c)->Upsert(documents, &outcomes, &ranges).ok()) std::abort();
      chunks_.push_back(ranges.at(0).first);
    }
    OpenKv();
    identity_.emplace(*kv_->Identity(collection_));
    other_identity_.emplace(*kv_->Identity(other_));
  }

  void Close() {
    kv_.reset();
    store_.reset();
  }
  void Reopen() {
    Close();
    OpenStore();
    OpenKv();
  }

  engine::KvStore& kv() { return *kv_; }
  index::Store& store() { return *store_; }
  uint32_t collection() const { return collection_; }
  const engine::KvIdentity& identity() const { return *identity_; }
  const engine::KvIdentity& OtherIdentity() const { return *other_identity_; }
  uint64_t chunk(int document) const { return chunks_[static_cast<size_t>(document)]; }

  static engine::KvConfiguration configuration() {
    engine::KvConfiguration c;
    c.model_fingerprint = "model";
    c.tokenizer_fingerprint = "tokenizer";
    return c;
  }
  static std::vector<uint32_t> Tokens(std::vector<uint32_t> tokens) { return tokens; }
  engine::KvKey KeyOf(const std::vector<uint32_t>& tokens,
                      const engine::KvConfiguration& c = configuration()) const {
    return identity_->Key(identity_->Configuration(c), {}, tokens);
  }
  engine::KvOwner OwnerOf(int document) const {
    return {chunk(document), identity_->Configuration(configuration()), "model"};
  }

  void DeleteDocument(int document) {
    std::vector<bool> deleted;
    const std::vector<std::string> ids = {absl::StrCat("d", document)};
    ASSERT_TRUE((*store_->Find("c"))->Delete(ids, &deleted).ok());
  }
  void DropCollection() { ASSERT_TRUE(store_->Drop("c").ok()); }

  std::string PathOf(const engine::KvKey& key) const {
    return index::KvBlobFiles(directory_.file("store")).Path(key.name);
  }
  // Changes a byte of the blob's file.
  void Damage(const engine::KvKey& key, size_t at, char by = 1) const {
    std::fstream file(PathOf(key), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char changed = static_cast<char>(file.get() ^ by);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(changed);
    ASSERT_TRUE(file.good());
  }
  absl::StatusOr<index::KvBlobRow> RowOf(const engine::KvKey& key) {
    return store_->kv_blobs().Find(key.collection, key.name);
  }
  std::vector<std::string> problems() {
    absl::MutexLock lock(&mutex_);
    return problems_;
  }

  engine::KvStoreOptions options_;
  absl::Time now_ = absl::FromUnixSeconds(1700000000);
  bool read_only_ = false;

 private:
  void OpenStore() {
    index::StoreOptions options = Writable();
    options.rows.read_only = read_only_;
    options.rows.create_if_missing = !read_only_;
    auto store = index::Store::Open(directory_.file("store"), options);
    if (!store.ok()) std::abort();
    store_ = *std::move(store);
  }
  void OpenKv() {
    auto kv = engine::KvStore::Open(store_.get(), options_);
    if (!kv.ok()) std::abort();
    kv_ = *std::move(kv);
  }

  TempDir directory_;
  absl::Mutex mutex_;
  std::vector<std::string> problems_;
  std::unique_ptr<index::Store> store_;
  std::unique_ptr<engine::KvStore> kv_;
  uint32_t collection_ = 0;
  uint32_t other_ = 0;
  std::optional<engine::KvIdentity> identity_;
  std::optional<engine::KvIdentity> other_identity_;
  std::vector<uint64_t> chunks_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_KV_STORE_FIXTURE_H_
