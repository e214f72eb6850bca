#include "services/server/request_id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "services/server/random_bytes.h"

namespace cairn::services {
namespace {

TEST(RequestId, AClientsIsTakenWhereItIsHarmless) {
  for (const std::string& id : {std::string("a"), std::string("Ab9._:-"), std::string(128, 'z')}) {
    EXPECT_EQ(RequestId(id), id);
  }
}

TEST(RequestId, AnyOtherIsReplacedByARandomOne) {
  for (const std::string& id :
       {std::string(), std::string(129, 'z'), std::string("a b"), std::string("a\n"),
        std::string("a\0b", 3), std::string("\xC3\xA4"), std::string("\"}"), std::string("a/b")}) {
    const std::string made = RequestId(id);
    EXPECT_EQ(made.size(), 32U);
    EXPECT_EQ(made.find_first_not_of("0123456789abcdef"), std::string::npos) << made;
    EXPECT_NE(made, RequestId(id));
  }
}

TEST(RandomBytes, AreAsManyAsAskedForAndDiffer) {
  EXPECT_TRUE(RandomBytes(0).empty());
  EXPECT_EQ(RandomBytes(1000).size(), 1000U);
  EXPECT_NE(RandomBytes(32), RandomBytes(32));
}

}  // namespace
}  // namespace cairn::services
