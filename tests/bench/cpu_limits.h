// What this CPU can do at most, measured: multiply-adds in registers, and reading memory.
#ifndef CAIRN_TESTS_BENCH_CPU_LIMITS_H_
#define CAIRN_TESTS_BENCH_CPU_LIMITS_H_

#include <cstddef>

#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/thread_team.h"

namespace cairn::bench {

// Operations (two for each multiply-add) of one call of BurnOperations on one thread.
double BurnedOperations(kernels::ComputeType compute, kernels::Isa isa);

// Does nothing but the widest multiply-adds of `isa` for `compute` (kF32: fused multiply-add;
// kBF16: vdpbf16ps; kI8: vpdpbusd, without it vpmaddubsw and an addition), operands in registers,
// for about a millisecond. Without an instruction set of its own for `compute`, nothing.
void BurnOperations(kernels::ComputeType compute, kernels::Isa isa);

// Reads the memory once, sharing it out, and does as little else as possible.
void ReadAll(const std::byte* data, size_t bytes, kernels::ThreadTeam* team);

}  // namespace cairn::bench

#endif  // CAIRN_TESTS_BENCH_CPU_LIMITS_H_
