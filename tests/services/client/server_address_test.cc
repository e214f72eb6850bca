#include "services/client/server_address.h"

#include <gtest/gtest.h>

#include <string>

namespace cairn::services {
namespace {

TEST(ServerAddressTest, HostsAndSocketsAreTargets) {
  EXPECT_EQ(ParseServerAddress("search.example.org:443")->target, "dns:///search.example.org:443");
  EXPECT_EQ(ParseServerAddress("[2001:db8::1]:7700")->target, "dns:///%5B2001:db8::1%5D:7700");
  EXPECT_EQ(ParseServerAddress("unix:/run/cairn 1.sock")->target, "unix:/run/cairn%201.sock");
  EXPECT_EQ(ParseServerAddress("unix:cairn.sock")->shown, "unix:cairn.sock");
}

TEST(ServerAddressTest, OnlyThisMachineIsLocal) {
  for (const std::string local :
       {"localhost:1", "LOCALHOST:1", "127.0.0.1:1", "127.9.9.9:65535", "[::1]:7700", "unix:a"}) {
    EXPECT_TRUE(ParseServerAddress(local)->local) << local;
  }
  for (const std::string remote : {"example.org:1", "128.0.0.1:1", "[::2]:1",
                                   "localhost.evil.org:1", "127.0.0.1.evil.org:1", "0.0.0.0:1"}) {
    EXPECT_FALSE(ParseServerAddress(remote)->local) << remote;
  }
}

TEST(ServerAddressTest, AnythingElseIsRefused) {
  for (const std::string& bad :
       {std::string(), std::string("localhost"), std::string(":7700"), std::string("localhost:"),
        std::string("localhost:0"), std::string("localhost:65536"), std::string("localhost:-1"),
        std::string("localhost:+7"), std::string("localhost: 7"), std::string("a b:7"),
        std::string("http://localhost:7700"), std::string("dns:///localhost:7"),
        std::string("::1:7700"), std::string("[::1]"), std::string("[x]:7"), std::string("unix:"),
        std::string("user@host:7"), std::string("unix:a\0b", 8), "unix:" + std::string(108, 'a')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseServerAddress(bad).status())) << bad;
  }
}

}  // namespace
}  // namespace cairn::services
