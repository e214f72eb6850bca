// The configuration file: defaults for flags that neither the command line nor the environment set.
#ifndef CAIRN_SERVICES_CONFIGURATION_H_
#define CAIRN_SERVICES_CONFIGURATION_H_

#include <string>

#include "absl/status/status.h"

namespace CLI {
class App;
}

namespace cairn::services {

// $CAIRN_CONFIG, else cairn/config.toml under $XDG_CONFIG_HOME or ~/.config; empty when none is
// there to name.
std::string DefaultConfigPath();

// Applies a TOML file to the parsed subcommand `command` of `root`: `flag = value` at the top for
// every command that has the flag, or under [command]. `must_exist`: the user named the file.
// InvalidArgument naming the file and the fault for bad syntax, unknown names and bad values.
absl::Status ApplyConfiguration(const std::string& path, bool must_exist, const CLI::App& root,
                                CLI::App* command);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_CONFIGURATION_H_
