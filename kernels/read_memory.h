// Reading memory and nothing else: the limit of whatever streams its operands.
#ifndef CAIRN_KERNELS_READ_MEMORY_H_
#define CAIRN_KERNELS_READ_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace cairn::kernels {

// The exclusive or of all whole 64-bit words of data[0, n): every byte has to be read.
uint64_t ReadMemory(const void* data, size_t n);

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_READ_MEMORY_H_
