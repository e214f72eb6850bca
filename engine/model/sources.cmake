list(APPEND CAIRN_ENGINE_SOURCES
  model/default_model.cc
  model/default_model.S
  model/json_reader.cc
  model/model_config.cc
  model/model_file.cc
  model/safetensors.cc
  model/static_embedder.cc
  model/token_vectors.cc
)

# The default model becomes part of the library. The assembler reads the files itself, so CMake has
# to be told that the object depends on them.
set(cairn_model_dir ${CMAKE_CURRENT_SOURCE_DIR}/model/default)
set_source_files_properties(model/default_model.S PROPERTIES
  OBJECT_DEPENDS
    "${cairn_model_dir}/config.json;${cairn_model_dir}/model.safetensors;${cairn_model_dir}/tokenizer.json"
  COMPILE_DEFINITIONS
    "CAIRN_MODEL_CONFIG=\"${cairn_model_dir}/config.json\";CAIRN_MODEL_SAFETENSORS=\"${cairn_model_dir}/model.safetensors\";CAIRN_MODEL_TOKENIZER=\"${cairn_model_dir}/tokenizer.json\"")
