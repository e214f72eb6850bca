// Where settings come from, and which wins: flags, environment, configuration file.
#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Configuration : public CliTest {
 protected:
  // Stores "flag", "environment" and "file", each with one document of that name.
  void SetUp() override {
    for (const char* name : {"flag", "environment", "file"}) {
      const ProcessResult r =
          Cairn({"ingest", "--store", dir_.file(name), "--format", "jsonl", "-"},
                "{\"_id\": \"" + std::string(name) + "\", \"text\": \"x\"}\n");
      ASSERT_EQ(r.exit_code, kOk) << r.err;
    }
    config_ = dir_.Write("config.toml", "store = \"" + dir_.file("file") + "\"\n");
  }

  ProcessResult With(const Strings& arguments, const Strings& environment) const {
    ProcessOptions options = Options(arguments);
    options.environment.insert(options.environment.end(), environment.begin(), environment.end());
    return Run(std::move(options));
  }

  std::string config_;
};

TEST_F(Configuration, FlagsComeBeforeTheEnvironmentAndThatBeforeTheFile) {
  const std::string environment = "CAIRN_STORE=" + dir_.file("environment");
  const std::string config = "CAIRN_CONFIG=" + config_;
  EXPECT_EQ(With({"list"}, {config}).out, "file\n");
  EXPECT_EQ(With({"list"}, {config, environment}).out, "environment\n");
  EXPECT_EQ(With({"list", "--store", dir_.file("flag")}, {config, environment}).out, "flag\n");
}

TEST_F(Configuration, CollectionComesFromTheEnvironmentToo) {
  const ProcessResult r =
      With({"ingest", "--store", dir_.file("flag"), config_}, {"CAIRN_COLLECTION=drafts"});
  ASSERT_EQ(r.exit_code, kOk) << r.err;
  EXPECT_EQ(With({"list", "--store", dir_.file("flag"), "--collection", "drafts"}, {}).out,
            config_ + "\n");
  EXPECT_EQ(With({"list", "--store", dir_.file("flag")}, {"CAIRN_COLLECTION=drafts"}).out,
            config_ + "\n");
  EXPECT_EQ(With({"list", "--store", dir_.file("flag"), "--collection", "default"},
                 {"CAIRN_COLLECTION=drafts"})
                .out,
            "flag\n");
}

TEST_F(Configuration, TheFileIsFoundInAllItsPlaces) {
  EXPECT_EQ(Cairn({"--config", config_, "list"}).out, "file\n");
  dir_.Write("xdg/cairn/config.toml", "store = \"" + dir_.file("flag") + "\"\n");
  EXPECT_EQ(With({"list"}, {"XDG_CONFIG_HOME=" + dir_.file("xdg")}).out, "flag\n");
  dir_.Write(".config/cairn/config.toml", "store = \"" + dir_.file("environment") + "\"\n");
  EXPECT_EQ(Cairn({"list"}).out, "environment\n");
  EXPECT_EQ(With({"list"}, {"XDG_CONFIG_HOME=" + dir_.file("xdg"), "CAIRN_CONFIG=" + config_}).out,
            "file\n");
  EXPECT_EQ(With({"--config", config_, "list"}, {"CAIRN_CONFIG=/nowhere"}).out, "file\n");
}

TEST_F(Configuration, SectionsHoldForTheirCommandOnly) {
  const std::string path =
      dir_.Write("sections.toml", "store = \"" + dir_.file("file") +
                                      "\"\n\n[search]\nmode = \"lexical\"\nk = 1\njson = true\n");
  const ProcessResult found = Cairn({"--config", path, "search", "x"});
  EXPECT_EQ(ParseJson(found)["mode"], "lexical");
  EXPECT_EQ(Cairn({"--config", path, "list"}).out, "file\n");
  const ProcessResult flagged = Cairn({"--config", path, "search", "--mode", "hybrid", "x"});
  EXPECT_EQ(ParseJson(flagged)["mode"], "hybrid");
}

TEST_F(Configuration, UnknownKeysAreNamed) {
  for (const auto& [text, named] : std::vector<std::pair<std::string, std::string>>{
           {"stor = \"x\"\n", "stor"},
           {"[search]\nmodes = \"lexical\"\n", "search.modes"},
           {"[serach]\nmode = \"lexical\"\n", "serach.mode"},
           {"[list]\nmode = \"lexical\"\n", "list.mode"}}) {
    const std::string path = dir_.Write("bad.toml", text);
    const ProcessResult result = Cairn({"--config", path, "list", "--store", dir_.file("flag")});
    EXPECT_EQ(result.exit_code, kUsage) << text;
    EXPECT_THAT(result.err, HasSubstr(path + ":"));
    EXPECT_THAT(result.err, HasSubstr("\"" + named + "\""));
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(Configuration, BadValuesAndUnreadableFilesAreNamed) {
  const std::string path = dir_.Write("bad.toml", "[search]\nmode = \"psychic\"\n");
  const ProcessResult value =
      Cairn({"--config", path, "search", "--store", dir_.file("flag"), "x"});
  EXPECT_EQ(value.exit_code, kUsage);
  EXPECT_THAT(value.err, HasSubstr(path));
  EXPECT_THAT(value.err, HasSubstr("psychic"));
  // A file that the user named must be there; the default one need not.
  for (const std::string& named : {dir_.file("absent.toml"), dir_.path()}) {
    const ProcessResult r = Cairn({"--config", named, "list", "--store", dir_.file("flag")});
    EXPECT_EQ(r.exit_code, kUsage) << named;
    EXPECT_THAT(r.err, HasSubstr(named));
    EXPECT_EQ(With({"list", "--store", dir_.file("flag")}, {"CAIRN_CONFIG=" + named}).exit_code,
              kUsage);
  }
}

TEST_F(Configuration, AFileThatMayNotBeLookedAtIsNotThere) {
  ProcessOptions options = Options({"list", "--store", dir_.file("flag")});
  std::filesystem::create_directories(dir_.file("closed"));
  options.environment.push_back("XDG_CONFIG_HOME=" + dir_.file("closed"));
  DropPrivileges(&options);
  std::filesystem::permissions(dir_.file("closed"), std::filesystem::perms::none);
  EXPECT_EQ(Run(std::move(options)).out, "flag\n");
}

}  // namespace
}  // namespace cairn::services
