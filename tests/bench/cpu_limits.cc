#include "tests/bench/cpu_limits.h"

#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cairn::bench {
namespace {

using kernels::ComputeType;
using kernels::Isa;

constexpr long kRounds = 50000;
constexpr int kChains = 12;  // Instructions in a round.

#if defined(__x86_64__)

// In assembly, because a compiler may keep such sums in memory, and then measures its stores. Each
// round adds to registers 4 to 15 in turn: more than the latency times the units that there are.
#define CAIRN_ALL_REGISTERS                                                                      \
  "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

void BurnFma256() {
  long rounds = kRounds;
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vpxor %%xmm\\r, %%xmm\\r, %%xmm\\r\n\t"
      ".endr\n"
      "1:\n\t"
      ".irp r,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vfmadd231ps %%ymm0, %%ymm1, %%ymm\\r\n\t"
      ".endr\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(rounds)
      :
      : CAIRN_ALL_REGISTERS);
}

void BurnFma512() {
  long rounds = kRounds;
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vpxor %%xmm\\r, %%xmm\\r, %%xmm\\r\n\t"
      ".endr\n"
      "1:\n\t"
      ".irp r,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vfmadd231ps %%zmm0, %%zmm1, %%zmm\\r\n\t"
      ".endr\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(rounds)
      :
      : CAIRN_ALL_REGISTERS);
}

void BurnBf16() {
  long rounds = kRounds;
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vpxor %%xmm\\r, %%xmm\\r, %%xmm\\r\n\t"
      ".endr\n"
      "1:\n\t"
      ".irp r,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vdpbf16ps %%zmm0, %%zmm1, %%zmm\\r\n\t"
      ".endr\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(rounds)
      :
      : CAIRN_ALL_REGISTERS);
}

void BurnVnni() {
  long rounds = kRounds;
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vpxor %%xmm\\r, %%xmm\\r, %%xmm\\r\n\t"
      ".endr\n"
      "1:\n\t"
      ".irp r,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vpdpbusd %%zmm0, %%zmm1, %%zmm\\r\n\t"
      ".endr\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(rounds)
      :
      : CAIRN_ALL_REGISTERS);
}

void BurnMaddubs256() {
  long rounds = kRounds;
  asm volatile(
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vpxor %%xmm\\r, %%xmm\\r, %%xmm\\r\n\t"
      ".endr\n"
      "1:\n\t"
      ".irp r,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vpmaddubsw %%ymm0, %%ymm1, %%ymm2\n\t"
      "vpaddw %%ymm2, %%ymm\\r, %%ymm\\r\n\t"
      ".endr\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(rounds)
      :
      : CAIRN_ALL_REGISTERS);
}

#undef CAIRN_ALL_REGISTERS

__attribute__((target("avx2"))) void Read(const std::byte* data, size_t bytes) {
  __m256i sum[4];
  for (__m256i& s : sum) s = _mm256_setzero_si256();
  for (size_t at = 0; at + 128 <= bytes; at += 128) {
    // The hardware's prefetchers stop at each 4 KiB page.
    _mm_prefetch(reinterpret_cast<const char*>(data) + at + 4096, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(data) + at + 4160, _MM_HINT_T0);
    for (int i = 0; i < 4; ++i) {
      sum[i] = _mm256_xor_si256(
          sum[i], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + at) + i));
    }
  }
  asm volatile("" ::"x"(sum[0]), "x"(sum[1]), "x"(sum[2]), "x"(sum[3]));
}

#else

void Read(const std::byte* data, size_t bytes) {
  uint64_t sum = 0;
  for (size_t at = 0; at + 8 <= bytes; at += 8) {
    uint64_t word;
    std::memcpy(&word, data + at, 8);
    sum ^= word;
  }
  asm volatile("" ::"r"(sum));
}

#endif

}  // namespace

double BurnedOperations(ComputeType compute, Isa isa) {
  if (isa == Isa::kScalar || (isa == Isa::kAvx2 && compute == ComputeType::kBF16)) return 0;
  double lanes = isa == Isa::kAvx512 ? 16 : 8;
  if (compute == ComputeType::kBF16) lanes *= 2;
  if (compute == ComputeType::kI8) lanes *= 4;
  return 2 * lanes * kChains * static_cast<double>(kRounds);
}

void BurnOperations([[maybe_unused]] ComputeType compute, [[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx2) {
    if (compute == ComputeType::kF32) BurnFma256();
    if (compute == ComputeType::kI8) BurnMaddubs256();
  } else if (isa == Isa::kAvx512) {
    if (compute == ComputeType::kF32) BurnFma512();
    if (compute == ComputeType::kBF16) BurnBf16();
    if (compute == ComputeType::kI8) BurnVnni();
  }
#endif
}

void ReadAll(const std::byte* data, size_t bytes, kernels::ThreadTeam* team) {
  constexpr size_t kPiece = size_t{1} << 20;
  const size_t pieces = (bytes + kPiece - 1) / kPiece;
  team->Run([&](size_t member) {
    for (size_t piece; (piece = team->Take(member, pieces)) < pieces;) {
      const size_t begin = piece * kPiece;
      Read(data + begin, bytes - begin < kPiece ? bytes - begin : kPiece);
    }
  });
}

}  // namespace cairn::bench
