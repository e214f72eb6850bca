// Kills an ingestion at random moments, and looks at what is there afterwards.
#ifndef CAIRN_TESTS_SERVICES_CRASH_TRIAL_H_
#define CAIRN_TESTS_SERVICES_CRASH_TRIAL_H_

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "tests/services/cli_test.h"

namespace cairn::services {

class CrashTest : public CliTest {
 protected:
  // Texts by id.
  using Collection = std::map<std::string, std::string>;

  // One JSON lines file of the collection.
  std::string WriteCollection(const std::string& name, const Collection& documents) const {
    std::string lines;
    for (const auto& [id, text] : documents) {
      lines += Json({{"_id", id}, {"title", "About " + id}, {"text", text}}).dump() + "\n";
    }
    return dir_.Write(name, lines);
  }

  // Ingests `path`, whose texts are `now`, killing it each time at a random moment, until it gets
  // to the end. What a document says when it was not yet acknowledged may be as in `before`. Stops
  // after `kills` have hit.
  void KillUntilComplete(const std::string& path, const Collection& now, const Collection& before,
                         int* kills) {
    std::set<std::string> acknowledged;
    while (*kills > 0) {
      Process process(Options(OnStore("ingest", IngestArguments(path))));
      const bool hit = process.RunFor(RandomMoment());
      process.Signal(SIGKILL);
      const ProcessResult result = process.Wait();
      if (hit && result.signal == SIGKILL) --*kills;
      // A line cut off in the middle was not printed.
      const size_t whole = result.out.rfind('\n') + 1;
      for (std::string& id : Lines(result.out.substr(0, whole))) acknowledged.insert(std::move(id));
      ExpectWhole(now, before, acknowledged);
      if (HasFatalFailure() || HasNonfatalFailure()) return;
      if (result.signal == 0) {
        ASSERT_EQ(result.exit_code, kOk) << result.err;
        ASSERT_EQ(acknowledged.size(), now.size());
        return;
      }
    }
  }

  // Flags of every ingestion.
  void SetIngestFlags(Strings flags) { ingest_flags_ = std::move(flags); }

  // Once more, undisturbed: all is there.
  void Complete(const std::string& path, const Collection& now) {
    const ProcessResult result = Ingest(IngestArguments(path));
    ASSERT_EQ(result.exit_code, kOk) << result.err;
    std::set<std::string> acknowledged;
    for (std::string& id : Lines(result.out)) acknowledged.insert(std::move(id));
    EXPECT_EQ(acknowledged.size(), now.size());
    ExpectWhole(now, {}, acknowledged);
  }

  // Learns how long the whole of `path` takes, with a store of its own.
  void TimeFullRun(const std::string& path) {
    const auto start = Process::Clock::now();
    Strings arguments = IngestArguments(path);
    arguments.insert(arguments.begin(), {"ingest", "--store", dir_.file("timing")});
    const ProcessResult r = Cairn(arguments);
    ASSERT_EQ(r.exit_code, kOk) << r.err;
    full_run_ =
        std::chrono::duration_cast<std::chrono::microseconds>(Process::Clock::now() - start);
    std::filesystem::remove_all(dir_.file("timing"));
  }

  // Within the time that a full run takes.
  std::chrono::microseconds RandomMoment() {
    return std::chrono::microseconds(
        std::uniform_int_distribution<int64_t>(0, full_run_.count())(random_));
  }

 private:
  Strings IngestArguments(const std::string& path) const {
    Strings arguments = ingest_flags_;
    arguments.insert(arguments.end(), {"--acks", path});
    return arguments;
  }

  // Every acknowledged document is listed, every listed one is whole, and the store is sound.
  void ExpectWhole(const Collection& now, const Collection& before,
                   const std::set<std::string>& acknowledged) {
    // Killed before there was a store, or a collection in it.
    const ProcessResult list = Cairn(OnStore("list"));
    if (list.exit_code == kError && acknowledged.empty() && before.empty()) return;
    ASSERT_LE(list.exit_code, kNothingFound) << list.err;
    ExpectSound();
    const Strings listed = Lines(list.out);
    ASSERT_TRUE(
        std::includes(listed.begin(), listed.end(), acknowledged.begin(), acknowledged.end()));
    EngineOptions options;
    options.read_only = true;
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(store_, options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    for (const std::string& id : listed) {
      absl::StatusOr<StoredDocument> document = (*engine)->Get("default", id);
      ASSERT_TRUE(document.ok()) << document.status();
      const auto as_now = now.find(id), as_before = before.find(id);
      const bool is_now = as_now != now.end() && document->text == as_now->second;
      const bool is_before = acknowledged.count(id) == 0 && as_before != before.end() &&
                             document->text == as_before->second;
      ASSERT_TRUE(is_now || is_before) << id << " is neither whole nor as before";
    }
    // The same through the command line, for one of them.
    if (listed.empty()) return;
    const std::string& one = listed[random_() % listed.size()];
    EXPECT_EQ(StoredText(one), (*engine)->Get("default", one)->text);
  }

  Strings ingest_flags_;
  std::mt19937 random_{20240229};
  std::chrono::microseconds full_run_{0};
};

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_CRASH_TRIAL_H_
