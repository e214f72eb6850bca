list(APPEND CAIRN_MODEL_SOURCES
  generation/active_sequence.cc
  generation/chat_template.cc
  generation/constrained_choice.cc
  generation/generation_parts.cc
  generation/generation_service.cc
  generation/prefix_cache.cc
  generation/prompt_encoding.cc
  generation/sampler.cc
  generation/scheduler.cc
  generation/shared_generator.cc
  generation/stop_strings.cc
  generation/text_generator.cc
)
# The same seed gives the same tokens on every machine: products and sums stay apart.
set_source_files_properties(generation/sampler.cc PROPERTIES COMPILE_OPTIONS "-ffp-contract=off")
