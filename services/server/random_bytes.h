// Randomness of the system, good enough for keys.
#ifndef CAIRN_SERVICES_SERVER_RANDOM_BYTES_H_
#define CAIRN_SERVICES_SERVER_RANDOM_BYTES_H_

#include <cstddef>
#include <string>

namespace cairn::services {

// Never fails: a system without randomness ends the process.
std::string RandomBytes(size_t count);
// The same in lowercase hex, two digits for each byte.
std::string RandomHex(size_t bytes);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_RANDOM_BYTES_H_
