list(APPEND CAIRN_CHUNKING_SOURCES
  readers/byte_source.cc
  readers/encoding.cc
  readers/file_tree.cc
  readers/format.cc
  readers/front_matter.cc
  readers/html_blocks.cc
  readers/html_elements.cc
  readers/html_entities.cc
  readers/html_text.cc
  readers/html_tokenizer.cc
  readers/jsonl_reader.cc
  readers/line_reader.cc
  readers/markdown.cc
  readers/reader.cc
  readers/text_checks.cc
  readers/trec_reader.cc
)
