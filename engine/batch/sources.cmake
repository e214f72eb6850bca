list(APPEND CAIRN_ENGINE_SOURCES
  batch/batch_plan.cc
  batch/embed_records.cc
  batch/json_lines.cc
  batch/passage_lists.cc
  batch/rerank_run.cc
  batch/text_records.cc
)
