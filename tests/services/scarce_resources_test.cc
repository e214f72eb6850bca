// Full disks and small limits: an error that says so, and nothing acknowledged is lost.
#include <sched.h>
#include <sys/mount.h>

#include <memory>
#include <set>

#include "tests/services/cli_test.h"
#include "tests/services/language_model.h"

namespace cairn::services {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsSubsetOf;

// Endless JSON lines of words, in blocks.
class Records {
 public:
  explicit Records(int limit) : limit_(limit) {}

  std::string_view operator()() {
    block_.clear();
    for (int i = 0; i < 200 && next_ < limit_; ++i, ++next_) {
      block_ += "{\"_id\": \"r" + std::to_string(next_) + "\", \"text\": \"";
      for (int w = 0; w < 60; ++w) {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        block_ += "word" + std::to_string((state_ >> 33) % 50'000) + " ";
      }
      block_ += "\"}\n";
    }
    return block_;
  }

 private:
  const int limit_;
  int next_ = 0;
  uint64_t state_ = 42;
  std::string block_;
};

class ScarceResources : public CliTest {
 protected:
  ProcessOptions IngestRecords(int limit) const {
    ProcessOptions options = Options(OnStore("ingest", {"--acks", "--format", "jsonl", "-"}));
    options.more_input = Records(limit);
    return options;
  }

  // Everything acknowledged is listed, everything listed is whole.
  void ExpectNothingLost(const ProcessResult& ingested) const {
    const Strings acknowledged = Lines(ingested.out);
    const Strings listed = ListedIds();
    EXPECT_THAT(std::set<std::string>(acknowledged.begin(), acknowledged.end()),
                IsSubsetOf(std::set<std::string>(listed.begin(), listed.end())));
    ExpectSound();
  }
};

// A process that holds a mount namespace of its own with a small file system in it.
class SmallDisk {
 public:
  // Where mounting is not permitted, ok() is false.
  SmallDisk(const std::string& directory, const char* options) : pid_(::fork()) {
    if (pid_ != 0) {
      WaitUntilReady();
      return;
    }
    const int flags = CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
    const bool ok = ::unshare(flags) == 0 &&
                    ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                    ::mount("tmpfs", directory.c_str(), "tmpfs", 0, options) == 0;
    if (!ok) ::_exit(1);
    ::raise(SIGSTOP);  // Tells that it is there, and stays.
    while (true) ::pause();
  }
  ~SmallDisk() {
    if (!ok_) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    for (int fd : namespaces_) ::close(fd);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool ok() const { return ok_; }
  // For a child process, before its program runs.
  std::function<bool()> Enter() const {
    return [fds = namespaces_] {
      for (int fd : fds) {
        if (::setns(fd, 0) != 0) return false;
      }
      return true;
    };
  }

 private:
  void WaitUntilReady() {
    int status = 0;
    ::waitpid(pid_, &status, WUNTRACED);
    ok_ = WIFSTOPPED(status);
    if (!ok_) return;
    const std::string base = "/proc/" + std::to_string(pid_) + "/ns/";
    if (::geteuid() != 0)
      namespaces_.push_back(::open((base + "user").c_str(), O_RDONLY | O_CLOEXEC));
    namespaces_.push_back(::open((base + "mnt").c_str(), O_RDONLY | O_CLOEXEC));
  }

  const pid_t pid_;
  bool ok_ = false;
  std::vector<int> namespaces_;
};

constexpr char kNoMount[] = "needs the right to mount a tmpfs";

class FullDisk : public ScarceResources {
 protected:
  // A store on a file system of its own, of that size. False: that is not permitted here.
  bool Mount(const char* size) {
    path_ = dir_.file("disk");
    std::filesystem::create_directories(path_);
    disk_ = std::make_unique<SmallDisk>(path_, size);
    return disk_->ok();
  }
  Strings OnDisk(std::string command, const Strings& rest = {}) const {
    Strings arguments = {std::move(command), "--store", path_ + "/store"};
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    return arguments;
  }
  ProcessResult RunThere(ProcessOptions options) const {
    options.before_exec = disk_->Enter();
    return Run(std::move(options));
  }
  void ExpectNothingLostThere(const ProcessResult& ingested) const {
    const ProcessResult verified = RunThere(Options(OnDisk("verify", {"--json"})));
    EXPECT_EQ(verified.exit_code, kOk) << verified.err << verified.out;
    const Strings acknowledged = Lines(ingested.out);
    const Strings ids = Lines(RunThere(Options(OnDisk("list"))).out);
    EXPECT_GT(acknowledged.size(), 1000u);
    EXPECT_THAT(std::set<std::string>(acknowledged.begin(), acknowledged.end()),
                IsSubsetOf(std::set<std::string>(ids.begin(), ids.end())));
  }

  std::string path_;
  std::unique_ptr<SmallDisk> disk_;
};

TEST_F(FullDisk, IngestionStopsBeforeAnythingIsLost) {
  // The reserve of 128 MiB and the write-ahead log, allocated in advance, leave little of it.
  if (!Mount("size=260m")) GTEST_SKIP() << kNoMount;
  ProcessOptions options = Options(OnDisk("ingest", {"--acks", "--format", "jsonl", "-"}));
  options.more_input = Records(200'000);
  const ProcessResult full = RunThere(std::move(options));
  EXPECT_EQ(full.exit_code, kError);
  EXPECT_THAT(full.err, HasSubstr("disk nearly full"));
  EXPECT_THAT(full.err, HasSubstr(path_ + "/store"));
  ExpectNothingLostThere(full);
  EXPECT_EQ(RunThere(Options(OnDisk("search", {"word7"}))).exit_code, kOk);
}

TEST_F(FullDisk, SomebodyElseMayFillItMeanwhile) {
  if (!Mount("size=400m")) GTEST_SKIP() << kNoMount;
  ProcessOptions options = Options(OnDisk("ingest", {"--acks", "--format", "jsonl", "-"}));
  options.more_input = Records(200'000);
  options.before_exec = disk_->Enter();
  Process process(std::move(options));
  ASSERT_TRUE(process.WaitForOutput("\nr4000\n"));
  ProcessOptions filler = Options({"if=/dev/zero", "of=" + path_ + "/filler", "bs=64K"});
  filler.argv[0] = "/bin/dd";
  EXPECT_EQ(RunThere(std::move(filler)).exit_code, 1);  // Until no space is left.
  const ProcessResult full = process.Wait();
  EXPECT_EQ(full.signal, 0) << full.err;
  EXPECT_EQ(full.exit_code, kError);
  EXPECT_THAT(full.err, AnyOf(HasSubstr("disk nearly full"), HasSubstr("No space left")));
  ExpectNothingLostThere(full);
  ProcessOptions remove = Options({path_ + "/filler"});
  remove.argv[0] = "/bin/rm";
  EXPECT_EQ(RunThere(std::move(remove)).exit_code, 0);
  ProcessOptions more = Options(OnDisk("ingest", {"--format", "text", "-"}), "more");
  EXPECT_EQ(RunThere(std::move(more)).exit_code, kOk);
  ExpectNothingLostThere(full);
}

TEST_F(FullDisk, ASegmentThatDoesNotFitLeavesEverythingAsItWas) {
  if (!Mount("size=500m")) GTEST_SKIP() << kNoMount;
  ProcessOptions options =
      Options(OnDisk("ingest", {"--seal-chunks", "1000", "--format", "jsonl", "-"}));
  options.more_input = Records(6000);
  ASSERT_EQ(RunThere(std::move(options)).exit_code, kOk);
  const Strings query = OnDisk("search", {"--json", "-k", "50", "word7 word8"});
  const std::string before = RunThere(Options(query)).out;
  EXPECT_THAT(before, HasSubstr("\"document\""));
  // All but 100 MiB: enough to open the store, too little to build anything.
  const auto there = [&](const std::string& program, const Strings& arguments) {
    ProcessOptions command = Options(arguments);
    command.argv[0] = program;
    return RunThere(std::move(command)).exit_code;
  };
  EXPECT_EQ(there("/bin/dd", {"if=/dev/zero", "of=" + path_ + "/room", "bs=1M", "count=100"}), 0);
  EXPECT_EQ(there("/bin/dd", {"if=/dev/zero", "of=" + path_ + "/filler", "bs=64K"}), 1);
  EXPECT_EQ(there("/bin/rm", {path_ + "/room"}), 0);
  const ProcessResult full = RunThere(Options(OnDisk("compact")));
  EXPECT_EQ(full.exit_code, kError);
  EXPECT_THAT(full.err, HasSubstr("free disk space"));
  EXPECT_EQ(RunThere(Options(OnDisk("verify", {"--deep"}))).exit_code, kOk);
  EXPECT_EQ(RunThere(Options(query)).out, before);
  EXPECT_EQ(there("/bin/rm", {path_ + "/filler"}), 0);
  const ProcessResult compacted = RunThere(Options(OnDisk("compact")));
  EXPECT_EQ(compacted.exit_code, kOk) << compacted.err;
  EXPECT_EQ(RunThere(Options(OnDisk("verify", {"--deep"}))).exit_code, kOk);
  EXPECT_EQ(RunThere(Options(query)).out, before);
}

TEST_F(FullDisk, KeysAndValuesThatDoNotFitAreComputedByWhoeverNeedsThem) {
  if (!Mount("size=600m")) GTEST_SKIP() << kNoMount;
  const std::string model = WriteLanguageModel(dir_, 24);
  ProcessOptions options = Options(OnDisk("ingest", {"--format", "jsonl", "-"}));
  options.more_input = Records(100);
  ASSERT_EQ(RunThere(std::move(options)).exit_code, kOk);
  const auto kv = [&](std::string command, const Strings& rest) {
    Strings arguments = OnDisk("kv", rest);
    arguments.insert(arguments.begin() + 1, std::move(command));
    return Options(arguments);
  };
  const auto made = [&] {
    return ParseJson(RunThere(kv("stats", {"--json"})))["disk"]["chunks"].get<uint64_t>();
  };
  const auto there = [&](const std::string& program, const Strings& arguments) {
    ProcessOptions command = Options(arguments);
    command.argv[0] = program;
    return RunThere(std::move(command)).exit_code;
  };
  const auto answer = [&](const char* reuse) {
    return ParseJson(RunThere(Options(OnDisk(
        "ask", {"--model", model, "--max-tokens", "4", "--kv-reuse", reuse, "--json", "word7"}))));
  };
  // Somebody fills the disk while keys and values are being made.
  ProcessOptions build = kv("build", {"--model", model});
  build.before_exec = disk_->Enter();
  Process process(std::move(build));
  for (uint64_t before = 0; before == 0; before = made()) {
    ASSERT_TRUE(process.RunFor(std::chrono::milliseconds(50))) << process.Wait().err;
  }
  process.Signal(SIGSTOP);
  EXPECT_EQ(there("/bin/dd", {"if=/dev/zero", "of=" + path_ + "/filler", "bs=64K"}), 1);
  process.Signal(SIGCONT);
  const ProcessResult full = process.Wait();
  EXPECT_EQ(full.exit_code, kError) << full.signal;
  EXPECT_THAT(full.err, AnyOf(HasSubstr("disk space"), HasSubstr("No space left")));
  EXPECT_EQ(RunThere(Options(OnDisk("verify", {}))).exit_code, kOk);
  const Json fast = answer("fast");
  EXPECT_EQ(fast["answer"], answer("exact")["answer"]);
  EXPECT_EQ(there("/bin/rm", {path_ + "/filler"}), 0);
  const uint64_t before = made();
  const Json rest = ParseJson(RunThere(kv("build", {"--model", model, "--json"})));
  EXPECT_EQ(rest["known"], before);
  EXPECT_GT(rest["chunks"], 0);
  EXPECT_EQ(RunThere(kv("verify", {})).exit_code, kOk);
  EXPECT_GT(answer("fast")["usage"]["reuse"]["reused_tokens"], 0);
}

TEST_F(FullDisk, ADiskFullFromTheStartIsAnErrorThatNamesTheStore) {
  for (const char* size : {"size=4k", "size=16k", "size=64k", "size=256k", "size=1m"}) {
    if (!Mount(size)) GTEST_SKIP() << kNoMount;
    const ProcessResult result =
        RunThere(Options(OnDisk("ingest", {"--format", "text", "-"}), "words"));
    EXPECT_EQ(result.exit_code, kError) << size;
    EXPECT_THAT(result.err, HasSubstr(path_ + "/store")) << size;
  }
}

TEST_F(ScarceResources, AWriteThatFailsStopsIngestionAndTheStoreOpensAgain) {
  // Files may not grow past a size, so a write fails in the midst of a batch.
  for (const rlim_t limit : {rlim_t{1} << 20, rlim_t{3} << 20, rlim_t{5} << 20}) {
    ProcessOptions options = IngestRecords(40'000);
    options.limits = {{RLIMIT_FSIZE, limit}};
    options.ignored_signals = {SIGXFSZ};
    const ProcessResult failed = Run(std::move(options));
    EXPECT_EQ(failed.exit_code, kError) << failed.err;
    EXPECT_THAT(failed.err, HasSubstr("File too large"));
    ExpectNothingLost(failed);
  }
  // With room, it goes on to the end.
  const ProcessResult complete = Run(IngestRecords(5000));
  EXPECT_EQ(complete.exit_code, kOk) << complete.err;
  EXPECT_EQ(Lines(complete.out).size(), 5000u);
  ExpectNothingLost(complete);
}

TEST_F(ScarceResources, AMergeWhoseFileCannotGrowLeavesEverythingAsItWas) {
  ProcessOptions options = IngestRecords(4000);
  options.argv.insert(options.argv.end() - 1, {"--seal-chunks", "700"});
  ASSERT_EQ(Run(std::move(options)).exit_code, kOk);
  const Strings query = OnStore("search", {"--json", "-k", "50", "word7 word8"});
  const std::string before = Cairn(query).out;
  for (const rlim_t limit : {rlim_t{100} << 10, rlim_t{1} << 20, rlim_t{3} << 20}) {
    ProcessOptions compact = Options(OnStore("compact"));
    compact.limits = {{RLIMIT_FSIZE, limit}};
    compact.ignored_signals = {SIGXFSZ};
    const ProcessResult failed = Run(std::move(compact));
    EXPECT_EQ(failed.exit_code, kError) << limit;
    EXPECT_THAT(failed.err, HasSubstr("File too large"));
    ExpectSound();
    EXPECT_EQ(Cairn(query).out, before);
  }
  EXPECT_EQ(Cairn(OnStore("compact")).exit_code, kOk);
  ExpectSound();
  EXPECT_EQ(Cairn(query).out, before);
}

TEST_F(ScarceResources, NoRoomForTheFirstFileIsAnError) {
  ProcessOptions options = IngestRecords(10);
  options.limits = {{RLIMIT_FSIZE, 0}};
  options.ignored_signals = {SIGXFSZ};
  const ProcessResult failed = Run(std::move(options));
  EXPECT_EQ(failed.exit_code, kError);
  EXPECT_THAT(failed.err, HasSubstr(store_));
  // What is left behind is not in the way.
  const ProcessResult complete = Run(IngestRecords(10));
  EXPECT_EQ(complete.exit_code, kOk) << complete.err;
  ExpectNothingLost(complete);
}

TEST_F(ScarceResources, FewFileDescriptorsAreEnoughOrAnError) {
#ifdef __SANITIZE_ADDRESS__
  // UndefinedBehaviorSanitizer opens a pipe to see whether memory is readable; without descriptors
  // it takes every object for a broken one.
  GTEST_SKIP() << "the sanitizers need descriptors of their own";
#endif
  ProcessOptions options = IngestRecords(8000);
  options.limits = {{RLIMIT_NOFILE, 64}};
  const ProcessResult ingested = Run(std::move(options));
  EXPECT_THAT(ingested.exit_code, AnyOf(Eq(kOk), Eq(kError))) << ingested.err;
  EXPECT_EQ(ingested.err.find("open files") != std::string::npos, ingested.exit_code == kError)
      << ingested.err;
  ExpectNothingLost(ingested);
  for (const rlim_t limit : {64, 16, 8}) {
    ProcessOptions search = Options(OnStore("search", {"word7"}));
    search.limits = {{RLIMIT_NOFILE, limit}};
    const ProcessResult found = Run(std::move(search));
    EXPECT_THAT(found.exit_code, AnyOf(Eq(kOk), Eq(kError))) << limit << found.err;
    EXPECT_EQ(found.err.find("open files") != std::string::npos, found.exit_code == kError)
        << limit << found.err;
  }
}

}  // namespace
}  // namespace cairn::services
