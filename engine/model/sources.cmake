list(APPEND CAIRN_MODEL_SOURCES
  model/attention_plan.cc
  model/checkpoint.cc
  model/cross_encoder.cc
  model/decoder.cc
  model/decoder_embedder.cc
  model/decoder_weights.cc
  model/default_model.S
  model/default_model.cc
  model/distillation_texts.cc
  model/encoder.cc
  model/encoder_checkpoint.cc
  model/encoder_config.cc
  model/encoder_embedder.cc
  model/gguf.cc
  model/gguf_checkpoint.cc
  model/gguf_config.cc
  model/gguf_metadata.cc
  model/gguf_tokenizer.cc
  model/gguf_types.cc
  model/gguf_value.cc
  model/gguf_writer.cc
  model/hf_checkpoint.cc
  model/hf_config.cc
  model/hf_files.cc
  model/hf_vocabulary.cc
  model/hf_weights.cc
  model/json_document.cc
  model/json_reader.cc
  model/kv_cache.cc
  model/mapped_file.cc
  model/model_benchmark.cc
  model/model_config.cc
  model/model_conversion.cc
  model/model_directory.cc
  model/model_distillation.cc
  model/model_file.cc
  model/model_inspection.cc
  model/model_layout.cc
  model/model_synthesis.cc
  model/open_model.cc
  model/parallel_pieces.cc
  model/parallel_rows.cc
  model/principal_components.cc
  model/rope.cc
  model/safetensors.cc
  model/safetensors_writer.cc
  model/sentence_transformers.cc
  model/static_distillation.cc
  model/static_embedder.cc
  model/static_model_files.cc
  model/teacher_cache.cc
  model/teacher_vectors.cc
  model/text_pooling.cc
  model/token_kinds.cc
  model/token_regression.cc
  model/token_vectors.cc
  model/weights_fingerprint.cc
)

# The default model becomes part of the library. The assembler reads the files itself, so CMake has
# to be told that the object depends on them.
set(cairn_model_dir ${CMAKE_CURRENT_SOURCE_DIR}/model/default)
set_source_files_properties(model/default_model.S PROPERTIES
  OBJECT_DEPENDS
    "${cairn_model_dir}/config.json;${cairn_model_dir}/model.safetensors;${cairn_model_dir}/tokenizer.json"
  COMPILE_DEFINITIONS
    "CAIRN_MODEL_CONFIG=\"${cairn_model_dir}/config.json\";CAIRN_MODEL_SAFETENSORS=\"${cairn_model_dir}/model.safetensors\";CAIRN_MODEL_TOKENIZER=\"${cairn_model_dir}/tokenizer.json\"")
