#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/services/server/raw_calls.h"
#include "tests/services/server/test_calls.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kServices = {
    "cairn.v1.Collections",
    "cairn.v1.Documents",
    "cairn.v1.Search",
    "cairn.v1.Answer",
    "cairn.v1.Models",
    "cairn.v1.Admin",
    "google.longrunning.Operations",
};
constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";
constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

class HealthTest : public ServerTest {
 protected:
  int Check(const std::string& service, grpc::Status* status) const {
    RawCall call(Connect().channel, kCheck);
    call.Write(HealthRequest(service));
    call.WritesDone();
    const int health = ReadHealth(&call);
    *status = call.Finish();
    return health;
  }
};

TEST_F(HealthTest, EachServiceServesOnceTheStoreIsOpen) {
  ASSERT_NO_FATAL_FAILURE(Start());
  std::vector<std::string> services = kServices;
  services.push_back("");  // The server as a whole.
  grpc::Status s;
  for (const std::string& service : services) {
    EXPECT_EQ(Check(service, &s), kHealthNotServing) << service;
  }
  v1::SearchResponse found;
  EXPECT_TRUE(
      IsError(Connect().Search("docs", "x", &found), StatusCode::UNAVAILABLE, "STORE_OPENING"));
  ASSERT_TRUE(server_->OpenStore().ok());
  for (const std::string& service : services) {
    EXPECT_EQ(Check(service, &s), kHealthServing) << service;
    EXPECT_TRUE(IsOk(s));
  }
  EXPECT_EQ(Check("cairn.v1.Nothing", &s), -1);
  EXPECT_EQ(s.error_code(), StatusCode::NOT_FOUND);
}

TEST_F(HealthTest, WhoWatchesIsToldOfChanges) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const TestClient client = Connect();
  RawCall search(client.channel, kWatch), none(client.channel, kWatch);
  ASSERT_TRUE(search.Write(HealthRequest("cairn.v1.Search")));
  ASSERT_TRUE(none.Write(HealthRequest("cairn.v1.Nothing")));
  EXPECT_EQ(ReadHealth(&search), kHealthNotServing);
  EXPECT_EQ(ReadHealth(&none), kHealthServiceUnknown);
  ASSERT_TRUE(server_->OpenStore().ok());
  EXPECT_EQ(ReadHealth(&search), kHealthServing);
  std::thread drain([&] { server_->Drain(); });
  EXPECT_EQ(ReadHealth(&search), kHealthNotServing);
  drain.join();
}

TEST_F(HealthTest, ReflectionListsTheServices) {
  StartAndOpen();
  RawCall call(Connect().channel, kReflection);
  // ServerReflectionRequest.list_services, a string of number 7.
  ASSERT_TRUE(call.Write(std::string("\x3A\x01*", 3)));
  std::string message;
  ASSERT_TRUE(call.Read(&message));
  for (const std::string& service : kServices) EXPECT_THAT(message, HasSubstr(service));
  EXPECT_THAT(message, HasSubstr("grpc.health.v1.Health"));
  // file_containing_symbol, of number 4: enough to call it.
  const std::string symbol = "cairn.v1.Search";
  ASSERT_TRUE(call.Write(std::string("\x22") + static_cast<char>(symbol.size()) + symbol));
  ASSERT_TRUE(call.Read(&message));
  EXPECT_THAT(message, HasSubstr("cairn/v1/search.proto"));
  EXPECT_THAT(message, HasSubstr("SearchStream"));
}

}  // namespace
}  // namespace cairn::services
