// Many at once: what anybody reads is right, whatever is stored, evicted or deleted meanwhile.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/kv/kv_store.h"
#include "tests/support/kv_blobs.h"
#include "tests/support/kv_store_fixture.h"

namespace cairn::engine {
namespace {

using ::cairn::testing::CheckKv;
using ::cairn::testing::KvStoreFixture;
using ::cairn::testing::MakeKvBlob;

constexpr uint32_t kBlobs = 24;

class KvStoreConcurrencyTest : public KvStoreFixture {
 protected:
  // Runs `work(thread, random)` again and again in some threads while `main` runs.
  template <typename Work, typename Main>
  void While(int threads, Work work, Main main) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t) {
      running.emplace_back([&, t] {
        std::mt19937 random(static_cast<unsigned>(t));
        while (!stop) work(t, random);
      });
    }
    main();
    stop = true;
    for (std::thread& thread : running) thread.join();
  }
};

TEST_F(KvStoreConcurrencyTest, ReadersWritersAndEvictions) {
  options_.disk_bytes = 10 * 17000;
  options_.memory_bytes = 5 * 400;
  options_.loader_threads = 3;
  options_.flush_interval = absl::Milliseconds(5);
  Reopen();
  std::atomic<int> read{0};
  const auto work = [&](int, std::mt19937& random) {
    const uint32_t seed = random() % kBlobs;
    const KvKey key = KeyOf({seed});
    switch (random() % 8) {
      case 0: {
        const std::vector<KvKey> keys = {key, KeyOf({(seed + 1) % kBlobs})};
        kv().Prefetch(keys);
        break;
      }
      case 1: {
        const absl::Status s = kv().Put(key, OwnerOf(0), MakeKvBlob(seed));
        EXPECT_TRUE(s.ok()) << s;
        break;
      }
      default: {
        const std::shared_ptr<const ChunkKv> found = kv().Find(key);
        if (found == nullptr) break;
        const absl::Status s = CheckKv(*found, seed);
        EXPECT_TRUE(s.ok()) << s;
        ++read;
      }
    }
  };
  While(6, work, [&] {
    for (int i = 0; i < 40; ++i) {
      absl::SleepFor(absl::Milliseconds(10));
      if (i % 10 == 5) kv().Evict(40000).status().IgnoreError();
      if (i % 10 == 9) {
        EXPECT_TRUE(
            kv().Verify(false, [](const std::string& problem) { ADD_FAILURE() << problem; }).ok());
      }
      kv().Stats();
      kv().Stats(collection());
    }
  });
  EXPECT_GT(read, 0);
  EXPECT_LE(kv().Stats().disk.bytes, options_.disk_bytes);
  EXPECT_LE(kv().Stats().memory.bytes, options_.memory_bytes);
  EXPECT_EQ(kv().Stats(collection()).bad_blobs, 0u);
  EXPECT_TRUE(problems().empty()) << problems()[0];
}

TEST_F(KvStoreConcurrencyTest, DocumentsAreDeletedMeanwhile) {
  const auto work = [&](int, std::mt19937& random) {
    const uint32_t seed = random() % kBlobs;
    const KvKey key = KeyOf({seed});
    const std::shared_ptr<const ChunkKv> found = kv().Find(key);
    if (found != nullptr) {
      const absl::Status s = CheckKv(*found, seed);
      EXPECT_TRUE(s.ok()) << s;
      return;
    }
    const absl::Status s =
        kv().Put(key, OwnerOf(static_cast<int>(seed) % kDocuments), MakeKvBlob(seed));
    EXPECT_TRUE(s.ok() || absl::IsNotFound(s)) << s;
  };
  While(5, work, [&] {
    for (int d = 0; d < kDocuments; ++d) {
      absl::SleepFor(absl::Milliseconds(60));
      DeleteDocument(d);
    }
  });
  EXPECT_EQ(kv().Stats().disk.blobs, 0u);
  for (uint32_t i = 0; i < kBlobs; ++i) EXPECT_EQ(kv().Find(KeyOf({i})), nullptr);
  EXPECT_TRUE(problems().empty()) << problems()[0];
}

TEST_F(KvStoreConcurrencyTest, OneBlobLoadedByManyIsReadOnce) {
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1, 200, 32)).ok());
  Reopen();
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      const std::shared_ptr<const ChunkKv> found = kv().Find(KeyOf({1}));
      ASSERT_NE(found, nullptr);
      const absl::Status s = CheckKv(*found, 1);
      EXPECT_TRUE(s.ok()) << s;
    });
  }
  for (std::thread& thread : threads) thread.join();
  const KvCollectionStats stats = kv().Stats(collection());
  EXPECT_EQ(stats.memory_hits + stats.disk_hits, 8u);
  EXPECT_EQ(stats.bytes_loaded, kv().Find(KeyOf({1}))->bytes());
}

}  // namespace
}  // namespace cairn::engine
