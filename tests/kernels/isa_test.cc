#include "kernels/isa.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::kernels {
namespace {

TEST(Isa, SupportedSetsAscendFromScalar) {
  const std::vector<Isa> isas = SupportedIsas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::kScalar);
  for (size_t i = 1; i < isas.size(); ++i) EXPECT_LT(isas[i - 1], isas[i]);
}

TEST(Isa, NamesAreThoseOfTheEnvironmentVariable) {
  EXPECT_EQ(IsaName(Isa::kScalar), "scalar");
  EXPECT_EQ(IsaName(Isa::kAvx2), "avx2");
  EXPECT_EQ(IsaName(Isa::kAvx512), "avx512");
}

// The choice is made once per process, so each value is tried in a child process.
TEST(IsaDeathTest, EnvironmentForcesEverySupportedSet) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (Isa isa : SupportedIsas()) {
    EXPECT_EXIT(
        {
          setenv("CAIRN_FORCE_ISA", std::string(IsaName(isa)).c_str(), 1);
          std::exit(ActiveIsa() == isa ? 0 : 1);
        },
        ::testing::ExitedWithCode(0), "")
        << IsaName(isa);
  }
}

TEST(IsaDeathTest, UnknownForcedSetMeansTheWidest) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        setenv("CAIRN_FORCE_ISA", "avx1024", 1);
        std::exit(ActiveIsa() == SupportedIsas().back() ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace cairn::kernels
