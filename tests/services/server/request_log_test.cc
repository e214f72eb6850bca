#include "services/server/request_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "tests/services/server/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using Json = nlohmann::ordered_json;

struct Log {
  explicit Log(LogLevel level = LogLevel::kInfo) {
    auto memory = std::make_unique<MemoryLogSink>();
    sink = memory.get();
    log = std::make_unique<RequestLog>(RequestLog::Options{level, clock.function()},
                                       std::move(memory));
  }
  Json Only() const {
    EXPECT_THAT(sink->lines(), SizeIs(1));
    return Json::parse(sink->lines().at(0));
  }

  FakeClock clock;
  MemoryLogSink* sink = nullptr;
  std::unique_ptr<RequestLog> log;
};

RequestRecord Record() {
  RequestRecord record;
  record.time = absl::FromUnixMillis(1'700'000'000'123);
  record.request_id = "r1";
  record.method = "Search";
  record.code = "OK";
  return record;
}

TEST(RequestLog, ARequestIsOneLineOfJson) {
  Log log;
  RequestRecord record = Record();
  record.tenant = "acme";
  record.token = "reader";
  record.collection = "docs";
  record.code = "NOT_FOUND";
  record.message = "no document\n\"x\"";
  record.total_ms = 12.5;
  record.stages_ms = {{"wait", 0.50012345}, {"search", 12}};
  record.k = 10;
  record.hits = 0;
  record.bytes_in = 100;
  record.bytes_out = 200;
  record.peer = "ipv4:127.0.0.1:5";
  log.log->Request(record);
  ASSERT_THAT(log.sink->lines(), SizeIs(1));
  EXPECT_EQ(log.sink->lines()[0],
            R"({"time":"2023-11-14T22:13:20.123Z","request_id":"r1","method":"Search",)"
            R"("tenant":"acme","token":"reader","collection":"docs","code":"NOT_FOUND",)"
            R"("message":"no document\n\"x\"","ms":12.5,"stages":{"wait":0.5,"search":12.0},)"
            R"("k":10,"hits":0,"bytes_in":100,"bytes_out":200,"peer":"ipv4:127.0.0.1:5"})");
}

TEST(RequestLog, AnAnswersLineSaysWhatItReused) {
  Log log;
  RequestRecord record = Record();
  record.kv = {"cacheblend", 5, 200, 30};
  log.log->Request(record);
  const Json json = log.Only();
  EXPECT_EQ(json["kv_method"], "cacheblend");
  EXPECT_EQ(json["kv_exact"], 5);
  EXPECT_EQ(json["kv_reused"], 200);
  EXPECT_EQ(json["kv_recomputed"], 30);
}

TEST(RequestLog, WhatThereIsNotIsLeftOut) {
  Log log;
  log.log->Request(Record());
  EXPECT_EQ(log.sink->lines().at(0),
            R"({"time":"2023-11-14T22:13:20.123Z","request_id":"r1","method":"Search",)"
            R"("code":"OK","ms":0.0,"bytes_in":0,"bytes_out":0})");
}

TEST(RequestLog, StringsOfClientsAreBoundedAndMadeUtf8) {
  Log log;
  RequestRecord record = Record();
  record.collection = "a\xFFz";
  record.tenant = std::string(255, 'a') + "\xC3\xA4" + "tail";  // Would be cut within a character.
  record.message = std::string(10'000, '\x80');
  record.peer = std::string("a\0b", 3);
  log.log->Request(record);
  const Json json = log.Only();
  EXPECT_EQ(json["collection"], "a\xEF\xBF\xBDz");
  EXPECT_EQ(json["tenant"], std::string(255, 'a'));
  EXPECT_LE(json["message"].get<std::string>().size(), 3 * 256U);
  EXPECT_EQ(json["peer"], std::string("a\0b", 3));
}

TEST(RequestLog, FiguresThatAreNoNumbersDoNotBreakTheLine) {
  Log log;
  RequestRecord record = Record();
  record.total_ms = std::numeric_limits<double>::quiet_NaN();
  log.log->Request(record);
  EXPECT_TRUE(log.Only()["ms"].is_null());
}

TEST(RequestLog, AtLevelErrorOnlyFailuresAreLogged) {
  Log log(LogLevel::kError);
  log.log->Request(Record());
  log.log->Event(LogLevel::kInfo, "started");
  log.log->Event(LogLevel::kWarning, "slow");
  RequestRecord failed = Record();
  failed.code = "INTERNAL";
  log.log->Request(failed);
  log.log->Event(LogLevel::kError, "reload failed");
  ASSERT_THAT(log.sink->lines(), SizeIs(2));
  EXPECT_EQ(Json::parse(log.sink->lines()[0])["code"], "INTERNAL");
  EXPECT_EQ(Json::parse(log.sink->lines()[1])["event"], "reload failed");
}

TEST(RequestLog, AnEventHasItsFieldsButNoneOverTheTimeAndName) {
  Log log;
  log.log->Event(LogLevel::kWarning, "draining", {{"requests", "3"}, {"event", "forged"}});
  EXPECT_EQ(log.sink->lines().at(0),
            R"({"time":"2023-11-14T22:13:20.000Z","level":"warning","event":"draining",)"
            R"("requests":"3"})");
}

TEST(RequestLog, LevelsHaveNames) {
  EXPECT_EQ(*ParseLogLevel("info"), LogLevel::kInfo);
  EXPECT_EQ(*ParseLogLevel("warning"), LogLevel::kWarning);
  EXPECT_EQ(*ParseLogLevel("error"), LogLevel::kError);
  EXPECT_EQ(ParseLogLevel("all").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(LogSink, AFileIsAppendedToLineByLineAndIsItsOwnersOnly) {
  const testing::TempDir dir;
  const std::string path = dir.path() + "/server.log";
  for (const char* line : {"{first}", "second %v"}) {
    const auto sink = OpenLogSink(path);
    ASSERT_TRUE(sink.ok()) << sink.status();
    (*sink)->Write(line);
    // Without a flush by the caller.
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_THAT(text, ::testing::EndsWith(std::string(line) + "\n"));
  }
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, "{first}\nsecond %v\n");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST(LogSink, AFileThatCannotBeOpenedIsAnError) {
  const testing::TempDir dir;
  EXPECT_EQ(OpenLogSink(dir.path() + "/none/server.log").status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_FALSE(OpenLogSink(dir.path()).ok());
  EXPECT_FALSE(OpenLogSink("").ok());
}

}  // namespace
}  // namespace cairn::services
