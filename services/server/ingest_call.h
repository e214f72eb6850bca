// cairn.v1.Documents/Ingest.
#ifndef CAIRN_SERVICES_SERVER_INGEST_CALL_H_
#define CAIRN_SERVICES_SERVER_INGEST_CALL_H_

namespace grpc {
class CallbackServerContext;
template <class Request, class Response>
class ServerBidiReactor;
}  // namespace grpc
namespace cairn::v1 {
class IngestRequest;
class IngestResponse;
}  // namespace cairn::v1

namespace cairn::services {

struct ServerState;

// One stream: its reactor reads as long as there is room, a thread of its own ingests, and
// acknowledgements go out as documents become durable. What is read and not stored yet, and what is
// acknowledged and not read by the client, is bounded: then nothing more is read, and gRPC's flow
// control stops the client.
grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* StartIngest(
    ServerState* state, grpc::CallbackServerContext* context);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_INGEST_CALL_H_
