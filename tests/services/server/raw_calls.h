// Calls of services whose stubs gRPC keeps to itself: grpc.health.v1 and server reflection. Their
// messages are read and written as others that look the same on the wire.
#ifndef CAIRN_TESTS_SERVICES_SERVER_RAW_CALLS_H_
#define CAIRN_TESTS_SERVICES_SERVER_RAW_CALLS_H_

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

namespace cairn::services {

// A stream of bytes, which the caller knows the messages of.
class RawCall {
 public:
  RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method)
      : stub_(channel) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    stream_ = stub_.PrepareCall(&context_, method, &queue_);
    stream_->StartCall(nullptr);
    ok_ = Next();
  }
  ~RawCall() {
    context_.TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  RawCall(const RawCall&) = delete;
  RawCall& operator=(const RawCall&) = delete;

  bool Write(const std::string& message) {
    const grpc::Slice slice(message);
    stream_->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    return ok_ && Next();
  }
  bool WritesDone() {
    stream_->WritesDone(nullptr);
    return Next();
  }
  bool Read(std::string* message) {
    grpc::ByteBuffer buffer;
    stream_->Read(&buffer, nullptr);
    if (!Next()) return false;
    std::vector<grpc::Slice> slices;
    if (!buffer.Dump(&slices).ok()) return false;
    message->clear();
    for (const grpc::Slice& s : slices) {
      message->append(reinterpret_cast<const char*>(s.begin()), s.size());
    }
    return true;
  }
  grpc::Status Finish() {
    grpc::Status status;
    stream_->Finish(&status, nullptr);
    Next();
    return status;
  }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  bool ok_ = false;
};

// grpc.health.v1.HealthCheckRequest has a string of number 1, the response an enum of number 1.
inline std::string HealthRequest(const std::string& service) {
  google::protobuf::StringValue request;
  request.set_value(service);
  return request.SerializeAsString();
}
inline constexpr int kHealthServing = 1;
inline constexpr int kHealthNotServing = 2;
inline constexpr int kHealthServiceUnknown = 3;
// -1: no response.
inline int ReadHealth(RawCall* call) {
  std::string message;
  google::protobuf::Int32Value response;
  if (!call->Read(&message) || !response.ParseFromString(message)) return -1;
  return response.value();
}

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_SERVER_RAW_CALLS_H_
