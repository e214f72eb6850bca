// What callers of the engine ask, and the answers.
#ifndef CAIRN_ENGINE_ASK_H_
#define CAIRN_ENGINE_ASK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/kv_reuse.h"
#include "engine/search_request.h"
namespace cairn {

// kAuto: generated where the engine has a language model.
enum class AskMode : uint8_t { kAuto, kExtractive, kGenerated };

struct Citation {
  std::string document_id;
  uint64_t chunk_id = 0;
  // Byte span in the document's text: the sentence quoted, or those that support the sentence best.
  size_t begin = 0;
  size_t end = 0;
  std::string title;
  std::string source_uri;
  size_t passage = 0;  // Index into AskResponse::passages.
  float support = 0;   // Share of the sentence's weighted terms that the span covers, 0 to 1.
};

struct AnswerSentence {
  std::string text;
  float score = 0;                  // Extractive: what it was chosen by. Generated: best support.
  std::vector<Citation> citations;  // Each checked: the passage says what the sentence says.
  bool supported = false;           // Whether there is a citation.
};

struct AskUsage {
  size_t prompt_tokens = 0;
  size_t cached_tokens = 0;  // Of the prompt's, those that had not to be computed.
  size_t generated_tokens = 0;
  ReuseReport reuse;
};

// Wall-clock microseconds.
struct AskTimings {
  double retrieve = 0;
  double select = 0;   // Choosing passages and making the prompt, or choosing sentences.
  double prefill = 0;  // From the first pass to the first token.
  double decode = 0;   // From there to the last.
  double check = 0;    // Citations; happens while tokens come.
  double total = 0;
};

struct AskRequest {
  std::string collection = "default";
  std::string question;
  size_t passages = 8;  // Retrieved.
  std::string filter;
  std::optional<size_t> rerank;  // As SearchRequest::rerank.
  AskMode mode = AskMode::kAuto;
  // Extractive:
  size_t sentences = 3;  // In the answer, at most.
  // Generated:
  size_t max_tokens = 256;     // Of the answer; less where the model's context ends before.
  float temperature = 0;       // 0: always the most likely token.
  uint64_t seed = 0;           // Of the draws.
  size_t token_budget = 2048;  // Of all passages in the prompt together.
  ReuseQuality reuse = ReuseQuality::kBalanced;  // Where the engine keeps chunks' keys and values.

  // To follow the answer as it comes; all optional, called on the caller's thread, in this order:
  // the passages in the prompt's order, then, sentence by sentence, text and the sentence that it
  // makes, at last the usage. The texts together are AskResponse::answer.
  std::function<void(const std::vector<SearchHit>&)> on_passages;
  std::function<void(std::string_view)> on_text;
  std::function<void(const AnswerSentence&)> on_sentence;
  std::function<void(const AskUsage&, const AskTimings&)> on_usage;
  // Asked many times a second, by several threads at once. True ends a text that is being written
  // where it is (AnswerFinish::kCancelled); before there is one, and an extractive answer at any
  // time, the call ends with Cancelled.
  std::function<bool()> is_cancelled;
  // Generated: answers of different scopes share no cached prefixes, so that the time to a first
  // token tells one tenant nothing about another's prompts.
  std::string cache_scope;
};

enum class AnswerFinish : uint8_t {
  kComplete,
  kLength,     // max_tokens, or the model's context, was used up.
  kCancelled,  // is_cancelled said so.
};

struct AskResponse {
  AskMode mode = AskMode::kExtractive;  // Never kAuto.
  std::string answer;                   // Whole, without citation marks.
  // Extractive: best first. Generated: in the answer's order. Empty: nothing was found.
  std::vector<AnswerSentence> sentences;
  // What was read. Extractive: best first. Generated: what the prompt holds, in its order.
  std::vector<SearchHit> passages;
  size_t unsupported_sentences = 0;  // Those without a citation that holds.
  size_t dropped_citations = 0;      // Of passages that do not exist or do not say it.
  AnswerFinish finish = AnswerFinish::kComplete;
  AskUsage usage;
  AskTimings timings;
};

}  // namespace cairn

#endif  // CAIRN_ENGINE_ASK_H_
