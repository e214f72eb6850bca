list(APPEND CAIRN_ENGINE_SOURCES
  eval/answer_measures.cc
  eval/answers.cc
  eval/binary_measures.cc
  eval/compare_runs.cc
  eval/evaluate.cc
  eval/gain_measures.cc
  eval/line_reader.cc
  eval/measures.cc
  eval/span_measures.cc
  eval/topics.cc
  eval/trec_files.cc
  eval/trec_rag.cc
  eval/trec_rag_writer.cc
  eval/z_scores.cc
)
