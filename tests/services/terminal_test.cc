// Terminals, pipes and shells around the tool.
#include <sys/stat.h>

#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Terminal : public CliTest {
 protected:
  static std::string Records(int begin, int end) {
    std::string records;
    for (int i = begin; i < end; ++i) {
      records += "{\"_id\": \"record-number-" + std::to_string(i) + "\", \"text\": \"words of " +
                 std::to_string(i) + "\"}\n";
    }
    return records;
  }
};

TEST_F(Terminal, ProgressBarOnlyWhereSomebodyWatches) {
  const std::string path = dir_.Write("in.jsonl", Records(0, 4000));
  ProcessOptions piped = Options(OnStore("ingest", {path}));
  const ProcessResult quiet = Run(std::move(piped));
  EXPECT_EQ(quiet.exit_code, kOk);
  EXPECT_THAT(quiet.err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(quiet.err, Not(HasSubstr("\r")));
  EXPECT_EQ(Lines(quiet.err).size(), 1u) << quiet.err;

  ProcessOptions watched = Options({"ingest", "--store", dir_.file("second"), "--json", path});
  watched.stderr_is_terminal = true;
  const ProcessResult bar = Run(std::move(watched));
  EXPECT_EQ(bar.exit_code, kOk);
  EXPECT_THAT(bar.err, HasSubstr("%"));
  EXPECT_THAT(bar.err, HasSubstr("left"));
  EXPECT_THAT(bar.err, HasSubstr("/s"));
  EXPECT_EQ(ParseJson(bar)["created"], 4000);
}

TEST_F(Terminal, ProgressBarOfAPipeShowsRateWithoutGuessingTheEnd) {
  ProcessOptions options = Options(OnStore("ingest", {"--format", "jsonl", "-"}), Records(0, 2000));
  options.stderr_is_terminal = true;
  const ProcessResult bar = Run(std::move(options));
  EXPECT_EQ(bar.exit_code, kOk);
  EXPECT_THAT(bar.err, HasSubstr("documents"));
  EXPECT_THAT(bar.err, HasSubstr("/s"));
  EXPECT_THAT(bar.err, Not(HasSubstr("left")));
}

TEST_F(Terminal, AReaderThatGoesAwayEndsTheCommand) {
  ASSERT_EQ(Ingest({"--format", "jsonl", "-"}, Records(0, 6000)).exit_code, kOk);
  for (const bool ignore : {false, true}) {
    ProcessOptions options = Options(OnStore("list"));
    if (ignore) options.ignored_signals = {SIGPIPE};
    Process process(std::move(options));
    EXPECT_TRUE(process.WaitForOutput("\n"));
    process.CloseOutput();
    const ProcessResult result = process.Wait();
    EXPECT_FALSE(result.timed_out);
    // As other tools do: the signal ends it, or, where that is ignored, a message. What was
    // written before the reader went may have been all.
    EXPECT_THAT(result.signal, AnyOf(Eq(0), Eq(SIGPIPE)));
    if (result.signal != 0) continue;
    EXPECT_THAT(result.exit_code, AnyOf(Eq(kOk), Eq(kError)));
    EXPECT_EQ(result.err.find("standard output") != std::string::npos, result.exit_code == kError);
  }
}

TEST_F(Terminal, AFullOutputDeviceIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "needs /dev/full";
  ASSERT_EQ(Ingest({"--format", "jsonl", "-"}, Records(0, 10)).exit_code, kOk);
  ProcessOptions options = Options(OnStore("list"));
  options.before_exec = [] { return ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO) >= 0; };
  const ProcessResult result = Run(std::move(options));
  EXPECT_EQ(result.exit_code, kError);
  EXPECT_THAT(result.err, HasSubstr("standard output"));
}

class Completion : public CliTest {
 protected:
  // What bash offers for the words, the last being the one under the cursor.
  std::string Complete(const Strings& words) const {
    dir_.Write("completion.bash", Cairn({"completion", "bash"}).out);
    std::string script = "source " + dir_.file("completion.bash") + "\nCOMP_WORDS=(";
    for (const std::string& w : words) script += "'" + w + "' ";
    script += ")\nCOMP_CWORD=" + std::to_string(words.size() - 1) +
              "\n_cairn\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
    return Bash({"-c", script}).out;
  }
  ProcessResult Bash(Strings arguments) const {
    ProcessOptions options = Options(std::move(arguments));
    options.argv[0] = "/bin/bash";
    return Run(std::move(options));
  }
};

TEST_F(Completion, BashAcceptsTheScript) {
  const std::string path = dir_.Write("completion.bash", Cairn({"completion", "bash"}).out);
  const ProcessResult checked = Bash({"-n", path});
  EXPECT_EQ(checked.exit_code, 0);
  EXPECT_THAT(checked.err, IsEmpty());
}

TEST_F(Completion, BashCompletesCommandsFlagsAndFiles) {
  EXPECT_EQ(Complete({"cairn", "in"}), "ingest\n");
  EXPECT_EQ(Complete({"cairn", "s"}), "search\nstats\nsnapshot\nserve\n");
  EXPECT_EQ(Complete({"cairn", "search", "--gran"}), "--granularity\n");
  EXPECT_EQ(Complete({"cairn", "list", "--topics"}), "\n");
  dir_.Write("manuals/one.md", "x");
  EXPECT_EQ(Complete({"cairn", "ingest", dir_.file("manu")}), dir_.file("manuals") + "\n");
}

TEST_F(Completion, EveryShellGetsAScriptWithEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const ProcessResult script = Cairn({"completion", shell});
    EXPECT_EQ(script.exit_code, kOk);
    for (const char* command : {"ingest", "search", "ask", "eval", "get", "delete", "list", "stats",
                                "verify", "completion"}) {
      EXPECT_THAT(script.out, HasSubstr(command)) << shell;
    }
  }
}

}  // namespace
}  // namespace cairn::services
