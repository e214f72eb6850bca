#!/usr/bin/env python3
"""Writes block_vectors.h: random blocks of each format, and the values that the Python package gguf
(its own implementation, in numpy) says they stand for. Needs gguf and numpy; run it in this folder
when a format is added."""
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize

# Format, bytes of a block, where half-precision numbers lie in it.
FORMATS = [("Q8_0", 34, [0]), ("Q4_0", 18, [0]), ("Q4_1", 20, [0, 2]), ("Q5_0", 22, [0]),
           ("Q5_1", 24, [0, 2]), ("Q4_K", 144, [0, 2]), ("Q5_K", 176, [0, 2]), ("Q6_K", 210, [208])]

def words(values, per_line):
    lines = [", ".join(values[i:i + per_line]) for i in range(0, len(values), per_line)]
    return ",\n     ".join(lines)

random = np.random.default_rng(11)
with open("block_vectors.h", "w") as out:
    out.write("// Made by make_block_vectors.py: blocks, and the bits of the floats they stand for.\n"
              "#ifndef CAIRN_TESTS_KERNELS_BLOCK_VECTORS_H_\n#define CAIRN_TESTS_KERNELS_BLOCK_VECTORS_H_\n\n"
              "#include <cstdint>\n#include <vector>\n\n#include \"kernels/block_format.h\"\n\n"
              "namespace cairn::kernels::testing {\n\nstruct BlockVector {\n  BlockFormat format;\n"
              "  std::vector<uint8_t> block;\n  std::vector<uint32_t> values;\n};\n\n"
              "// clang-format off\ninline const std::vector<BlockVector>& BlockVectors() {\n"
              "  static const std::vector<BlockVector> vectors = {\n")
    for name, size, halves in FORMATS:
        block = random.integers(0, 256, size, dtype=np.uint8)
        for at in halves:
            scale = np.float16(random.normal() * 0.01)
            block[at:at + 2] = np.frombuffer(scale.tobytes(), dtype=np.uint8)
        values = dequantize(block.reshape(1, -1), Type[name]).astype(np.float32).view(np.uint32).flatten()
        out.write(f"    {{BlockFormat::k{name},\n    {{{words([str(b) for b in block], 24)}}},\n"
                  f"    {{{words([f'0x{v:08x}' for v in values], 8)}}}}},\n")
    out.write("  };\n  return vectors;\n}\n// clang-format on\n\n}  // namespace cairn::kernels::testing\n\n"
              "#endif  // CAIRN_TESTS_KERNELS_BLOCK_VECTORS_H_\n")
