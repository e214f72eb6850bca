// Keys and values that are written in the background.
#include "engine/kv/kv_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/kv_store_fixture.h"

namespace cairn::engine {
namespace {

using ::cairn::testing::KvStoreFixture;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class KvWriterTest : public KvStoreFixture {
 protected:
  // Three tokens in two layers, all of whose numbers are `value`.
  KvWriter::Item ItemOf(uint32_t token, int document, float value) const {
    auto buffer = std::make_shared<ChunkKvBuffer>(
        KvEncoding::kF32, KvShape{.layers = 2, .kv_heads = 1, .head_dim = 4}, 3, 7);
    const std::vector<float> numbers(12, value);
    for (size_t layer = 0; layer < 2; ++layer) {
      buffer->Fill(layer, 0, 3, numbers.data(), numbers.data());
    }
    ChunkAttention attention;
    attention.before = {{token, 5, value}};
    attention.token_inter = {1, 2, 3};
    buffer->SetAttention(std::move(attention));
    return {KeyOf({token}), OwnerOf(document), std::move(buffer), 0.5, 100};
  }
  std::unique_ptr<KvWriter> Make(uint64_t max_bytes = 1 << 20) {
    return std::make_unique<KvWriter>(&kv(), max_bytes, [this](const std::string& problem) {
      absl::MutexLock lock(&mutex_);
      told_.push_back(problem);
    });
  }
  std::vector<std::string> told() {
    absl::MutexLock lock(&mutex_);
    return told_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> told_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(KvWriterTest, WhatWaitsIsWrittenBeforeItEnds) {
  auto writer = Make();
  for (uint32_t t = 1; t <= 20; ++t) writer->Add(ItemOf(t, 0, static_cast<float>(t)));
  writer = nullptr;
  EXPECT_EQ(kv().Stats().disk.blobs, 20u);
  Reopen();
  for (uint32_t t = 1; t <= 20; ++t) {
    const std::shared_ptr<const ChunkKv> found = kv().Find(KeyOf({t}));
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->first_position(), 7u);
    float keys[4], values[4];
    ASSERT_TRUE(found->Read(1, 2, 1, keys, values).ok());
    EXPECT_THAT(values, ::testing::Each(static_cast<float>(t)));
    const std::optional<ChunkAttention> attention = kv().AttentionOf(KeyOf({t}));
    ASSERT_TRUE(attention.has_value());
    EXPECT_EQ(attention->before.at(0).hash, t);
  }
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(KvWriterTest, WhatComesWhileTooMuchWaitsIsLetGoOf) {
  auto writer = Make(/*max_bytes=*/1);
  EXPECT_TRUE(writer->HasRoom(1 << 20)) << "one may wait, however large";
  for (uint32_t t = 1; t <= 50; ++t) {
    writer->Add(ItemOf(t, 0, 1));
    EXPECT_LE(writer->Waiting(collection(), chunk(0)).size(), 1u);
  }
  writer = nullptr;
  EXPECT_GE(kv().Stats().disk.blobs, 1u);
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(KvWriterTest, AChunkGetsNoMoreVariantsThanItMayHave) {
  auto writer = Make();
  for (uint32_t t = 1; t <= 10; ++t) {
    KvWriter::Item item = ItemOf(t, 0, 1);
    item.variants = 2;
    writer->Add(std::move(item));
  }
  writer = nullptr;
  EXPECT_EQ(kv().Stats().disk.blobs, 2u);
}

TEST_F(KvWriterTest, AChunkThatIsGoneIsNoProblemAndAFullDiskIsTold) {
  DeleteDocument(1);
  auto writer = Make();
  writer->Add(ItemOf(1, 1, 1));
  writer = nullptr;
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_EQ(kv().Stats().disk.blobs, 0u);
  const std::string folder = std::filesystem::path(PathOf(KeyOf({2}))).parent_path();
  std::filesystem::create_directories(std::filesystem::path(folder).parent_path());
  std::filesystem::remove_all(folder);
  std::ofstream(folder) << "in the way";
  writer = Make();
  writer->Add(ItemOf(2, 0, 1));
  writer = nullptr;
  EXPECT_THAT(told(), ElementsAre(HasSubstr("keys and values were not written: ")));
}

TEST_F(KvWriterTest, AfterAFailureNothingIsTakenForAWhile) {
  const std::string folder = std::filesystem::path(PathOf(KeyOf({2}))).parent_path();
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(std::filesystem::path(folder).parent_path());
  std::ofstream(folder) << "in the way";
  auto writer = Make();
  writer->Add(ItemOf(2, 0, 1));
  while (told().empty()) std::this_thread::yield();
  // It is told of before it is noted.
  while (!writer->Waiting(collection(), chunk(0)).empty()) std::this_thread::yield();
  EXPECT_FALSE(writer->HasRoom(1));
  writer->Add(ItemOf(1, 0, 1));
  writer = nullptr;
  EXPECT_EQ(kv().Stats().disk.blobs, 0u);
}

TEST_F(KvWriterTest, ManyMayAddAtOnce) {
  auto writer = Make();
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < 10; ++i) {
        writer->Add(ItemOf(t * 10 + i, static_cast<int>(t), 1));
        EXPECT_LE(writer->Waiting(collection(), chunk(static_cast<int>(t))).size(), 10u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  writer = nullptr;
  EXPECT_EQ(kv().Stats().disk.blobs, 40u);
}

}  // namespace
}  // namespace cairn::engine
