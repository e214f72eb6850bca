// oneDNN's matrix product, for comparison alone.
#ifndef CAIRN_TESTS_BENCH_ONEDNN_MATMUL_H_
#define CAIRN_TESTS_BENCH_ONEDNN_MATMUL_H_

#include <cstddef>
#include <memory>

#include "kernels/matmul.h"

namespace cairn::bench {

// out [m][n] = a [m][k] * b [k][n] in the arithmetic of `compute`: f32, bf16 with f32 sums, or
// u8 * s8 with s32 sums (without scales, which ours has). b lies as oneDNN likes best.
class OneDnnMatMul {
 public:
  // Whether this build has oneDNN.
  static bool Available();

  OneDnnMatMul(kernels::ComputeType compute, size_t m, size_t n, size_t k);
  ~OneDnnMatMul();

  // Runs it once on `threads` threads of OpenMP. They go on spinning for a while: pause before
  // anything else is measured.
  void Run(size_t threads);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cairn::bench

#endif  // CAIRN_TESTS_BENCH_ONEDNN_MATMUL_H_
