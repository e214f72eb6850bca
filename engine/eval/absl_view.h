// Bridges the standard string view of our interfaces to Abseil's own, which Debian builds as a type
// of its own.
#ifndef CAIRN_ENGINE_EVAL_ABSL_VIEW_H_
#define CAIRN_ENGINE_EVAL_ABSL_VIEW_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace cairn::engine {

inline absl::string_view AbslView(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_ABSL_VIEW_H_
