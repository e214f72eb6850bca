#include "engine/model/teacher_vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "engine/model/teacher_cache.h"
#include "tests/support/fake_teacher.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using cairn::testing::FakeTeacher;
using cairn::testing::TempDir;
using ::testing::HasSubstr;

constexpr size_t kTexts = 1'000;  // Three blocks and a part of one.
constexpr size_t kVectorDim = 3;

class TeacherVectors : public ::testing::Test {
 protected:
  TeacherVectors() {
    for (uint32_t i = 0; i < kTexts; ++i) lists_.push_back({1 + i % 7, 1 + i % 11});
    spans_.assign(lists_.begin(), lists_.end());
  }

  absl::StatusOr<std::vector<float>> Embed(const Embedder& teacher, size_t threads = 1) {
    return EmbedByTeacher(teacher, spans_, {.threads = threads, .cache = cache_},
                          [&](uint64_t done) {
                            EXPECT_GE(done, done_);
                            done_ = done;
                            return done < stop_at_;
                          });
  }
  std::string Bytes() const {
    std::ifstream file(cache_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // The vectors, with what was read from the cache, are right.
  void ExpectWhole(size_t embedded) {
    const FakeTeacher teacher(20, kVectorDim);
    done_ = 0;
    const auto vectors = Embed(teacher, 2);
    ASSERT_TRUE(vectors.ok()) << vectors.status();
    EXPECT_EQ(*vectors, expected_);
    EXPECT_EQ(teacher.embedded(), embedded);
  }
  // A complete cache, and what its vectors are.
  void Fill() {
    cache_ = dir_.file("cache");
    expected_ = *Embed(FakeTeacher(20, kVectorDim));
  }

  const TempDir dir_;
  std::string cache_;
  std::vector<std::vector<uint32_t>> lists_;
  std::vector<absl::Span<const uint32_t>> spans_;
  std::vector<float> expected_;
  uint64_t done_ = 0;
  uint64_t stop_at_ = UINT64_MAX;
};

TEST_F(TeacherVectors, AreTheSameForAnyNumberOfThreads) {
  const FakeTeacher teacher(20, kVectorDim);
  const auto one = Embed(teacher);
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(done_, kTexts);
  std::vector<float> whole(kTexts * kVectorDim);
  ASSERT_TRUE(teacher.EmbedTokens(TextKind::kPassage, spans_, absl::MakeSpan(whole)).ok());
  EXPECT_EQ(*one, whole);
  done_ = 0;
  EXPECT_EQ(*Embed(teacher, 7), whole);
}

TEST_F(TeacherVectors, AreNotComputedAgainWhereTheCacheHasThem) {
  Fill();
  ExpectWhole(0);
}

TEST_F(TeacherVectors, AStoppedRunGoesOn) {
  expected_ = *Embed(FakeTeacher(20, kVectorDim));
  cache_ = dir_.file("cache");
  done_ = 0;
  stop_at_ = 512;
  EXPECT_TRUE(absl::IsCancelled(Embed(FakeTeacher(20, kVectorDim)).status()));
  stop_at_ = UINT64_MAX;
  ExpectWhole(kTexts - 512);
}

TEST_F(TeacherVectors, ATeacherThatFailsLeavesWhatWasDone) {
  expected_ = *Embed(FakeTeacher(20, kVectorDim));
  cache_ = dir_.file("cache");
  FakeTeacher teacher(20, kVectorDim);
  teacher.set_fails_at(600);
  done_ = 0;
  EXPECT_EQ(Embed(teacher).status().code(), absl::StatusCode::kUnavailable);
  ExpectWhole(kTexts - 512);
}

TEST_F(TeacherVectors, WhatIsTornOrDamagedIsComputedAgain) {
  Fill();
  const std::string whole = Bytes();
  const size_t block = 256 * kVectorDim * 4 + 8;
  ASSERT_EQ(whole.size(), 72 + 3 * block + (kTexts - 768) * kVectorDim * 4 + 8);
  for (size_t size :
       {size_t{0}, size_t{5}, size_t{72}, 72 + block - 1, 72 + block, whole.size() - 1}) {
    dir_.Write("cache", whole.substr(0, size));
    const size_t blocks = size < 72 ? 0 : (size - 72) / block;
    ExpectWhole(kTexts - blocks * 256);
    EXPECT_EQ(Bytes(), whole) << size;
  }
  std::string flipped = whole;
  flipped[72 + block + 100] ^= 1;
  dir_.Write("cache", flipped);
  ExpectWhole(kTexts - 256);
  EXPECT_EQ(Bytes(), whole);
  dir_.Write("cache", whole + "more");
  ExpectWhole(0);
  EXPECT_EQ(Bytes(), whole);
}

TEST_F(TeacherVectors, OfOtherTextsOrTeachersAreRefusedAndLeftAlone) {
  Fill();
  const std::string whole = Bytes();
  const auto refusal = [&](const Embedder& teacher) {
    const absl::Status status = Embed(teacher).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    return std::string(status.message());
  };
  FakeTeacher other(20, kVectorDim);
  other.set_fingerprint("other");
  EXPECT_THAT(refusal(other), HasSubstr("another encoder"));
  EXPECT_EQ(Bytes(), whole);
  lists_[999][1] ^= 1;
  EXPECT_THAT(refusal(FakeTeacher(20, kVectorDim)), HasSubstr("other texts"));
  lists_[999][1] ^= 1;
  std::string flipped = whole;
  flipped[40] ^= 1;
  dir_.Write("cache", flipped);
  EXPECT_THAT(refusal(FakeTeacher(20, kVectorDim)), HasSubstr("damaged"));
  dir_.Write("cache",
             "my precious notes, which are long enough to be a header: nothing of this is lost");
  EXPECT_THAT(refusal(FakeTeacher(20, kVectorDim)), HasSubstr("not a file of teacher vectors"));
  EXPECT_THAT(Bytes(), HasSubstr("precious"));
}

TEST_F(TeacherVectors, OneRunHasTheCache) {
  Fill();
  std::vector<float> room(kTexts * kVectorDim);
  const auto open = TeacherCache::Open(
      cache_, {.dim = kVectorDim, .vectors = kTexts, .teacher = "fake", .texts = spans_},
      absl::MakeSpan(room));
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_EQ((*open)->blocks(), 4u);
  EXPECT_THAT(std::string(Embed(FakeTeacher(20, kVectorDim)).status().message()),
              HasSubstr("another process"));
}

TEST_F(TeacherVectors, ACacheThatCannotBeWrittenIsAnError) {
  cache_ = dir_.file("no/such/folder");
  EXPECT_EQ(Embed(FakeTeacher(20, kVectorDim)).status().code(), absl::StatusCode::kNotFound);
  cache_ = dir_.path();
  EXPECT_FALSE(Embed(FakeTeacher(20, kVectorDim)).ok());
  if (std::filesystem::exists("/dev/full")) {
    cache_ = "/dev/full";
    EXPECT_EQ(Embed(FakeTeacher(20, kVectorDim)).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace cairn::engine
