// What the system says of this process.
#ifndef CAIRN_SERVICES_SERVER_PROCESS_FIGURES_H_
#define CAIRN_SERVICES_SERVER_PROCESS_FIGURES_H_

#include <optional>

namespace cairn::services {

// Each is nothing where the system does not say.
struct ProcessFigures {
  std::optional<double> resident_bytes;
  std::optional<double> open_files;
  std::optional<double> cpu_seconds;         // Of user and system.
  std::optional<double> start_time_seconds;  // Since 1970.
};

ProcessFigures ReadProcessFigures();

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_PROCESS_FIGURES_H_
