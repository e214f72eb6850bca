// Paths that cannot be read, or stop being there.
#include <sys/stat.h>

#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

class BadPaths : public CliTest {
 protected:
  void SetUp() override {
    a_ = dir_.Write("in/a.txt", "The quokka lives on Rottnest Island.");
    z_ = dir_.Write("in/z.txt", "Glaciers carve valleys.");
  }
  void ExpectBothThere() const {
    EXPECT_THAT(ListedIds(), UnorderedElementsAre(a_, z_));
    ExpectSound();
  }
  std::string a_, z_;
};

TEST_F(BadPaths, AMissingPathIsNamedAndNothingIsCreated) {
  const ProcessResult result = Ingest({a_, dir_.file("absent.txt")});
  EXPECT_EQ(result.exit_code, kError);
  EXPECT_THAT(result.err, AllOf(HasSubstr(dir_.file("absent.txt")), HasSubstr("No such file")));
  EXPECT_FALSE(std::filesystem::exists(store_));
  EXPECT_EQ(Ingest({std::string(5000, 'x')}).exit_code, kError);
  EXPECT_EQ(Ingest({""}).exit_code, kError);
}

TEST_F(BadPaths, AFifoIsNamedAndNeverWaitedFor) {
  const std::string fifo = dir_.file("in/m.fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0644), 0);
  for (const Strings& paths : {Strings{dir_.file("in")}, Strings{a_, fifo, z_}}) {
    const ProcessResult result = Ingest(paths);
    EXPECT_EQ(result.exit_code, kOk) << result.err;
    EXPECT_THAT(Lines(result.err), Contains(AllOf(StartsWith(fifo + ": "), HasSubstr("FIFO"))));
    ExpectBothThere();
  }
  EXPECT_EQ(Ingest({fifo}).exit_code, kError);
  const ProcessResult device = Ingest({"/dev/zero"});
  EXPECT_EQ(device.exit_code, kError);
  EXPECT_THAT(device.err, HasSubstr("/dev/zero: is a device"));
}

TEST_F(BadPaths, FoldersAndFilesWithoutPermissionAreNamed) {
  const std::string folder = dir_.file("in/m");
  const std::string inside = dir_.Write("in/m/secret.txt", "secret");
  const std::string file = dir_.Write("in/n.txt", "secret");
  ProcessOptions options = Options(OnStore("ingest", {dir_.file("in")}));
  DropPrivileges(&options);
  std::filesystem::permissions(folder, std::filesystem::perms::none);
  std::filesystem::permissions(file, std::filesystem::perms::none);
  const ProcessResult result = Run(std::move(options));
  std::filesystem::permissions(folder, std::filesystem::perms::all);
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_THAT(Lines(result.err),
              Contains(AllOf(StartsWith(folder + ": "), HasSubstr("Permission denied"))));
  EXPECT_THAT(Lines(result.err),
              Contains(AllOf(StartsWith(file + ": "), HasSubstr("Permission denied"))));
  ExpectBothThere();
}

TEST_F(BadPaths, AnUnwritableStoreIsAnErrorAndReadingItIsNone) {
  ASSERT_EQ(Ingest({a_, z_}).exit_code, kOk);
  ProcessOptions ingest = Options(OnStore("ingest", {dir_.file("in")}));
  ProcessOptions elsewhere =
      Options({"ingest", "--store", dir_.file("closed/store"), dir_.file("in")});
  ProcessOptions list = Options(OnStore("list"));
  std::filesystem::create_directories(dir_.file("closed"));
  DropPrivileges(&ingest);
  DropPrivileges(&elsewhere);
  DropPrivileges(&list);
  using std::filesystem::perms;
  const perms readable = perms::owner_read | perms::owner_exec | perms::group_read |
                         perms::group_exec | perms::others_read | perms::others_exec;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store_)) {
    std::filesystem::permissions(entry.path(), readable);
  }
  std::filesystem::permissions(store_, readable);
  std::filesystem::permissions(dir_.file("closed"), readable);
  const ProcessResult refused = Run(std::move(ingest));
  EXPECT_EQ(refused.exit_code, kError);
  EXPECT_THAT(refused.err, AllOf(HasSubstr(store_), HasSubstr("Permission denied")));
  const ProcessResult uncreated = Run(std::move(elsewhere));
  EXPECT_EQ(uncreated.exit_code, kError);
  EXPECT_THAT(uncreated.err, AllOf(HasSubstr("closed/store"), HasSubstr("Permission denied")));
  EXPECT_EQ(Lines(Run(std::move(list)).out).size(), 2u);
  std::filesystem::permissions(dir_.file("closed"), perms::all);
  std::filesystem::permissions(store_, perms::all);
  std::filesystem::permissions(store_ + "/db", perms::all);
  ExpectBothThere();
}

TEST_F(BadPaths, SymbolicLinksAreNotFollowedBelowAFolder) {
  const std::string outside = dir_.Write("outside.txt", "outside");
  std::filesystem::create_symlink("loop", dir_.file("in/loop"));
  std::filesystem::create_directory_symlink(dir_.file("in"), dir_.file("in/self"));
  std::filesystem::create_symlink(outside, dir_.file("in/m.txt"));
  std::filesystem::create_symlink("absent", dir_.file("in/dangling"));
  EXPECT_EQ(Ingest({dir_.file("in")}).exit_code, kOk);
  ExpectBothThere();
}

TEST_F(BadPaths, ANamedLinkIsFollowedAndALoopLeavesNoOtherPathOut) {
  const std::string loop = dir_.file("loop"), dangling = dir_.file("dangling");
  std::filesystem::create_symlink("loop", loop);
  std::filesystem::create_symlink("absent", dangling);
  std::filesystem::create_directory_symlink(dir_.file("in"), dir_.file("link"));
  EXPECT_EQ(Ingest({"--collection", "linked", dir_.file("link")}).exit_code, kOk);
  EXPECT_EQ(Lines(Cairn(OnStore("list", {"--collection", "linked"})).out).size(), 2u);
  const ProcessResult result = Ingest({a_, loop, dangling, z_});
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr(loop), HasSubstr(dangling)));
  EXPECT_THAT(ListedIds(), UnorderedElementsAre(a_, z_));
  ExpectSound();
}

TEST_F(BadPaths, NamesWithSpacesAndLetters) {
  const std::string spaced = dir_.Write("in/with two  spaces.txt", "one");
  const std::string umlaut = dir_.Write("in/\xC3\xBC\xE2\x82\xAC.txt", "two");
  const std::string dashes = dir_.Write("in/--store.txt", "three");
  EXPECT_EQ(Ingest({dir_.file("in")}).exit_code, kOk);
  EXPECT_THAT(ListedIds(), UnorderedElementsAre(a_, z_, spaced, umlaut, dashes));
  EXPECT_EQ(StoredText(spaced), "one");
  EXPECT_EQ(StoredText(umlaut), "two");
  // Ids from a list go back in.
  EXPECT_EQ(
      Cairn(OnStore("delete", {"-"}), spaced + "\n" + umlaut + "\n" + dashes + "\n").exit_code,
      kOk);
  ExpectBothThere();
}

TEST_F(BadPaths, NamesThatNoMessageCanHoldAreShownEscaped) {
  dir_.Write("in/new\nline.txt", "one");
  dir_.Write("in/\x1B[31mred.txt", "two");
  dir_.Write("in/bad\xFF.txt", "three");
  const ProcessResult result = Ingest({dir_.file("in")});
  EXPECT_EQ(result.exit_code, kOk);
  EXPECT_THAT(Lines(result.err), Contains(StartsWith(dir_.file("in/new\\x0aline.txt") + ": ")));
  EXPECT_THAT(Lines(result.err), Contains(StartsWith(dir_.file("in/\\x1b[31mred.txt") + ": ")));
  EXPECT_THAT(Lines(result.err), Contains(StartsWith(dir_.file("in/bad\\xff.txt") + ": ")));
  EXPECT_THAT(result.err, Not(HasSubstr("\x1B")));
  ExpectBothThere();
}

TEST_F(BadPaths, AFileThatVanishesIsNamed) {
  const std::string gone = dir_.Write("gone.txt", "soon gone");
  // Its turn comes after standard input, which stays open until it is deleted.
  ProcessOptions options = Options(OnStore("ingest", {"--acks", "-", gone}));
  options.hold_input = true;
  Process process(std::move(options));
  std::string records;
  for (int i = 0; i < 3000; ++i) {
    records +=
        "{\"_id\": \"r" + std::to_string(i) + "\", \"text\": \"" + std::string(200, 'w') + "\"}\n";
  }
  process.WriteInput(records);
  EXPECT_TRUE(process.WaitForOutput("r0\n"));
  std::filesystem::remove(gone);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_THAT(result.err, HasSubstr(gone));
  EXPECT_EQ(ListedIds().size(), 3000u);
  ExpectSound();
}

TEST_F(BadPaths, AFileThatVanishesFromAListedFolderIsNamed) {
  // Too much to have been read when its first record is acknowledged: reading waits for writing.
  std::string records;
  for (int i = 0; i < 3200; ++i) {
    records += "{\"_id\": \"r" + std::to_string(i) + "\", \"text\": \"" + std::string(10'000, 'w') +
               "\"}\n";
  }
  dir_.Write("in/m.jsonl", records);
  Process process(Options(OnStore("ingest", {"--acks", dir_.file("in")})));
  EXPECT_TRUE(process.WaitForOutput("r0\n"));
  process.Signal(SIGSTOP);
  std::filesystem::remove(z_);
  process.Signal(SIGCONT);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_THAT(Lines(result.err), Contains(AllOf(StartsWith(z_ + ": "), HasSubstr("No such file"))));
  EXPECT_EQ(ListedIds().size(), 3201u);
}

TEST_F(BadPaths, AFolderWithoutDocumentsIsNothingFound) {
  std::filesystem::create_directories(dir_.file("empty"));
  const ProcessResult result = Ingest({dir_.file("empty")});
  EXPECT_EQ(result.exit_code, kNothingFound);
  EXPECT_THAT(result.err, HasSubstr("no documents"));
}

}  // namespace
}  // namespace cairn::services
