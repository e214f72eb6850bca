list(APPEND CAIRN_CHUNKING_SOURCES
  text/abbreviations.cc
  text/added_tokens.cc
  text/analyzer.cc
  text/bert_normalizer.cc
  text/normalize.cc
  text/porter.cc
  text/sentence.cc
  text/tokenizer.cc
  text/unigram.cc
  text/vocabulary.cc
  text/word_scanner.cc
  text/wordpiece.cc
)
