#include "services/kv_bench_output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "services/passage_output.h"
#include "services/progress_bar.h"

namespace cairn::services {
namespace {

std::string SourceName(const engine::ReaderArm& arm) {
  return arm.source.has_value() ? std::string(engine::KvSourceName(*arm.source)) : "";
}

// The settings in their order.
std::vector<std::string> SettingsOf(const engine::ReaderBenchmarkResult& result) {
  std::vector<std::string> settings;
  for (const engine::ReaderScore& score : result.arms.front().scores) {
    if (score.kind.empty()) settings.push_back(score.setting);
  }
  return settings;
}

std::vector<std::string> KindsOf(const engine::ReaderBenchmarkResult& result,
                                 const std::string& setting) {
  std::vector<std::string> kinds;
  for (const engine::ReaderScore& score : result.arms.front().scores) {
    if (score.setting == setting && !score.kind.empty()) kinds.push_back(score.kind);
  }
  return kinds;
}

void PrintSetting(const engine::ReaderBenchmarkResult& result, const std::string& setting) {
  const std::vector<std::string> kinds = KindsOf(result, setting);
  std::printf("\n%s\n%-36s %7s %6s %17s %8s %6s %8s", ForTerminal(setting, STDOUT_FILENO).c_str(),
              "answered from", "charged", "exact", "exact - full 95%", "KL", "top-1", "NLL gap");
  for (const std::string& kind : kinds) {
    std::printf(" %10s", ForTerminal(kind, STDOUT_FILENO).c_str());
  }
  std::printf("\n");
  for (const engine::ReaderArmResult& arm : result.arms) {
    const std::string name = arm.arm.Name();
    for (const engine::ReaderScore& score : arm.scores) {
      if (score.setting != setting) continue;
      if (score.kind.empty()) {
        std::printf("%-36s %7.3f %6.3f [%+.3f, %+.3f] %8.4f %6.3f %+8.3f", name.c_str(),
                    score.charged, score.exact_match, score.difference.low, score.difference.high,
                    score.divergence, score.agreement, score.loss_gap);
      } else {
        std::printf(" %10.3f", score.exact_match);
      }
    }
    std::printf("\n");
  }
}

}  // namespace

void PrintTimes(const engine::KvBenchmarkResult& result) {
  std::printf(
      "%zu threads, keys and values in %s, a prompt of %zu tokens, chunks' keys and values %s\n"
      "(computed in %.1f s with their documents)\n\n",
      result.threads, std::string(kernels::KvTypeName(result.kv_type)).c_str(),
      result.prompt_tokens, HumanBytes(static_cast<double>(result.chunk_bytes)).c_str(),
      result.read_seconds);
  std::printf("%-24s %-9s %9s %8s %7s %6s %6s %6s %7s %7s %7s %9s\n", "to the first token", "from",
              "seconds", "speedup", "reused", "again", "fresh", "charge", "load", "select",
              "compute", "bytes");
  for (const engine::KvArmResult& arm : result.arms) {
    const engine::ReuseUsage& u = arm.usage;
    std::printf("%-24s %-9s %9.3f %7.2fx %7zu %6zu %6zu %6.3f %7.3f %7.3f %7.3f %9s\n",
                arm.name.c_str(), arm.tier.c_str(), arm.seconds, arm.speedup, u.reused_tokens,
                u.recomputed_tokens, u.fresh_tokens, u.charged, u.load_seconds, u.select_seconds,
                u.compute_seconds, HumanBytes(static_cast<double>(u.loaded_bytes)).c_str());
  }
  std::printf("\nlargest difference of logits, full to prefill: %.2g\npeak memory %s\n",
              result.largest_difference,
              HumanBytes(static_cast<double>(result.peak_memory)).c_str());
}

Json ToJson(const engine::KvBenchmarkResult& result) {
  Json out = {{"ttft_full_seconds", result.arms.front().seconds}};
  const auto add = [&](const char* key, const char* arm, const std::string& tier) {
    const engine::KvArmResult* found = result.Find(arm, tier);
    if (found != nullptr) out[key] = found->speedup;
  };
  add("ttft_speedup_r15", "cacheblend 15%", "memory");
  add("ttft_speedup_reposition", "reposition", "memory");
  add("ttft_speedup_r15_disk_cold", "cacheblend 15%", "disk, cold");
  add("ttft_speedup_reposition_disk_cold", "reposition", "disk, cold");
  out["threads"] = result.threads;
  out["kv"] = std::string(kernels::KvTypeName(result.kv_type));
  out["layers"] = result.layers;
  out["prompt_tokens"] = result.prompt_tokens;
  out["read_seconds"] = result.read_seconds;
  out["chunk_bytes"] = result.chunk_bytes;
  out["largest_logit_difference"] = result.largest_difference;
  out["arms"] = Json::array();
  for (const engine::KvArmResult& arm : result.arms) {
    const engine::ReuseUsage& u = arm.usage;
    out["arms"].push_back({{"name", arm.name},
                           {"method", arm.method},
                           {"tier", arm.tier},
                           {"share", arm.share},
                           {"offset", arm.offset},
                           {"ttft_seconds", arm.seconds},
                           {"all_seconds", arm.all_seconds},
                           {"speedup", arm.speedup},
                           {"exact_tokens", u.exact_tokens},
                           {"reused_tokens", u.reused_tokens},
                           {"recomputed_tokens", u.recomputed_tokens},
                           {"fresh_tokens", u.fresh_tokens},
                           {"charged", u.charged},
                           {"load_seconds", u.load_seconds},
                           {"select_seconds", u.select_seconds},
                           {"compute_seconds", u.compute_seconds},
                           {"loaded_bytes", u.loaded_bytes}});
  }
  out["peak_memory_bytes"] = result.peak_memory;
  return out;
}

engine::Plot PlotOf(const engine::KvBenchmarkResult& result) {
  engine::Plot plot = {.title = "Time to the first token",
                       .x_label = "share computed again",
                       .y_label = "seconds",
                       .columns = 1,
                       .from_zero = true,
                       .panels = {engine::PlotPanel()}};
  std::vector<engine::PlotSeries>& all = plot.panels[0].series;
  for (const engine::KvArmResult& arm : result.arms) {
    std::string name = arm.method;
    if (arm.offset) name += " offset";
    if (!arm.tier.empty() && arm.tier != "memory") name += ", " + arm.tier;
    auto series = std::find_if(all.begin(), all.end(),
                               [&](const engine::PlotSeries& s) { return s.name == name; });
    if (series == all.end()) {
      const bool level = arm.method == "prefill" || arm.method == "full";
      all.push_back({name, level ? engine::PlotMark::kLevel : engine::PlotMark::kLine, {}});
      series = all.end() - 1;
    }
    series->points.emplace_back(arm.share, arm.seconds);
  }
  return plot;
}

void PrintWorkload(const engine::KvWorkloadResult& result) {
  std::printf(
      "%zu threads, prompts of %zu tokens, %s stored; computed at once, a prompt takes %.3f s\n\n"
      "%-13s %9s %9s %8s %7s %7s %9s\n",
      result.threads, result.prompt_tokens,
      HumanBytes(static_cast<double>(result.stored_bytes)).c_str(), result.full_seconds, "prompts",
      "median s", "slowest s", "speedup", "memory", "disk", "computed");
  for (const engine::KvWorkloadWindow& w : result.windows) {
    std::printf("%5zu - %5zu %9.3f %9.3f %7.2fx %7.3f %7.3f %9.3f\n", w.first + 1,
                w.first + w.queries, w.median_seconds, w.slowest_seconds,
                result.full_seconds / w.median_seconds, w.memory_hits, w.disk_hits,
                std::max(0.0, 1 - w.memory_hits - w.disk_hits));
  }
  std::printf("\nlast quarter to first: %.2f\n", result.slowdown());
}

Json ToJson(const engine::KvWorkloadResult& result) {
  Json out = {{"ttft_slowdown", result.slowdown()},  {"ttft_full_seconds", result.full_seconds},
              {"threads", result.threads},           {"prompt_tokens", result.prompt_tokens},
              {"stored_bytes", result.stored_bytes}, {"windows", Json::array()}};
  for (const engine::KvWorkloadWindow& w : result.windows) {
    out["windows"].push_back({{"first", w.first},
                              {"queries", w.queries},
                              {"ttft_median_seconds", w.median_seconds},
                              {"ttft_slowest_seconds", w.slowest_seconds},
                              {"speedup", result.full_seconds / w.median_seconds},
                              {"memory_hit_rate", w.memory_hits},
                              {"disk_hit_rate", w.disk_hits}});
  }
  return out;
}

engine::Plot PlotOf(const engine::KvWorkloadResult& result) {
  engine::Plot plot = {.title = "Time to the first token over many prompts",
                       .x_label = "prompt",
                       .y_label = "seconds",
                       .columns = 1,
                       .from_zero = true,
                       .panels = {engine::PlotPanel()}};
  std::vector<engine::PlotSeries>& series = plot.panels[0].series;
  series.push_back({"prefill", engine::PlotMark::kLevel, {{0, result.full_seconds}}});
  series.push_back({"reuse, median", engine::PlotMark::kLine, {}});
  for (const engine::KvWorkloadWindow& w : result.windows) {
    series[1].points.emplace_back(static_cast<double>(w.first) + static_cast<double>(w.queries) / 2,
                                  w.median_seconds);
  }
  return plot;
}

void PrintAnswers(const engine::ReaderBenchmarkResult& result) {
  std::printf(
      "%zu questions, prompts of %.0f tokens in the mean, answered in %zu ways by %zu threads in "
      "%.1f s\n"
      "Answers are one token: the F1 of words is exact match. A prefix cache answers as full "
      "prefill does.\n"
      "charged: rows computed, summed over layers, in those of full prefill. KL, top-1 and NLL "
      "gap: to full prefill.\n",
      result.questions, result.mean_prompt_tokens, result.arms.size(), result.threads,
      result.seconds);
  for (const std::string& setting : SettingsOf(result)) PrintSetting(result, setting);
  std::printf("\npeak memory %s\n", HumanBytes(static_cast<double>(result.peak_memory)).c_str());
}

Json ToJson(const engine::ReaderBenchmarkResult& result) {
  Json out = {{"questions", result.questions}, {"mean_prompt_tokens", result.mean_prompt_tokens},
              {"layers", result.layers},       {"threads", result.threads},
              {"seconds", result.seconds},     {"arms", Json::array()}};
  for (const engine::ReaderArmResult& arm : result.arms) {
    Json scores = Json::array();
    for (const engine::ReaderScore& s : arm.scores) {
      scores.push_back({{"setting", s.setting},
                        {"kind", s.kind.empty() ? Json(nullptr) : Json(s.kind)},
                        {"questions", s.questions},
                        {"exact_match", s.exact_match},
                        {"exact_match_difference", s.difference.mean},
                        {"exact_match_difference_low", s.difference.low},
                        {"exact_match_difference_high", s.difference.high},
                        {"kl", s.divergence},
                        {"top1_agreement", s.agreement},
                        {"nll_gap", s.loss_gap},
                        {"charged", s.charged}});
    }
    const bool has_source = arm.arm.source.has_value(), has_share = arm.arm.share >= 0;
    out["arms"].push_back({{"name", arm.arm.Name()},
                           {"method", arm.arm.method},
                           {"source", has_source ? Json(SourceName(arm.arm)) : Json(nullptr)},
                           {"share", has_share ? Json(arm.arm.share) : Json(nullptr)},
                           {"scores", std::move(scores)}});
  }
  out["peak_memory_bytes"] = result.peak_memory;
  return out;
}

engine::Plot PlotOf(const engine::ReaderBenchmarkResult& result) {
  engine::Plot plot = {.title = "Answers from cached chunks",
                       .x_label = "charged cost",
                       .y_label = "exact match",
                       .columns = 3,
                       .from_zero = false,
                       .panels = {}};
  // Its variants would hide it.
  constexpr const char* kShown[] = {
      "reposition",         "random",      "first tokens", "cacheblend kv",
      "question attention", "cache-craft", "oracle"};
  for (const std::string& setting : SettingsOf(result)) {
    for (const engine::KvSource source :
         {engine::KvSource::kIsolated, engine::KvSource::kPreface, engine::KvSource::kDocument}) {
      engine::PlotPanel panel;
      panel.title = setting + ", " + std::string(engine::KvSourceName(source));
      panel.series.push_back({"full prefill", engine::PlotMark::kLevel, {}});
      for (const char* name : kShown) panel.series.push_back({name, engine::PlotMark::kLine, {}});
      for (const engine::ReaderArmResult& arm : result.arms) {
        if (arm.arm.source.has_value() && arm.arm.source != source) continue;
        for (engine::PlotSeries& series : panel.series) {
          if (series.name != arm.arm.method) continue;
          const engine::ReaderScore* score = result.Find(arm.arm.Name(), setting, "");
          series.points.emplace_back(score->charged, score->exact_match);
        }
      }
      plot.panels.push_back(std::move(panel));
    }
  }
  return plot;
}

}  // namespace cairn::services
