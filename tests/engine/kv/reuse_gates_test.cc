#include "engine/kv/reuse_gates.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/engine/kv/kv_subject.h"

namespace cairn::engine {
namespace {

using cairn::testing::SmallConfig;
using testing::KvSubject;

class GatesOfEachArchitecture : public ::testing::TestWithParam<Architecture> {};
INSTANTIATE_TEST_SUITE_P(ReuseGates, GatesOfEachArchitecture,
                         ::testing::Values(Architecture::kLlama, Architecture::kQwen2,
                                           Architecture::kQwen3));

TEST_P(GatesOfEachArchitecture, Hold) {
  KvSubject subject(SmallConfig(GetParam()));
  const auto report = RunReuseGates(subject.decoder.get());
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->gates.size(), 4u);
  for (const ReuseGate& gate : report->gates) {
    EXPECT_LE(gate.difference, kGateTolerance) << gate.name;
  }
  EXPECT_TRUE(report->holds());
  EXPECT_EQ(report->Summary(), "ok");
}

TEST_P(GatesOfEachArchitecture, HoldWithStretchedPositionsAndSlidingWindows) {
  for (const RopeScaling::Kind kind :
       {RopeScaling::Kind::kLinear, RopeScaling::Kind::kYarn, RopeScaling::Kind::kLlama3}) {
    ModelConfig config = SmallConfig(GetParam());
    config.rope_scaling.kind = kind;
    config.rope_scaling.factor = 4;
    config.rope_scaling.original_context = 128;
    config.sliding_window = 40;
    config.sliding_first_layer = 1;
    KvSubject subject(config);
    const auto report = RunReuseGates(subject.decoder.get());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->Summary(), "ok") << static_cast<int>(kind);
  }
}

// Its rotation depends on the prompt's length, and so does all that deeper layers make of it: a
// chunk's keys and values are not its own.
TEST(ReuseGates, DynamicScalingBeyondTheTrainedContextDoesNotHold) {
  ModelConfig config = SmallConfig(Architecture::kLlama);
  config.rope_scaling.kind = RopeScaling::Kind::kDynamicNtk;
  config.rope_scaling.factor = 4;
  config.rope_scaling.original_context = 64;
  KvSubject subject(config);
  const auto report = RunReuseGates(subject.decoder.get());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->gates[2].holds());
  EXPECT_FALSE(report->gates[3].holds());
  EXPECT_NE(report->Summary().find("original place"), std::string::npos);
}

TEST(ReuseGates, AModelWithAShortContextIsCheckedWithinIt) {
  ModelConfig config = SmallConfig(Architecture::kLlama);
  config.context_length = 40;
  KvSubject subject(config);
  const auto report = RunReuseGates(subject.decoder.get());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->Summary(), "ok");
  config.context_length = 16;
  KvSubject tiny(config);
  EXPECT_EQ(RunReuseGates(tiny.decoder.get()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ReuseGates, WhatIsNoNumberDoesNotHold) {
  ReuseGateReport report;
  report.gates.push_back({"moved keys", std::numeric_limits<double>::infinity()});
  EXPECT_FALSE(report.holds());
  EXPECT_NE(report.Summary().find("moved keys"), std::string::npos);
}

}  // namespace
}  // namespace cairn::engine
