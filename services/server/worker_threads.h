// Threads that all run the same function.
#ifndef CAIRN_SERVICES_SERVER_WORKER_THREADS_H_
#define CAIRN_SERVICES_SERVER_WORKER_THREADS_H_

#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace cairn::services {

// Starts `count` threads (0: one per core), or as many as the system grants, perhaps none. Each is
// `nice` nicer than the process (0..19), where the system allows it, and runs `run` once.
std::vector<std::thread> StartWorkers(size_t count, int nice, const std::function<void()>& run);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_WORKER_THREADS_H_
