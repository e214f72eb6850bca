#include "engine/eval/trec_rag_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "chunking/text/word_count.h"

namespace cairn::engine {

const char* const kTrecRagNoAnswer = "No answer was found in the documents.";

namespace {

using OrderedJson = nlohmann::ordered_json;

// The sentences that fit, and the number of their words.
std::vector<AnsweredSentence> Fit(const AnswerRecord& answer, size_t* words) {
  std::vector<AnsweredSentence> sentences;
  *words = 0;
  for (const AnsweredSentence& sentence : answer.sentences) {
    const size_t more = chunking::CountWords(sentence.text);
    if (more == 0) continue;
    if (*words + more <= kTrecRagMaxWords) {
      sentences.push_back(sentence);
      *words += more;
      continue;
    }
    if (!sentences.empty()) break;
    sentences.push_back(sentence);
    sentences.back().text = chunking::FirstWords(sentence.text, kTrecRagMaxWords);
    *words = chunking::CountWords(sentences.back().text);
    if (*words == 0) sentences.clear();
    break;
  }
  if (sentences.empty()) {
    sentences.push_back({kTrecRagNoAnswer, false, {}});
    *words = chunking::CountWords(kTrecRagNoAnswer);
  }
  return sentences;
}

// Positions among the references, which grow as far as they may.
OrderedJson Positions(const AnsweredSentence& sentence, std::vector<std::string>* references) {
  std::vector<size_t> positions;
  for (const AnsweredCitation& citation : sentence.citations) {
    const auto found = std::find(references->begin(), references->end(), citation.document);
    const auto position = static_cast<size_t>(found - references->begin());
    if (found == references->end()) {
      if (references->size() == kTrecRagMaxReferences) continue;
      references->push_back(citation.document);
    }
    if (std::find(positions.begin(), positions.end(), position) == positions.end()) {
      positions.push_back(position);
    }
  }
  return positions;
}

}  // namespace

std::string TrecRagLine(const AnswerRecord& answer, const TrecRagRun& run) {
  size_t words = 0;
  std::vector<std::string> references;
  OrderedJson sentences = OrderedJson::array();
  for (const AnsweredSentence& sentence : Fit(answer, &words)) {
    OrderedJson citations = Positions(sentence, &references);
    sentences.push_back({{"text", sentence.text}, {"citations", std::move(citations)}});
  }
  OrderedJson line;
  if (run.format == TrecRagFormat::k2024) {
    line["run_id"] = run.run_id;
    line["topic_id"] = answer.id;
    line["topic"] = answer.question;
    line["references"] = references;
    line["response_length"] = words;
  } else {
    line["metadata"] = {{"team_id", run.team_id},
                        {"run_id", run.run_id},
                        {"narrative_id", answer.id},
                        {"type", run.type}};
    line["references"] = references;
  }
  line["answer"] = std::move(sentences);
  return line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace cairn::engine
