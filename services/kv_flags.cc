#include "services/kv_flags.h"

#include <CLI/CLI.hpp>

namespace cairn::services {
namespace {

// More than any disk has, and a sum of two still fits.
constexpr uint64_t kMostKvBytes = uint64_t{1} << 60;

}  // namespace

CLI::Option* RegisterKvReuse(CLI::App* command, std::string* quality) {
  return command
      ->add_option("--kv-reuse", *quality,
                   "Reuse kept keys and values of passages. How much of them to compute again: "
                   "exact (all), balanced (what differs most) or fast (nothing)")
      ->check(CLI::IsMember({"exact", "balanced", "fast"}));
}

ReuseQuality ReuseQualityNamed(const std::string& quality) {
  if (quality == "exact") return ReuseQuality::kExact;
  if (quality == "balanced") return ReuseQuality::kBalanced;
  if (quality == "fast") return ReuseQuality::kFast;
  return AskRequest().reuse;
}

void RegisterKvStorage(CLI::App* command, KvReuseOptions* options) {
  command
      ->add_option("--kv-encoding", options->encoding,
                   "How keys and values are kept; int8 takes half the room of f16")
      ->check(CLI::IsMember({"f16", "int8", "f32"}))
      ->capture_default_str();
  command
      ->add_option(
          "--kv-source", options->source,
          "What a chunk has seen when they are computed: its document before it, the "
          "preface of every prompt, nothing, or a prompt that it was read in; the last are "
          "kept by answers")
      ->check(CLI::IsMember({"document", "preface", "isolated", "prompt"}))
      ->capture_default_str();
  command
      ->add_option("--kv-variants", options->variants,
                   "Of --kv-source prompt: most of one chunk, from different prompts")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  command->add_option("--kv-disk-bytes", options->disk_bytes, "Most that is kept in the store")
      ->check(CLI::Range(uint64_t{0}, kMostKvBytes))
      ->capture_default_str();
}

void RegisterKvMemory(CLI::App* command, KvReuseOptions* options) {
  command->add_option("--kv-memory-bytes", options->memory_bytes, "Most of it in memory as well")
      ->check(CLI::Range(uint64_t{0}, kMostKvBytes))
      ->capture_default_str();
}

std::vector<std::string> KvStorageFlags() {
  return {"--kv-encoding", "--kv-source", "--kv-variants", "--kv-disk-bytes", "--kv-memory-bytes"};
}

}  // namespace cairn::services
