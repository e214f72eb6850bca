#!/usr/bin/env python3
"""Measures `cairn bench model` beside llama.cpp, on the same GGUF files in the same run.

llama.cpp runs through the C API, as llama-cpp-python's low-level bindings expose it: batches of at
most 2048 tokens (micro-batches of 512), float16 keys and values, logits of the last token alone,
with flash attention and without. Of those two the faster counts, figure by figure. Both sides run
as processes of their own and take turns, `--rounds` times, so that a slow moment of the machine
hits both; every figure is the median of what the rounds gave, or with --statistic best the
fastest, for machines that do other things beside. "share of CPU" is how much of its threads' time
llama.cpp got: well below 1, the figures say more about the other programs.

  prefill N       tokens/s of reading N tokens into an empty cache
  decode          tokens/s of single tokens behind a few
  decode @ N      tokens/s of single tokens behind N tokens

Usage:
  CMAKE_ARGS=-DGGML_NATIVE=ON pip install --no-binary llama-cpp-python llama-cpp-python
  python compare_llama_cpp.py --cairn build/release/cairn --threads 2 model-f16.gguf model-q4_0.gguf
Without --cairn, llama.cpp is measured alone. --llama-env NAME=VALUE (say, GOMP_SPINCOUNT=0) and
--cairn-args '--compute int8' reach one side only.
"""

import argparse
import ctypes
import json
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import time

SHORT_CONTEXT = 16  # Tokens that "decode" stands behind.
BATCH = 2048
MICRO_BATCH = 512


STATISTICS = {"median": statistics.median, "best": max}


def test_token(i, vocabulary):
    """Tokens all over the vocabulary, so that no embedding row stays in a near cache."""
    return (i * 7919 + 13) % vocabulary


class Llama:
    """One model and one context of llama.cpp."""

    def __init__(self, path, threads, context, flash):
        import llama_cpp  # Only in the worker: the package loads the library on import.

        self.api = llama_cpp
        # The bindings keep no reference to the callback; we do.
        self.silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.silent, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        started = time.perf_counter()
        params = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = (context + 255) // 256 * 256
        params.n_batch = BATCH
        params.n_ubatch = MICRO_BATCH
        params.n_threads = threads
        params.n_threads_batch = threads
        params.flash_attn_type = 1 if flash else 0
        params.type_k = llama_cpp.GGML_TYPE_F16
        params.type_v = llama_cpp.GGML_TYPE_F16
        params.offload_kqv = False
        params.no_perf = True
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit(f"llama.cpp makes no context for {path}")
        self.load_seconds = time.perf_counter() - started
        self.memory = llama_cpp.llama_get_memory(self.context)
        vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(vocabulary)
        self.length = 0
        self.seconds = self.cpu_seconds = 0.0  # Spent in run().

    def truncate(self, length):
        if not self.api.llama_memory_seq_rm(self.memory, 0, length, -1):
            raise SystemExit("llama.cpp cannot forget tokens")
        self.length = length

    def run(self, count, batch):
        """Appends `count` tokens in batches of `batch`; the seconds it took."""
        tokens = [test_token(self.length + i, self.vocabulary) for i in range(count)]
        started, started_cpu = time.perf_counter(), time.process_time()
        for begin in range(0, count, batch):
            part = tokens[begin:begin + batch]
            array = (self.api.llama_token * len(part))(*part)
            if self.api.llama_decode(self.context,
                                     self.api.llama_batch_get_one(array, len(part))) != 0:
                raise SystemExit("llama_decode failed")
        self.api.llama_synchronize(self.context)
        self.length += count
        seconds = time.perf_counter() - started
        self.seconds += seconds
        self.cpu_seconds += time.process_time() - started_cpu
        return seconds


def llama_worker(job):
    """What `cairn bench model --json` prints, of llama.cpp."""
    statistic = STATISTICS[job["statistic"]]
    longest = max([*job["prefill"], job["context"], SHORT_CONTEXT]) + job["decode"]
    llama = Llama(job["model"], job["threads"], longest, job["flash"])
    llama.run(SHORT_CONTEXT, BATCH)
    llama.run(4, 1)  # Both kinds of pass once, so that pages and threads are there.

    prefill = []
    for count in job["prefill"]:
        samples = []
        for _ in range(job["repeat"]):
            llama.truncate(0)
            samples.append(count / llama.run(count, BATCH))
        prefill.append({"tokens": count, "tokens_per_second": statistic(samples)})

    def decode_behind(context):
        llama.truncate(0)
        llama.run(context, BATCH)
        samples = []
        for _ in range(job["repeat"]):
            llama.truncate(context)
            samples.append(job["decode"] / llama.run(job["decode"], 1))
        return statistic(samples)

    result = {"prefill": prefill, "decode": {"tokens_per_second": decode_behind(SHORT_CONTEXT)},
              "load_seconds": llama.load_seconds}
    if job["context"] > 0:
        result["decode_behind"] = [{"context": job["context"],
                                    "tokens_per_second": decode_behind(job["context"])}]
    result["cpu_share"] = llama.cpu_seconds / (llama.seconds * job["threads"])
    result["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result


def run_json(command, env):
    done = subprocess.run(command, stdout=subprocess.PIPE, env={**os.environ, **env}, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)}: exit code {done.returncode}")
    return json.loads(done.stdout)


def run_llama(args, model, flash):
    job = {"model": model, "threads": args.threads, "prefill": args.prefill,
           "decode": args.decode, "context": args.context, "repeat": args.repeat, "flash": flash,
           "statistic": args.statistic}
    env = dict(pair.split("=", 1) for pair in args.llama_env)
    return run_json([sys.executable, os.path.abspath(__file__), "--worker", json.dumps(job)], env)


def run_cairn(args, model):
    command = [args.cairn, "bench", "model", model, "--threads", str(args.threads),
               "--prefill", ",".join(map(str, args.prefill)), "--decode", str(args.decode),
               "--repeat", str(args.repeat), "--kv", args.kv, "--json"]
    if args.context > 0:
        command += ["--context", str(args.context)]
    return run_json(command + shlex.split(args.cairn_args), {})


def figures_of(result):
    """{figure: tokens/s} of either side's result."""
    figures = {f"prefill {part['tokens']}": part["tokens_per_second"] for part in result["prefill"]}
    figures["decode"] = result["decode"]["tokens_per_second"]
    for behind in result.get("decode_behind", []):
        figures[f"decode @ {behind['context']}"] = behind["tokens_per_second"]
    return figures


def over_rounds(results, statistic):
    """{figure: tokens/s} of all rounds together."""
    rounds = [figures_of(result) for result in results]
    return {name: statistic(figures[name] for figures in rounds) for name in rounds[0]}


def print_table(model, sides, statistic):
    names = list(sides)
    figures = {name: over_rounds(results, statistic) for name, results in sides.items()}
    llama = [name for name in names if name.startswith("llama.cpp")]
    print(f"\n{os.path.basename(model)}")
    print(f"{'tokens/s':<16}" + "".join(f"{name:>20}" for name in names)
          + ("" if "cairn" not in sides else f"{'cairn / best':>14}"))
    for row in figures[llama[0]]:
        line = f"{row:<16}" + "".join(f"{figures[name].get(row, float('nan')):>20.2f}"
                                      for name in names)
        if "cairn" in sides:
            best = max(figures[name][row] for name in llama)
            line += f"{figures['cairn'].get(row, float('nan')) / best:>14.2f}"
        print(line)
    rows = [("load, s", "load_seconds", 1), ("peak RSS, MiB", "peak_rss_bytes", 2**20),
            ("share of CPU", "cpu_share", 1)]
    for row, key, scale in rows:
        print(f"{row:<16}" + "".join(
            f"{min(r.get(key, float('nan')) for r in sides[name]) / scale:>20.2f}"
            for name in names))
    sys.stdout.flush()
    return figures


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next(line.split(":", 1)[1].strip() for line in info if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def counts(text):
    return [int(part) for part in text.split(",")]


def main():
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(llama_worker(json.loads(sys.argv[2]))))
        return
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="GGUF")
    parser.add_argument("--cairn", help="the cairn tool; without it llama.cpp is measured alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prefill", type=counts, default=[512, 3072], metavar="N,N")
    parser.add_argument("--decode", type=int, default=64, metavar="N")
    parser.add_argument("--context", type=int, default=16384, metavar="N",
                        help="tokens before the second decoding figure; 0: leave it to cairn's "
                             "default and skip it on llama.cpp's side")
    parser.add_argument("--repeat", type=int, default=3, help="samples of a figure in a round")
    parser.add_argument("--rounds", type=int, default=1, help="turns that each side gets")
    parser.add_argument("--statistic", choices=list(STATISTICS), default="median")
    parser.add_argument("--kv", default="f16", help="cairn's type of keys and values")
    parser.add_argument("--flash", choices=["both", "on", "off"], default="both")
    parser.add_argument("--cairn-args", default="", metavar="ARGS")
    parser.add_argument("--llama-env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--save", metavar="JSON", help="writes every round's results there")
    args = parser.parse_args()

    flash = {"both": [False, True], "on": [True], "off": [False]}[args.flash]
    statistic = STATISTICS[args.statistic]
    print(f"{cpu_name()}, {args.threads} threads, {args.statistic} of {args.rounds} rounds of {args.repeat}")
    saved = {}
    for model in args.models:
        sides = {f"llama.cpp fa={'on' if on else 'off'}": [] for on in flash}
        if args.cairn:
            sides["cairn"] = []
        for _ in range(args.rounds):
            for on in flash:
                sides[f"llama.cpp fa={'on' if on else 'off'}"].append(run_llama(args, model, on))
            if args.cairn:
                sides["cairn"].append(run_cairn(args, model))
        saved[model] = {"rounds": sides, "figures": print_table(model, sides, statistic)}
        if args.save:
            with open(args.save, "w", encoding="utf-8") as out:
                json.dump(saved, out, indent=1)


if __name__ == "__main__":
    main()
