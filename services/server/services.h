// The services of cairn.v1, over a server's state.
#ifndef CAIRN_SERVICES_SERVER_SERVICES_H_
#define CAIRN_SERVICES_SERVER_SERVICES_H_

#include <memory>

namespace grpc {
class Service;
}

namespace cairn::services {

struct ServerState;

// `state` must outlive them.
std::unique_ptr<grpc::Service> MakeCollectionsService(ServerState* state);
std::unique_ptr<grpc::Service> MakeDocumentsService(ServerState* state);
std::unique_ptr<grpc::Service> MakeSearchService(ServerState* state);
std::unique_ptr<grpc::Service> MakeAnswerService(ServerState* state);
std::unique_ptr<grpc::Service> MakeModelsService(ServerState* state);
std::unique_ptr<grpc::Service> MakeAdminService(ServerState* state);
std::unique_ptr<grpc::Service> MakeOperationsService(ServerState* state);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_SERVICES_H_
