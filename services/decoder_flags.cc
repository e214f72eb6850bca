#include "services/decoder_flags.h"

#include <CLI/CLI.hpp>

namespace cairn::services {

void DecoderFlags::Register(CLI::App* command) {
  command->add_option("--threads", threads, "Threads; 0: one for each core")
      ->check(CLI::Range(size_t{0}, size_t{1024}))
      ->capture_default_str();
  command->add_option("--kv", kv, "How keys and values are kept")
      ->check(CLI::IsMember({"auto", "f32", "f16", "bf16", "int8"}))
      ->capture_default_str();
  command
      ->add_option("--compute", compute,
                   "Arithmetic of products with weights; auto: int8 for quantised weights, bf16 "
                   "for 16-bit ones, f32 for the others")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}))
      ->capture_default_str();
  command->add_option("--max-context", context, "Most tokens of a sequence; 0: the model's own")
      ->check(CLI::Range(size_t{0}, size_t{1} << 30))
      ->capture_default_str();
}

engine::DecoderOptions DecoderFlags::Options() const {
  engine::DecoderOptions options;
  options.threads = threads;
  options.kv_type = kernels::ParseKvType(kv);  // Nothing for "auto".
  if (compute == "f32") options.compute = kernels::ComputeType::kF32;
  if (compute == "bf16") options.compute = kernels::ComputeType::kBF16;
  if (compute == "int8") options.compute = kernels::ComputeType::kI8;
  options.context_length = context;
  return options;
}

}  // namespace cairn::services
