"""The reader: a small Llama whose attention can take keys and values from elsewhere."""

import math
from dataclasses import dataclass
from typing import Callable, List, Optional, Tuple

import torch
from torch import nn
from torch.nn import functional as F

EMBEDDING = 0.5  # Standard deviation of the embeddings before training.
COMMON = 0.3  # Of that, the part that all embeddings have in common.
# By layer, how far back the first heads look before training; a multiple of heads / kv_heads.
LOOK_BACK = ((1, 2, 3, 5), (1, 3), (2, 3), (3, 5))


@dataclass(frozen=True)
class Shape:
    vocabulary: int
    layers: int = 8
    width: int = 192
    heads: int = 6
    kv_heads: int = 3
    head_dim: int = 32
    inner: int = 384
    context: int = 1024
    theta: float = 10000.0
    epsilon: float = 1e-5


def rotations(positions: torch.Tensor, shape: Shape) -> Tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines [position, 1, head_dim / 2]."""
    powers = torch.arange(0, shape.head_dim, 2, device=positions.device).float() / shape.head_dim
    angles = positions.float()[:, None] * shape.theta ** -powers
    return angles.cos()[:, None], angles.sin()[:, None]


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """RoPE over neighbouring pairs, as GGUF's llama architecture pairs them; x [..., position,
    head, head_dim]."""
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class Norm(nn.Module):
    def __init__(self, width: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor,
           mask: Optional[torch.Tensor]) -> torch.Tensor:
    """[batch, head, position, head_dim]; mask None: causal."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v


# Gets the layer, its keys before RoPE and its values [position, kv head, head_dim], and gives those
# that attention is to see instead.
Override = Callable[[int, torch.Tensor, torch.Tensor], Tuple[torch.Tensor, torch.Tensor]]


class Block(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.attn_norm = Norm(shape.width, shape.epsilon)
        self.attn_q = nn.Linear(shape.width, shape.heads * shape.head_dim, bias=False)
        self.attn_k = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.attn_v = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.attn_output = nn.Linear(shape.heads * shape.head_dim, shape.width, bias=False)
        self.ffn_norm = Norm(shape.width, shape.epsilon)
        self.ffn_gate = nn.Linear(shape.width, shape.inner, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.inner, bias=False)
        self.ffn_down = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x, cos, sin, mask=None, override=None):
        shape = self.shape
        rows, length, _ = x.shape
        h = self.attn_norm(x)
        q = self.attn_q(h).view(rows, length, shape.heads, shape.head_dim)
        k = self.attn_k(h).view(rows, length, shape.kv_heads, shape.head_dim)
        v = self.attn_v(h).view(rows, length, shape.kv_heads, shape.head_dim)
        if override is not None:
            k, v = override(k, v)
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        repeats = shape.heads // shape.kv_heads
        k, v = k.repeat_interleave(repeats, dim=2), v.repeat_interleave(repeats, dim=2)
        mixed = attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), mask)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(rows, length, -1))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Reader(nn.Module):
    def __init__(self, shape: Shape, prepared: bool = False):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = Norm(shape.width, shape.epsilon)
        self.output = nn.Linear(shape.width, shape.vocabulary, bias=False)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=1 / math.sqrt(shape.width))
        nn.init.normal_(self.token_embd.weight, std=EMBEDDING)
        if prepared:
            self._prepare()

    @torch.no_grad()
    def _prepare(self) -> None:
        """Gives attention a useful start: heads that look back, and heads that look for the same.

        Recall takes two steps: a head that carries a name to the value behind it, and a head that
        looks for the name there. Neither learns anything without the other, and from plain random
        weights both do not form for thousands of steps. So some heads begin as ones that look a
        fixed number of tokens back (all embeddings get a part in common, which queries and keys
        turn into the same vector; RoPE makes their product largest at the distance that the query
        is rotated by), and all others begin with the same weights for queries and keys, so that
        they look for what is like the token they are at. Training is free to change all of it.
        """
        shape = self.shape
        common = torch.zeros(shape.width)
        common[: shape.width // 8] = 1
        common /= common.norm()
        self.token_embd.weight += COMMON * EMBEDDING * math.sqrt(shape.width) * common
        # Of the common part, once normalised.
        size = COMMON / math.sqrt(1 + COMMON ** 2) * math.sqrt(shape.width)
        probe = torch.zeros(1, 1, shape.head_dim)
        probe[..., 0:10:2] = 5.0  # The slower pairs do not tell neighbours apart.
        per_key = shape.heads // shape.kv_heads
        rows_of = lambda head: slice(head * shape.head_dim, (head + 1) * shape.head_dim)
        for layer, block in enumerate(self.blk):
            distances = LOOK_BACK[layer] if layer < len(LOOK_BACK) else ()
            for head in range(shape.heads):
                key = head // per_key
                q = block.attn_q.weight[rows_of(head)]
                k = block.attn_k.weight[rows_of(key)]
                first = head % per_key == 0
                if head < len(distances):
                    # The key stands `distance` before the query.
                    cos, sin = rotations(torch.tensor([distances[head]]), shape)
                    query = rotate(probe, cos, -sin)[0, 0]
                    q.mul_(0.1).add_(query[:, None] * common / size)
                    if first:
                        k.mul_(0.1).add_(probe[0, 0][:, None] * common / size)
                    # All of them carry what they see in the same way, so that what stood three
                    # tokens back here is like what stood two tokens back there.
                    block.attn_v.weight[rows_of(key)] = block.attn_v.weight[rows_of(0)]
                    block.attn_output.weight[:, rows_of(head)] = (
                        self.blk[0].attn_output.weight[:, rows_of(0)])
                else:
                    q -= (q @ common)[:, None] * common
                    if first:
                        k.copy_(q)
                    else:
                        q.copy_(k)

    def hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens [row, position] -> the normalised last layer, causal attention."""
        x = self.token_embd(tokens)
        cos, sin = rotations(torch.arange(tokens.shape[1], device=tokens.device), self.shape)
        for block in self.blk:
            x = block(x, cos, sin)
        return self.output_norm(x)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.output(self.hidden(tokens))

    @torch.no_grad()
    def read(self, tokens: torch.Tensor, override: Optional[Override] = None,
             mask: Optional[torch.Tensor] = None
             ) -> Tuple[torch.Tensor, List[Tuple[torch.Tensor, torch.Tensor]]]:
        """One sequence [position], for evaluation: the logits behind it, and the keys before RoPE
        and the values of every layer."""
        x = self.token_embd(tokens)[None]
        cos, sin = rotations(torch.arange(tokens.shape[0], device=tokens.device), self.shape)
        seen = []
        for layer, block in enumerate(self.blk):

            def take(k, v, layer=layer):
                k, v = k[0], v[0]
                if override is not None:
                    k, v = override(layer, k, v)
                seen.append((k, v))
                return k[None], v[None]

            x = block(x, cos, sin, mask, take)
        return self.output(self.output_norm(x[0, -1])), seen
