"""Trains the reader model from scratch.

    python3 train_reader.py --out DIR --device cuda --seconds 480
    python3 train_reader.py --out DIR --device cpu --seconds 7200 --workers 1

Needs numpy and PyTorch (1.13 or later); compiles the layers where PyTorch can. Writes
DIR/reader.pt (the weights, in float32) once a minute and DIR/training.log.

The vocabulary grows by stages, then come pronouns, then longer documents and retrieved chunks: from
scratch on the last stage's texts, recall does not form in reasonable time. A stage ends when the
reader answers PASS of its questions. The learning rate follows the clock, so that it has come
down when the time is up; two runs are therefore never quite the same.
"""

import argparse
import contextlib
import math
import multiprocessing
import os
import queue
import time
from typing import List

import numpy as np
import torch
from torch.nn import functional as F

import reader_data
import reader_vocabulary
from reader_data import KIND_NAMES, PADDING, UNKNOWABLE, Recipe
from reader_model import Reader, Shape

PASS = 0.9
PASS_STEPS = 50  # Over which the answers are counted.
# Rows of a step, the texts, and the share of the time by which the stage ends in any case.
STAGES = (
    (256, Recipe(8, (1, 1), 0.0, 0.0, 6, 128, 0.0, 0.7, 0.3), 0.20),
    (256, Recipe(8, (1, 2), 0.0, 0.0, 8, 160), 0.30),
    (256, Recipe(16, (2, 2), 0.0, 0.0, 8, 192), 0.35),
    (256, Recipe(32, (2, 3), 0.0, 0.0, 8, 192), 0.40),
    (256, Recipe(64, (2, 3), 0.0, 0.0, 8, 192), 0.45),
    (256, Recipe(64, (2, 3), 0.4, 0.0, 8, 192), 0.50),
    (256, Recipe(64, (2, 3), 0.8, 0.0, 8, 192), 0.55),
    (192, Recipe(64, (4, 6), 0.8, 0.25, 10, 320), 0.70),
    (160, Recipe(64, (8, 12), 0.8, 0.3, 12, 512), 1.0),
)
EMBEDDING_RATE = 0.1  # Of the rate of all else.
TEXT_WEIGHT = 0.1  # Of the loss on the tokens that are no answers.


def produce(worker: int, seed: int, stage, batches, scale: float) -> None:
    """Makes rows of the current stage until the program ends."""
    rng = np.random.default_rng([seed, worker])
    while True:
        number = stage.value
        count, recipe, _ = STAGES[number]
        rows = reader_data.make_rows(rng, max(16, int(count * scale)), recipe)
        batches.put((number, rows.tokens, rows.marks))


class Log:
    def __init__(self, path: str):
        self._file = open(path, "w")
        self.start = time.time()

    def __call__(self, text: str) -> None:
        line = f"{time.time() - self.start:7.1f}s {text}"
        print(line, flush=True)
        print(line, file=self._file, flush=True)


def make_optimizer(model: Reader, options: argparse.Namespace) -> torch.optim.Optimizer:
    """The embeddings hardly move: Adam would soon make those of rare words alike."""
    named = dict(model.named_parameters())
    embedding = [named.pop("token_embd.weight")]
    matrices = [weight for weight in named.values() if weight.dim() >= 2]
    others = [weight for weight in named.values() if weight.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.02, "factor": 1.0},
              {"params": others, "weight_decay": 0.0, "factor": 1.0},
              {"params": embedding, "weight_decay": 0.0, "factor": EMBEDDING_RATE}]
    settings = {"lr": options.rate, "betas": (0.9, 0.98), "eps": 1e-8}
    if options.device == "cuda":
        with contextlib.suppress(TypeError, RuntimeError):
            return torch.optim.AdamW(groups, fused=True, **settings)
    return torch.optim.AdamW(groups, **settings)


def losses(model: Reader, tokens: torch.Tensor, marks: torch.Tensor):
    """The loss, and by kind of question how many were asked and answered."""
    logits = model(tokens)[:, :-1].float()
    targets, kinds = tokens[:, 1:], marks[:, 1:].long()
    each = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    kinds = kinds.flatten()
    asked = (kinds > 0) & (kinds < PADDING)
    answer = asked & (kinds != UNKNOWABLE)  # Neither guessing nor refusing is taught.
    text = kinds == 0
    loss = ((each * answer).sum() / answer.sum().clamp(min=1) +
            TEXT_WEIGHT * (each * text).sum() / text.sum().clamp(min=1))
    with torch.no_grad():
        right = (logits.flatten(0, 1).argmax(-1) == targets.flatten()) & asked
        size = max(KIND_NAMES) + 1
        index = torch.where(asked, kinds, torch.zeros_like(kinds))
        counts = torch.zeros(2, size, device=tokens.device)
        counts[0].index_add_(0, index, asked.float())
        counts[1].index_add_(0, index, right.float())
    return loss, counts


def learning_rate(share: float, step: int, rate: float) -> float:
    """Full until 55 % of the time, then half a cosine down to a fiftieth."""
    warm = min(1.0, (step + 1) / 200)
    down = min(1.0, max(0.0, (share - 0.55) / 0.45))
    return rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * down)))


def train(options: argparse.Namespace) -> None:
    os.makedirs(options.out, exist_ok=True)
    log = Log(os.path.join(options.out, "training.log"))
    device = options.device
    torch.manual_seed(options.seed)
    model = Reader(Shape(len(reader_vocabulary.WORDS), layers=options.layers),
                   prepared=options.prepared).to(device)
    optimizer = make_optimizer(model, options)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    log(f"{time.strftime('%Y-%m-%d', time.gmtime())}, {name}, PyTorch {torch.__version__}, "
        f"{sum(weight.numel() for weight in model.parameters())} weights, {options.layers} layers, "
        f"rate {options.rate}, seed {options.seed}, at most {options.seconds} s")
    if options.compile and hasattr(model.blk[0], "compile"):
        for block in model.blk:
            block.compile(dynamic=False)

    context = multiprocessing.get_context("fork" if device == "cpu" else "spawn")
    stage = context.Value("i", options.stage)
    batches = context.Queue(maxsize=max(4, options.workers))
    workers = [context.Process(target=produce, args=(i, options.seed, stage, batches,
                                                     options.scale), daemon=True)
               for i in range(options.workers)]
    for worker in workers:
        worker.start()

    autocast = (torch.autocast("cuda", dtype=torch.bfloat16) if device == "cuda"
                else contextlib.nullcontext())
    window: List[torch.Tensor] = []
    stage_step = step = tokens_seen = 0
    saved = told = time.time()
    told_step = 0
    while time.time() - log.start < options.seconds:
        number, rows, marks = batches.get()
        if number != stage.value:
            continue
        rows = torch.from_numpy(rows).to(device, non_blocking=True).long()
        marks = torch.from_numpy(marks).to(device, non_blocking=True)
        share = (time.time() - log.start) / options.seconds
        for group in optimizer.param_groups:
            group["lr"] = group["factor"] * learning_rate(share, step, options.rate)
        with autocast:
            loss, counts = losses(model, rows, marks)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        window = window[-(PASS_STEPS - 1):] + [counts]
        step += 1
        stage_step += 1
        tokens_seen += rows.numel()
        if stage_step % 25 != 0:
            continue

        asked, right = torch.stack(window).sum(0).tolist()
        accuracy = sum(right[1:6]) / max(1.0, sum(asked[1:6]))
        now = time.time()
        if stage_step % 100 == 0 or now - told > 10:
            kinds = " ".join(f"{KIND_NAMES[kind]} {right[kind] / asked[kind]:.3f}"
                             for kind in KIND_NAMES if asked[kind] > 0)
            if now - told > 5:
                log(f"stage {stage.value} step {step} loss {loss.item():.3f} answered "
                    f"{accuracy:.3f} ({kinds}) {(step - told_step) / (now - told):.1f} steps/s "
                    f"{tokens_seen / 1e6:.0f} M tokens")
                told, told_step = now, step
        late = share > STAGES[stage.value][2]
        if stage.value + 1 < len(STAGES) and stage_step >= PASS_STEPS and (
                accuracy >= PASS or late):
            log(f"stage {stage.value} ends at step {step}, answered {accuracy:.3f}"
                f"{' (out of time)' if late else ''}")
            stage.value += 1
            stage_step, window = 0, []
        if now - saved > 45:
            save(model, options.out)
            saved = now
    save(model, options.out)
    log(f"done: stage {stage.value} step {step}, {tokens_seen / 1e6:.0f} M tokens")
    for worker in workers:
        worker.terminate()


def save(model: Reader, out: str) -> None:
    path = os.path.join(out, "reader.pt")
    torch.save({name: weight.detach().cpu() for name, weight in model.state_dict().items()},
               path + ".part")
    os.replace(path + ".part", path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--scale", type=float, default=1.0, help="of the rows of a step")
    parser.add_argument("--stage", type=int, default=0, help="to begin with")
    parser.add_argument("--unprepared", dest="prepared", action="store_false",
                        help="begin from plain random weights")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
