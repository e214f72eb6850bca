#include "services/server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> Methods() { return {"Search", "Ask"}; }
std::vector<std::string> Stages() { return {"wait", "search"}; }

double ValueOf(const std::string& text, const std::string& name) {
  const size_t at = text.find("\n" + name + " ");
  double value = std::numeric_limits<double>::quiet_NaN();
  if (at == std::string::npos) return value;
  const size_t start = at + name.size() + 2;
  EXPECT_TRUE(absl::SimpleAtod(text.substr(start, text.find('\n', start) - start), &value));
  return value;
}

TEST(Metrics, CountRequestsByMethodAndCode) {
  Metrics metrics(Methods(), Stages());
  metrics.RecordRequest("Search", "OK", 0.02, 100, 3000);
  metrics.RecordRequest("Search", "OK", 0.2, 50, 1000);
  metrics.RecordRequest("Search", "NOT_FOUND", 0.001, 10, 0);
  metrics.RecordRequest("Ask", "OK", 4, 1, 2);
  const std::string text = metrics.Text();
  EXPECT_EQ(ValueOf(text, R"(cairn_requests_total{code="OK",method="Search"})"), 2) << text;
  EXPECT_EQ(ValueOf(text, R"(cairn_requests_total{code="NOT_FOUND",method="Search"})"), 1);
  EXPECT_EQ(ValueOf(text, R"(cairn_requests_total{code="OK",method="Ask"})"), 1);
  EXPECT_EQ(ValueOf(text, R"(cairn_request_bytes_total{method="Search"})"), 160);
  EXPECT_EQ(ValueOf(text, R"(cairn_response_bytes_total{method="Search"})"), 4000);
  EXPECT_EQ(ValueOf(text, R"(cairn_request_seconds_count{method="Search"})"), 3);
  EXPECT_NEAR(ValueOf(text, R"(cairn_request_seconds_sum{method="Search"})"), 0.221, 1e-9);
  EXPECT_EQ(ValueOf(text, R"(cairn_request_seconds_bucket{method="Search",le="0.025"})"), 2);
  EXPECT_THAT(text, HasSubstr("# TYPE cairn_requests_total counter"));
  EXPECT_THAT(text, HasSubstr("# TYPE cairn_request_seconds histogram"));
}

TEST(Metrics, MeasureStages) {
  Metrics metrics(Methods(), Stages());
  metrics.RecordStage("Search", "wait", 0.5);
  metrics.RecordStage("Search", "search", 0.25);
  metrics.RecordStage("Search", "made up", 0.125);
  const std::string text = metrics.Text();
  EXPECT_EQ(ValueOf(text, R"(cairn_request_stage_seconds_sum{method="Search",stage="wait"})"), 0.5);
  EXPECT_EQ(ValueOf(text, R"(cairn_request_stage_seconds_sum{method="Search",stage="search"})"),
            0.25);
  EXPECT_EQ(ValueOf(text, R"(cairn_request_stage_seconds_sum{method="Search",stage="other"})"),
            0.125);
}

TEST(Metrics, CountThePromptsTokensByWhereTheyCameFrom) {
  Metrics metrics(Methods(), Stages());
  metrics.RecordPrompt({.exact_tokens = 1,
                        .reused_tokens = 20,
                        .recomputed_tokens = 3,
                        .fresh_tokens = 4,
                        .loaded_bytes = 500});
  metrics.RecordPrompt({.reused_tokens = 7});
  const std::string text = metrics.Text();
  EXPECT_EQ(ValueOf(text, R"(cairn_prompt_tokens_total{kind="exact"})"), 1) << text;
  EXPECT_EQ(ValueOf(text, R"(cairn_prompt_tokens_total{kind="reused"})"), 27);
  EXPECT_EQ(ValueOf(text, R"(cairn_prompt_tokens_total{kind="recomputed"})"), 3);
  EXPECT_EQ(ValueOf(text, R"(cairn_prompt_tokens_total{kind="fresh"})"), 4);
  EXPECT_EQ(ValueOf(text, "cairn_prompt_loaded_bytes_total"), 500);
}

TEST(Metrics, NoClientCanMakeNewLabels) {
  Metrics metrics(Methods(), Stages());
  for (int i = 0; i < 100; ++i) {
    metrics.RecordRequest("Made" + std::to_string(i), "CODE" + std::to_string(i), 0, 0, 0);
  }
  const std::string text = metrics.Text();
  EXPECT_EQ(ValueOf(text, R"(cairn_requests_total{code="UNKNOWN",method="other"})"), 100) << text;
  EXPECT_THAT(text, Not(HasSubstr("Made")));
  EXPECT_THAT(text, Not(HasSubstr("CODE")));
}

TEST(Metrics, TimesThatAreNoneDoNotSpoilTheSum) {
  Metrics metrics(Methods(), Stages());
  metrics.RecordRequest("Ask", "OK", std::numeric_limits<double>::quiet_NaN(), 0, 0);
  metrics.RecordRequest("Ask", "OK", std::numeric_limits<double>::infinity(), 0, 0);
  metrics.RecordRequest("Ask", "OK", -1, 0, 0);
  metrics.RecordRequest("Ask", "OK", 2, 0, 0);
  EXPECT_EQ(ValueOf(metrics.Text(), R"(cairn_request_seconds_sum{method="Ask"})"), 2);
}

TEST(Metrics, GaugesAreAskedForWheneverTheTextIsMade) {
  Metrics metrics(Methods(), Stages());
  double value = 3;
  ASSERT_TRUE(
      metrics.SetGaugeSource("cairn_waiting", "Work\nthat waits.", [&] { return value; }).ok());
  std::string text = metrics.Text();
  EXPECT_EQ(ValueOf(text, "cairn_waiting"), 3);
  EXPECT_THAT(text, HasSubstr("# TYPE cairn_waiting gauge"));
  EXPECT_THAT(text, HasSubstr("# HELP cairn_waiting Work\\nthat waits.\n"));
  value = 4;
  EXPECT_EQ(ValueOf(metrics.Text(), "cairn_waiting"), 4);
  ASSERT_TRUE(metrics.SetGaugeSource("cairn_waiting", "Another.", [] { return 5.0; }).ok());
  EXPECT_EQ(ValueOf(metrics.Text(), "cairn_waiting"), 5);
  metrics.RemoveGaugeSource("cairn_waiting");
  metrics.RemoveGaugeSource("cairn_waiting");
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("cairn_waiting")));
}

TEST(Metrics, GaugesWithBadOrTakenNamesAreErrors) {
  Metrics metrics(Methods(), Stages());
  for (const char* name :
       {"", "1st", "with space", "a\nb 1", "cairn_requests_total", "cairn_request_seconds_sum",
        "cairn_prompt_tokens_total", "process_open_fds"}) {
    EXPECT_EQ(metrics.SetGaugeSource(name, "Help.", [] { return 0.0; }).code(),
              absl::StatusCode::kInvalidArgument)
        << name;
  }
}

TEST(Metrics, SayWhatTheProcessUses) {
  const std::string text = Metrics(Methods(), Stages()).Text();
  EXPECT_GT(ValueOf(text, "process_resident_memory_bytes"), 1e6);
  EXPECT_GE(ValueOf(text, "process_open_fds"), 3);
  EXPECT_GE(ValueOf(text, "process_cpu_seconds_total"), 0);
  EXPECT_GT(ValueOf(text, "process_start_time_seconds"), 1.6e9);
  EXPECT_THAT(text, HasSubstr("# TYPE process_cpu_seconds_total counter"));
}

}  // namespace
}  // namespace cairn::services
