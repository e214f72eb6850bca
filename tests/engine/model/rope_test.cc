#include "engine/model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace cairn::engine {
namespace {

ModelConfig Config(RopeScaling::Kind kind, RopePairing pairing) {
  ModelConfig config;
  config.head_dim = 64;
  config.rope_dims = 48;  // The last quarter is not turned.
  config.rope_pairing = pairing;
  config.rope_scaling = {.kind = kind, .factor = 4, .original_context = 1024};
  return config;
}

class EveryScaling : public ::testing::TestWithParam<RopeScaling::Kind> {};
INSTANTIATE_TEST_SUITE_P(Rope, EveryScaling,
                         ::testing::Values(RopeScaling::Kind::kNone, RopeScaling::Kind::kLinear,
                                           RopeScaling::Kind::kDynamicNtk, RopeScaling::Kind::kYarn,
                                           RopeScaling::Kind::kLlama3));

TEST_P(EveryScaling, RotationsAreTakenBack) {
  for (RopePairing pairing : {RopePairing::kHalves, RopePairing::kInterleaved}) {
    const Rope rope(Config(GetParam(), pairing));
    ASSERT_EQ(rope.pairs(), 24u);
    for (uint32_t position : {0u, 1u, 1000u, 100'000u}) {
      std::vector<float> cos(24), sin(24), head(64);
      for (size_t i = 0; i < 64; ++i) head[i] = std::sin(static_cast<float>(i) * 1.7f) + 0.1f;
      const std::vector<float> before = head;
      rope.Angles(position, 5000, cos.data(), sin.data());
      rope.Rotate(cos.data(), sin.data(), head.data());
      EXPECT_EQ(head == before, position == 0 && GetParam() != RopeScaling::Kind::kYarn);
      rope.Unrotate(cos.data(), sin.data(), head.data());
      for (size_t i = 0; i < 64; ++i) EXPECT_NEAR(head[i], before[i], 1e-5);
    }
  }
}

TEST_P(EveryScaling, AttentionDependsOnDistancesAlone) {
  const Rope rope(Config(GetParam(), RopePairing::kHalves));
  const auto score = [&](uint32_t query_position, uint32_t key_position) {
    std::vector<float> cos(24), sin(24), query(64, 0.5f), key(64);
    for (size_t i = 0; i < 64; ++i) key[i] = std::cos(static_cast<float>(i));
    rope.Angles(query_position, 8192, cos.data(), sin.data());
    rope.Rotate(cos.data(), sin.data(), query.data());
    rope.Angles(key_position, 8192, cos.data(), sin.data());
    rope.Rotate(cos.data(), sin.data(), key.data());
    double sum = 0;
    for (size_t i = 0; i < 64; ++i) sum += static_cast<double>(query[i]) * key[i];
    return sum;
  };
  EXPECT_NEAR(score(100, 40), score(8000, 7940), 1e-4);
  EXPECT_GT(std::fabs(score(100, 40) - score(100, 90)), 1e-3);
}

}  // namespace
}  // namespace cairn::engine
