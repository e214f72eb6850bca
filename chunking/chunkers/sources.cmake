list(APPEND CAIRN_CHUNKING_SOURCES
  chunkers/boundaries.cc
  chunkers/chunk_writer.cc
  chunkers/fixed_chunker.cc
  chunkers/heading_paths.cc
  chunkers/make_chunker.cc
  chunkers/outline.cc
  chunkers/packer.cc
  chunkers/sentence_chunker.cc
  chunkers/structure_chunker.cc
  chunkers/token_index.cc
)
