"""Writes the reader model as a GGUF file, and reads its weights back.

    python3 reader_gguf.py reader.pt reader.gguf [--type f16|f32]

The tensors have GGUF's names already, and RoPE pairs neighbours as GGUF's llama architecture does,
so nothing is renamed or permuted. The tokenizer is a unigram one ("t5"): see reader_vocabulary.py.
"""

import argparse
import struct
from typing import Dict, List, Tuple

import numpy as np
import torch

import reader_vocabulary as words
from reader_model import Reader, Shape

ALIGNMENT = 32
U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9
INT32 = 5
TYPES = {"f32": (0, np.float32, 0), "f16": (1, np.float16, 1)}  # ggml's type, numpy's, file type.
NORMAL, UNKNOWN, CONTROL = 1, 2, 3


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


_PACK = {U32: lambda value: struct.pack("<I", value), F32: lambda value: struct.pack("<f", value),
         BOOL: lambda value: struct.pack("<?", value), STRING: _string,
         INT32: lambda value: struct.pack("<i", value)}


def _pair(key: str, kind: int, value) -> bytes:
    return _string(key) + struct.pack("<I", kind) + _PACK[kind](value)


def _array(key: str, kind: int, values: List) -> bytes:
    return (_string(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) +
            b"".join(_PACK[kind](value) for value in values))


def _metadata(shape: Shape, file_type: int) -> List[bytes]:
    special = len(words.SPECIAL)
    pieces = words.SPECIAL + ["\u2581" + word for word in words.WORDS[special:]]
    types = [NORMAL] * len(pieces)
    types[words.UNKNOWN], types[words.BOS], types[words.EOS] = UNKNOWN, CONTROL, CONTROL
    return [
        _pair("general.architecture", STRING, "llama"),
        _pair("general.name", STRING, "cairn test reader"),
        _pair("general.license", STRING, "Apache-2.0"),
        _pair("general.file_type", U32, file_type),
        _pair("llama.vocab_size", U32, shape.vocabulary),
        _pair("llama.context_length", U32, shape.context),
        _pair("llama.embedding_length", U32, shape.width),
        _pair("llama.block_count", U32, shape.layers),
        _pair("llama.feed_forward_length", U32, shape.inner),
        _pair("llama.attention.head_count", U32, shape.heads),
        _pair("llama.attention.head_count_kv", U32, shape.kv_heads),
        _pair("llama.attention.key_length", U32, shape.head_dim),
        _pair("llama.attention.value_length", U32, shape.head_dim),
        _pair("llama.attention.layer_norm_rms_epsilon", F32, shape.epsilon),
        _pair("llama.rope.dimension_count", U32, shape.head_dim),
        _pair("llama.rope.freq_base", F32, shape.theta),
        _pair("tokenizer.ggml.model", STRING, "t5"),
        _pair("tokenizer.ggml.pre", STRING, "default"),
        _array("tokenizer.ggml.tokens", STRING, pieces),
        _array("tokenizer.ggml.scores", F32, [0.0] * special + [-1.0] * (len(pieces) - special)),
        _array("tokenizer.ggml.token_type", INT32, types),
        _pair("tokenizer.ggml.unknown_token_id", U32, words.UNKNOWN),
        _pair("tokenizer.ggml.bos_token_id", U32, words.BOS),
        _pair("tokenizer.ggml.eos_token_id", U32, words.EOS),
        _pair("tokenizer.ggml.add_bos_token", BOOL, True),
        _pair("tokenizer.ggml.add_eos_token", BOOL, False),
        _pair("tokenizer.ggml.add_space_prefix", BOOL, True),
        _pair("tokenizer.ggml.remove_extra_whitespaces", BOOL, True),
    ]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)


def write(weights: Dict[str, torch.Tensor], shape: Shape, kind: str, path: str) -> None:
    ggml_type, dtype, file_type = TYPES[kind]
    pairs = _metadata(shape, file_type)
    infos, data = [], b""
    for name, weight in weights.items():
        # Norms stay in float32, as everybody's do.
        this_type, this_dtype = (ggml_type, dtype) if weight.dim() > 1 else TYPES["f32"][:2]
        dims = list(reversed(weight.shape))
        infos.append(_string(name) + struct.pack("<I", len(dims)) +
                     b"".join(struct.pack("<Q", size) for size in dims) +
                     struct.pack("<IQ", this_type, len(data)))
        data += _padded(weight.numpy().astype(this_dtype).tobytes())
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(infos), len(pairs))
    with open(path, "wb") as file:
        file.write(_padded(header + b"".join(pairs) + b"".join(infos)) + data)


class _File:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, form: str) -> Tuple:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def string(self) -> str:
        (size,) = self.take("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def skip_value(self, kind: int) -> None:
        if kind == STRING:
            self.string()
        elif kind == ARRAY:
            element, count = self.take("IQ")
            for _ in range(count):
                self.skip_value(element)
        else:
            self.at += {U32: 4, INT32: 4, F32: 4, BOOL: 1}[kind]


def read_weights(path: str) -> Dict[str, torch.Tensor]:
    """Of a file that `write` has written, as float32."""
    with open(path, "rb") as opened:
        file = _File(opened.read())
    _, _, tensors, pairs = file.take("4sIQQ")
    for _ in range(pairs):
        file.string()
        file.skip_value(file.take("I")[0])
    infos = []
    for _ in range(tensors):
        name = file.string()
        (rank,) = file.take("I")
        dims = file.take(f"{rank}Q")
        infos.append((name, dims[::-1], *file.take("IQ")))
    base = file.at + -file.at % ALIGNMENT
    weights = {}
    for name, dims, ggml_type, offset in infos:
        dtype = np.float16 if ggml_type == TYPES["f16"][0] else np.float32
        flat = np.frombuffer(file.data, dtype, int(np.prod(dims)), base + offset)
        weights[name] = torch.from_numpy(flat.reshape(dims).astype(np.float32))
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("out")
    parser.add_argument("--type", choices=sorted(TYPES), default="f16")
    options = parser.parse_args()
    shape = Shape(len(words.WORDS))
    model = Reader(shape)
    model.load_state_dict(torch.load(options.weights, map_location="cpu"))
    # GGUF's names: "blk.0.attn_q.weight", "token_embd.weight", "output.weight".
    write(model.state_dict(), shape, options.type, options.out)


if __name__ == "__main__":
    main()
