// Killed at any moment, ingestion has lost nothing that it acknowledged.
#include <cstdio>

#include "tests/services/crash_trial.h"
#include "tests/support/model_directory.h"

namespace cairn::services {
namespace {

constexpr int kDocuments = 3000;
constexpr int kKills = 50;

class Crash : public CrashTest {
 protected:
  // Documents of many sizes, most of them short; every generation has other texts for the same ids.
  static Collection Generate(int documents, uint32_t generation) {
    Collection collection;
    for (int i = 0; i < documents; ++i) {
      std::mt19937 random(static_cast<uint32_t>(i) * 31 + generation);
      const size_t words = random() % 100 == 0 ? 500 + random() % 4000 : 5 + random() % 150;
      std::string text = "Generation " + std::to_string(generation) + ".";
      for (size_t w = 0; w < words; ++w) {
        text += w % 61 == 60 ? ".\n\n" : " ";
        // Some words are frequent, most are rare.
        const uint32_t r = random() % 3000;
        text += "w\xC3\xB6rter" + std::to_string(r * r / 3000);
      }
      char id[16];
      std::snprintf(id, sizeof(id), "doc-%05d", i);
      collection[id] = text + ".";
    }
    return collection;
  }

  // Kills the ingestion of one generation after the other, each replacing the one before.
  void KillThroughGenerations() {
    Collection before;
    int kills = kKills;
    for (uint32_t generation = 1; kills > 0; ++generation) {
      ASSERT_LT(generation, 100u) << "the kills come too late";
      const Collection now = Generate(kDocuments, generation);
      const std::string path = WriteCollection("in.jsonl", now);
      if (generation == 1) {
        ASSERT_NO_FATAL_FAILURE(TimeFullRun(path));
      }
      ASSERT_NO_FATAL_FAILURE(KillUntilComplete(path, now, before, &kills));
      if (HasNonfatalFailure()) return;
      if (kills == 0) {
        ASSERT_NO_FATAL_FAILURE(Complete(path, now));
      }
      before = now;
    }
  }
};

TEST_F(Crash, AcknowledgedDocumentsOutliveAKillAtAnyMoment) { KillThroughGenerations(); }

TEST_F(Crash, AKillWhileSegmentsAreSealedAndMergedLosesNothing) {
  // So small that the background is at work all the time.
  SetIngestFlags({"--seal-chunks", "150"});
  KillThroughGenerations();
}

TEST_F(Crash, AKilledBulkLoadGoesOnWhereItStopped) {
  SetIngestFlags({"--bulk", "--seal-chunks", "150"});
  const Collection documents = Generate(kDocuments, 1);
  const std::string path = WriteCollection("in.jsonl", documents);
  ASSERT_NO_FATAL_FAILURE(TimeFullRun(path));
  for (int i = 0; i < 10; ++i) {
    std::filesystem::remove_all(store_);
    int kills = 2;
    ASSERT_NO_FATAL_FAILURE(KillUntilComplete(path, documents, {}, &kills));
    ASSERT_NO_FATAL_FAILURE(Complete(path, documents));
  }
}

TEST_F(Crash, AKilledSnapshotIsNotThereOrComplete) {
  SetIngestFlags({"--seal-chunks", "500"});
  const Collection documents = Generate(kDocuments, 1);
  const std::string path = WriteCollection("in.jsonl", documents);
  ASSERT_NO_FATAL_FAILURE(Complete(path, documents));
  const std::string copy = dir_.file("copy");
  const auto start = Process::Clock::now();
  ASSERT_EQ(Cairn(OnStore("snapshot", {copy})).exit_code, kOk);
  const auto whole =
      std::chrono::duration_cast<std::chrono::microseconds>(Process::Clock::now() - start);
  const std::string listed = Cairn(OnStore("list")).out;
  std::mt19937 random(7);
  int complete = 0;
  for (int i = 0; i < kKills; ++i) {
    std::filesystem::remove_all(copy);
    Process process(Options(OnStore("snapshot", {copy})));
    process.RunFor(std::chrono::microseconds(
        std::uniform_int_distribution<int64_t>(0, whole.count())(random)));
    process.Signal(SIGKILL);
    process.Wait();
    ExpectSound();
    if (std::filesystem::exists(copy)) {
      ++complete;
      const ProcessResult verified = Cairn({"verify", "--deep", "--store", copy});
      EXPECT_EQ(verified.exit_code, kOk) << verified.out;
      EXPECT_EQ(Cairn({"list", "--store", copy}).out, listed);
    }
  }
  // What the kills left is not in the way of the next one, nor of a store made from it.
  std::filesystem::remove_all(copy);
  ASSERT_EQ(Cairn(OnStore("snapshot", {copy})).exit_code, kOk);
  const std::string restored = dir_.file("restored");
  ASSERT_EQ(Cairn({"restore", "--store", restored, copy}).exit_code, kOk);
  EXPECT_EQ(Cairn({"list", "--store", restored}).out, listed);
  EXPECT_LT(complete, kKills) << "no kill hit";
}

TEST_F(Crash, AKilledReembeddingLeavesTheCollectionOrIsComplete) {
  const std::string models[] = {cairn::testing::WriteCharacterModel(dir_, "one", 1, 64),
                                cairn::testing::WriteCharacterModel(dir_, "two", 2, 96)};
  SetIngestFlags({"--seal-chunks", "400", "--embedder", models[0]});
  const Collection documents = Generate(kDocuments, 1);
  const std::string path = WriteCollection("in.jsonl", documents);
  ASSERT_NO_FATAL_FAILURE(Complete(path, documents));
  const std::string listed = Cairn(OnStore("list")).out;
  const auto start = Process::Clock::now();
  ASSERT_EQ(Cairn(OnStore("reembed", {"--embedder", models[1]})).exit_code, kOk);
  const auto whole =
      std::chrono::duration_cast<std::chrono::microseconds>(Process::Clock::now() - start);
  std::mt19937 random(11);
  size_t now = 1;
  int kills = 0;
  int completed = 0;
  while (kills < kKills) {
    const std::string& next = models[1 - now];
    Process process(Options(OnStore("reembed", {"--embedder", next})));
    process.RunFor(std::chrono::microseconds(
        std::uniform_int_distribution<int64_t>(0, whole.count())(random)));
    process.Signal(SIGKILL);
    const ProcessResult result = process.Wait();
    kills += result.signal == SIGKILL;
    ExpectSound();
    EXPECT_EQ(Cairn(OnStore("list")).out, listed);
    const Json stats = ParseJson(Cairn(OnStore("stats", {"--json"})))["collections"][0];
    const bool changed = stats["dimensions"] != (now == 0 ? 64 : 96);
    // Acknowledged is complete; killed it may be either.
    if (result.signal == 0) {
      ASSERT_EQ(result.exit_code, kOk) << result.err;
      EXPECT_TRUE(changed);
    }
    if (changed) {
      now = 1 - now;
      ++completed;
      EXPECT_EQ(stats.count("reembedding"), 0u);
    }
    const Strings query = {"--embedder", models[now], "--mode",        "vector",
                           "-k",         "5",         "w\xC3\xB6rter7"};
    const ProcessResult search = Cairn(OnStore("search", query));
    EXPECT_EQ(search.exit_code, kOk) << search.err;
    if (HasNonfatalFailure()) return;
  }
  EXPECT_GT(completed, 0) << "it does not go on where it stopped";
  ASSERT_EQ(Cairn(OnStore("reembed", {"--embedder", models[1 - now]})).exit_code, kOk);
  ExpectSound();
}

TEST_F(Crash, AKillWhileTheStoreIsMadeIsNotInTheWayOfTheNextRun) {
  const Collection documents = Generate(20, 1);
  const std::string path = WriteCollection("in.jsonl", documents);
  ASSERT_NO_FATAL_FAILURE(TimeFullRun(path));
  for (int i = 0; i < 15; ++i) {
    std::filesystem::remove_all(store_);
    int kills = 1;
    ASSERT_NO_FATAL_FAILURE(KillUntilComplete(path, documents, {}, &kills));
    ASSERT_NO_FATAL_FAILURE(Complete(path, documents));
  }
}

}  // namespace
}  // namespace cairn::services
