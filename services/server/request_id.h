// The id that one request has in the log and in its answer.
#ifndef CAIRN_SERVICES_SERVER_REQUEST_ID_H_
#define CAIRN_SERVICES_SERVER_REQUEST_ID_H_

#include <string>
#include <string_view>

namespace cairn::services {

// The client's, where it is 1 to 128 characters of [A-Za-z0-9._:-]; else a random one of 32 hex
// digits.
std::string RequestId(std::string_view from_client);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_REQUEST_ID_H_
