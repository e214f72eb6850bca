// The flags of commands that keep, or reuse, the keys and values of chunks (docs/kv-reuse.md).
#ifndef CAIRN_SERVICES_KV_FLAGS_H_
#define CAIRN_SERVICES_KV_FLAGS_H_

#include <string>
#include <vector>

#include "engine/engine.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace cairn::services {

// --kv-reuse, which writes into *quality. The parser refuses unknown names; empty: not given.
CLI::Option* RegisterKvReuse(CLI::App* command, std::string* quality);
// Of a name that RegisterKvReuse lets through; what a request that does not say gets for "".
ReuseQuality ReuseQualityNamed(const std::string& quality);

// --kv-encoding, --kv-source, --kv-variants and --kv-disk-bytes: what is kept, and how much of it.
void RegisterKvStorage(CLI::App* command, KvReuseOptions* options);
// --kv-memory-bytes
void RegisterKvMemory(CLI::App* command, KvReuseOptions* options);
// The names of all but --kv-reuse: a server decides these by itself.
std::vector<std::string> KvStorageFlags();

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_KV_FLAGS_H_
