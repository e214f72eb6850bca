// Proves that a model's keys and values may be moved before any answer relies on it.
#ifndef CAIRN_ENGINE_KV_REUSE_GATES_H_
#define CAIRN_ENGINE_KV_REUSE_GATES_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/decoder.h"

namespace cairn::engine {

// The largest difference that a gate lets through. Values of keys and logits are of the order of 1
// to 30; others measured at most 7.3e-5.
inline constexpr double kGateTolerance = 1e-3;

struct ReuseGate {
  std::string name;
  double difference = 0;  // The largest between two numbers that should be one.

  bool holds() const { return difference <= kGateTolerance; }  // Not where it is no number.
};

// What holds for a model, and in one place where it does not: gates in this order.
//   "rope round trip"    a head turned to a position and back is what it was
//   "moved keys"         layer 0's keys, computed at one position and turned to another, are those
//                        computed at that other
//   "all recomputed"     a prompt of cached chunks that are all computed again gives the logits of
//                        the whole prompt computed at once
//   "original place"     chunks reused where they were computed, behind what stood there, too
struct ReuseGateReport {
  std::vector<ReuseGate> gates;

  bool holds() const;
  // "ok", or the gates that do not hold with their differences.
  std::string Summary() const;
};

// Runs the gates on tokens of its own making, up to some 300. `decoder` should compute in float32
// and keep keys and values in it: then what is measured is the method, not rounding.
// InvalidArgument for a context of under 32 tokens; ResourceExhausted for memory; Cancelled.
absl::StatusOr<ReuseGateReport> RunReuseGates(Decoder* decoder,
                                              const std::function<bool()>& is_cancelled = {});

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_REUSE_GATES_H_
