// What cairn bench kv prints.
#ifndef CAIRN_SERVICES_KV_BENCH_OUTPUT_H_
#define CAIRN_SERVICES_KV_BENCH_OUTPUT_H_

#include "engine/kv/kv_benchmark.h"
#include "engine/kv/kv_workload.h"
#include "engine/kv/reader_benchmark.h"
#include "engine/kv/svg_plot.h"
#include "services/json_output.h"

namespace cairn::services {

void PrintTimes(const engine::KvBenchmarkResult& result);
Json ToJson(const engine::KvBenchmarkResult& result);
// Time to the first token against the share computed again.
engine::Plot PlotOf(const engine::KvBenchmarkResult& result);

void PrintWorkload(const engine::KvWorkloadResult& result);
Json ToJson(const engine::KvWorkloadResult& result);
// Time to the first token by prompt.
engine::Plot PlotOf(const engine::KvWorkloadResult& result);

void PrintAnswers(const engine::ReaderBenchmarkResult& result);
Json ToJson(const engine::ReaderBenchmarkResult& result);
// Exact match against charged cost, for each setting and source.
engine::Plot PlotOf(const engine::ReaderBenchmarkResult& result);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_KV_BENCH_OUTPUT_H_
