#include "services/wire/status.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "chunking/readers/text_checks.h"
#include "chunking/text/utf8_repair.h"

namespace cairn::services {
namespace {

using chunking::AbslView;

constexpr std::string_view kTypePrefix = "type.googleapis.com/";
// Of details: Abseil has payloads of its own, which stay here.
constexpr std::string_view kDetailPrefix = "type.googleapis.com/google.rpc.";
constexpr std::string_view kDomain = "cairn";
// A gRPC client takes 8 KiB of trailing metadata by default. The message is in it twice: percent
// encoded, at up to three times its size, and in the details, in base64.
constexpr size_t kMaxMessageBytes = 1024;
constexpr size_t kMaxDetailBytes = 2048;

std::string TypeUrl(const google::protobuf::Message& message) {
  return absl::StrCat(AbslView(kTypePrefix), message.GetTypeName());
}

void SetDetail(const google::protobuf::Message& detail, absl::Status* status) {
  status->SetPayload(TypeUrl(detail), absl::Cord(detail.SerializeAsString()));
}

// UTF-8 whatever it was, of at most kMaxMessageBytes.
std::string Presentable(std::string_view message) {
  constexpr std::string_view kCut = "...";
  // What is beyond the limit need not be repaired; four bytes more keep the last character whole.
  std::string text;
  chunking::AppendRepairedUtf8(message.substr(0, kMaxMessageBytes + 4), &text);
  if (text.size() <= kMaxMessageBytes) return text;
  text.resize(kMaxMessageBytes - kCut.size());
  text.resize(text.size() - chunking::UnfinishedUtf8(text));
  text.append(kCut);
  return text;
}

// E.g. "NOT_FOUND": the names of google.rpc.Code.
std::string CodeName(absl::StatusCode code) { return absl::StatusCodeToString(code); }

google::rpc::ErrorInfo MakeErrorInfo(std::string_view reason) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(std::string(kDomain));
  return info;
}

void AddDetail(std::string type_url, std::string value, google::rpc::Status* out) {
  google::protobuf::Any* any = out->add_details();
  any->set_type_url(std::move(type_url));
  any->set_value(std::move(value));
}

}  // namespace

absl::Status BadField(std::string_view field, std::string_view description) {
  absl::Status status =
      absl::InvalidArgumentError(absl::StrCat(AbslView(field), " ", AbslView(description)));
  google::rpc::BadRequest bad;
  google::rpc::BadRequest::FieldViolation* violation = bad.add_field_violations();
  violation->set_field(Presentable(field));
  violation->set_description(Presentable(description));
  SetDetail(bad, &status);
  return status;
}

absl::Status WithReason(absl::Status status, std::string_view reason) {
  SetDetail(MakeErrorInfo(reason), &status);
  return status;
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration delay) {
  delay = std::clamp(delay, absl::ZeroDuration(), absl::Hours(24));
  google::rpc::RetryInfo retry;
  const int64_t seconds = absl::IDivDuration(delay, absl::Seconds(1), &delay);
  retry.mutable_retry_delay()->set_seconds(seconds);
  retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(delay)));
  SetDetail(retry, &status);
  return status;
}

void WriteRpcStatus(const absl::Status& status, google::rpc::Status* out) {
  out->Clear();
  if (status.ok()) return;
  out->set_code(static_cast<int>(status.code()));
  out->set_message(Presentable({status.message().data(), status.message().size()}));
  std::vector<std::pair<std::string, std::string>> details;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    const std::string_view type(url.data(), url.size());
    if (type.substr(0, kDetailPrefix.size()) != kDetailPrefix) return;
    details.emplace_back(std::string(type), std::string(value));
  });
  const std::string info_type = TypeUrl(google::rpc::ErrorInfo::default_instance());
  const auto has_info = [&](const auto& detail) { return detail.first == info_type; };
  if (std::none_of(details.begin(), details.end(), has_info)) {
    details.emplace_back(info_type, MakeErrorInfo(CodeName(status.code())).SerializeAsString());
  }
  // ErrorInfo first: it is what programs look for, so the last to be left out for its size. The
  // rest by type: payloads come in no order.
  std::sort(details.begin(), details.end(), [&](const auto& a, const auto& b) {
    return std::pair(!has_info(a), a) < std::pair(!has_info(b), b);
  });
  size_t room = kMaxDetailBytes;
  for (auto& [type, value] : details) {
    if (value.size() > room) continue;
    room -= value.size();
    AddDetail(std::move(type), std::move(value), out);
  }
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details;
  WriteRpcStatus(status, &details);
  // The codes of Abseil, gRPC and google.rpc are the same numbers.
  return grpc::Status(static_cast<grpc::StatusCode>(details.code()), details.message(),
                      details.SerializeAsString());
}

absl::Status FromRpcStatus(const google::rpc::Status& status) {
  if (status.code() == 0) return absl::OkStatus();
  // A number that is no code counts as UNKNOWN.
  const absl::StatusCode code =
      absl::Status(static_cast<absl::StatusCode>(status.code()), "").code();
  absl::Status result(code, status.message());
  for (const google::protobuf::Any& any : status.details()) {
    result.SetPayload(any.type_url(), absl::Cord(any.value()));
  }
  return result;
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  google::rpc::Status whole;
  // Whoever is between may have put anything there.
  if (!whole.ParseFromString(status.error_details())) whole.Clear();
  // What gRPC says itself counts.
  whole.set_code(static_cast<int>(status.error_code()));
  whole.set_message(status.error_message());
  return FromRpcStatus(whole);
}

}  // namespace cairn::services
