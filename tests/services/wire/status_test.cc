#include "services/wire/status.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <string>

#include "chunking/readers/text_checks.h"

namespace cairn::services {
namespace {

template <typename Detail>
Detail DetailOf(const absl::Status& status) {
  Detail detail;
  const auto payload =
      status.GetPayload("type.googleapis.com/" + std::string(detail.GetTypeName()));
  EXPECT_TRUE(payload.has_value());
  EXPECT_TRUE(detail.ParseFromString(std::string(payload.value_or(absl::Cord()))));
  return detail;
}

absl::Status OverTheWire(const absl::Status& status) {
  return FromGrpcStatus(ToGrpcStatus(status));
}

TEST(StatusTest, EveryCodeKeepsItsNumberAndMessage) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why it is so");
    const grpc::Status sent = ToGrpcStatus(status);
    EXPECT_EQ(static_cast<int>(sent.error_code()), code);
    EXPECT_EQ(sent.error_message(), "why it is so");
    const absl::Status received = FromGrpcStatus(sent);
    EXPECT_EQ(received.code(), status.code());
    EXPECT_EQ(received.message(), status.message());
    google::rpc::Status rpc;
    WriteRpcStatus(status, &rpc);
    EXPECT_EQ(rpc.code(), code);
    EXPECT_EQ(FromRpcStatus(rpc), received);
  }
  EXPECT_TRUE(OverTheWire(absl::OkStatus()).ok());
  google::rpc::Status rpc;
  WriteRpcStatus(absl::OkStatus(), &rpc);
  EXPECT_TRUE(FromRpcStatus(rpc).ok());
}

TEST(StatusTest, AnErrorWithoutAReasonHasItsCodesName) {
  const auto info = DetailOf<google::rpc::ErrorInfo>(OverTheWire(absl::NotFoundError("x")));
  EXPECT_EQ(info.domain(), "cairn");
  EXPECT_EQ(info.reason(), "NOT_FOUND");
}

TEST(StatusTest, AReasonAndADelayArriveTogether) {
  absl::Status status = WithReason(absl::ResourceExhaustedError("x"), "QUEUE_FULL");
  status = OverTheWire(WithRetryAfter(status, absl::Milliseconds(1500)));
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status).reason(), "QUEUE_FULL");
  const auto retry = DetailOf<google::rpc::RetryInfo>(status);
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
}

TEST(StatusTest, ADelayIsNeitherNegativeNorEndless) {
  const auto delay = [](absl::Duration d) {
    return DetailOf<google::rpc::RetryInfo>(WithRetryAfter(absl::UnavailableError("x"), d))
        .retry_delay()
        .seconds();
  };
  EXPECT_EQ(delay(-absl::Seconds(5)), 0);
  EXPECT_EQ(delay(absl::InfiniteDuration()), 24 * 3600);
}

TEST(StatusTest, ABadFieldIsNamed) {
  const absl::Status status = OverTheWire(BadField("fusion.alpha", "must be 0 to 1"));
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message(), "fusion.alpha must be 0 to 1");
  const auto bad = DetailOf<google::rpc::BadRequest>(status);
  ASSERT_EQ(bad.field_violations_size(), 1);
  EXPECT_EQ(bad.field_violations(0).field(), "fusion.alpha");
  EXPECT_EQ(bad.field_violations(0).description(), "must be 0 to 1");
}

TEST(StatusTest, PayloadsOfOthersStayHere) {
  absl::Status status = absl::InternalError("x");
  status.SetPayload("type.googleapis.com/some.Internal", absl::Cord("secret"));
  EXPECT_EQ(ToGrpcStatus(status).error_details().find("secret"), std::string::npos);
}

TEST(StatusTest, AMessageIsAlwaysUtf8AndShortEnoughToArrive) {
  std::string longest;
  for (int i = 0; i < 100'000; ++i) longest += "漢";
  for (const std::string& message : {std::string("caf\xe9 \xff"), longest, "x" + longest,
                                     "xx" + longest, std::string(1 << 20, '\xff')}) {
    const absl::Status status = WithReason(BadField(longest, message), longest);
    const grpc::Status sent = ToGrpcStatus(status);
    EXPECT_TRUE(chunking::IsUtf8(sent.error_message()));
    EXPECT_FALSE(sent.error_message().empty());
    google::rpc::Status details;
    EXPECT_TRUE(details.ParseFromString(sent.error_details()));
    // gRPC percent-encodes the one and has base64 of the other; 8 KiB are a client's limit.
    EXPECT_LT(3 * sent.error_message().size() + sent.error_details().size() * 4 / 3, 7500u);
  }
}

TEST(StatusTest, DetailsThatAreNoneAreLeftOut) {
  const absl::Status status =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone", "\xff\xff no message"));
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(status.message(), "gone");
}

TEST(StatusTest, ANumberThatIsNoCodeIsUnknown) {
  google::rpc::Status rpc;
  rpc.set_code(4711);
  rpc.set_message("strange");
  EXPECT_EQ(FromRpcStatus(rpc), absl::UnknownError("strange"));
}

}  // namespace
}  // namespace cairn::services
