// Damage of a segment file, wherever it is, is found: never a crash, never another answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "index/store.h"
#include "tests/support/random_documents.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_store.h"

namespace cairn::index {
namespace {

using testing::TextVector;
using testing::WordBag;

constexpr size_t kPage = 4096;
constexpr int kFlips = 300;

class Damage : public ::testing::Test {
 protected:
  using Answers = std::vector<std::pair<ChunkId, float>>;

  // A store of one segment with a graph, and what it answers.
  void SetUp() override {
    {
      std::unique_ptr<Store> store = Open(true);
      absl::StatusOr<std::shared_ptr<Collection>> c = store->Create("c", testing::Settings());
      ASSERT_TRUE(c.ok()) << c.status();
      std::mt19937 rng(1);
      std::vector<PreparedDocument> documents;
      for (int i = 0; i < 600; ++i) documents.push_back(documents_(absl::StrCat("d", i), rng));
      std::vector<WriteOutcome> outcomes;
      ASSERT_TRUE((*c)->Upsert(documents, &outcomes).ok());
      ASSERT_TRUE((*c)->Compact().ok());
      std::vector<bool> deleted;
      ASSERT_TRUE((*c)->Delete({"d7", "d300"}, &deleted).ok());
    }
    for (const auto& entry : std::filesystem::directory_iterator(dir_.file("s") + "/segments")) {
      ASSERT_TRUE(segment_.empty());
      segment_ = entry.path();
    }
    std::ifstream in(segment_, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
    ASSERT_GT(bytes_.size(), 20 * kPage);
    expected_ = AnswersOf(true);
  }

  std::unique_ptr<Store> Open(bool writable) {
    StoreOptions options = testing::Writable();
    options.rows.create_if_missing = writable;
    options.rows.read_only = !writable;
    options.index.vectors.flat_below = 16;
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir_.file("s"), options);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  // Opens for reading, which rebuilds nothing, and searches. `from_segment`: whether the segment is
  // expected to be in use.
  Answers AnswersOf(bool from_segment) {
    const std::unique_ptr<Store> store = Open(false);
    absl::StatusOr<std::shared_ptr<Collection>> c = store->Find("c");
    EXPECT_TRUE(c.ok()) << c.status();
    EXPECT_EQ((*c)->Stats().segments, from_segment ? 1u : 0u);
    Answers answers;
    std::mt19937 rng(2);
    for (int q = 0; q < 5; ++q) {
      const std::string words = documents_.Words(3, rng);
      const TermBag terms = WordBag(words);
      const std::vector<float> vector = TextVector(words);
      CandidateQuery query;
      query.terms = &terms;
      query.vector = vector;
      query.exact_vectors = true;
      const Collection::View view(**c);
      absl::StatusOr<Candidates> found = view.Search(query);
      EXPECT_TRUE(found.ok()) << found.status();
      for (const auto* list : {&found->lexical, &found->vector}) {
        for (const ScoredChunk& s : *list) answers.emplace_back(s.chunk, s.score);
      }
    }
    return answers;
  }

  void Write(const std::string& bytes) {
    std::ofstream out(segment_, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  testing::TempDir dir_;
  testing::RandomDocuments documents_;
  std::filesystem::path segment_;
  std::string bytes_;
  Answers expected_;
};

TEST_F(Damage, TruncationAtAnyPageIsFoundAndCostsNoAnswer) {
  for (size_t size = 0; size < bytes_.size(); size += kPage) {
    Write(bytes_.substr(0, size));
    ASSERT_EQ(AnswersOf(false), expected_) << size;
  }
  Write(bytes_);
  EXPECT_EQ(AnswersOf(true), expected_);
}

TEST_F(Damage, AFlippedBitIsFoundAndCostsNoAnswer) {
  std::mt19937 rng(3);
  for (int i = 0; i < kFlips; ++i) {
    std::string damaged = bytes_;
    const size_t bit = rng() % (damaged.size() * 8);
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    Write(damaged);
    ASSERT_EQ(AnswersOf(false), expected_) << "bit " << bit;
  }
}

TEST_F(Damage, AWriterPutsTheDamagedFileAsideAndBuildsAnother) {
  Write(bytes_.substr(0, bytes_.size() / 3));
  {
    const std::unique_ptr<Store> store = Open(true);
    absl::StatusOr<std::shared_ptr<Collection>> c = store->Find("c");
    ASSERT_TRUE(c.ok()) << c.status();
    // A tail this small is not due to be sealed by its size, but its range was a segment's.
    ASSERT_TRUE((*c)->Compact().ok());
    EXPECT_EQ((*c)->Stats().segments, 1u);
  }
  EXPECT_TRUE(std::filesystem::exists(segment_.string() + ".bad"));
  EXPECT_FALSE(std::filesystem::exists(segment_));
  EXPECT_EQ(AnswersOf(true), expected_);
}

}  // namespace
}  // namespace cairn::index
