#include "engine/answer/generated_answer.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/answer/answer_prompt.h"
#include "engine/answer/answer_reader.h"
#include "engine/answer/citation_support.h"
#include "engine/stopwatch.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxTokensAsked = size_t{1} << 20;
constexpr double kMicroseconds = 1e6;

absl::StatusOr<GenerateOptions> CheckRequest(const AskRequest& request) {
  if (request.question.find_first_not_of(" \t\r\n") == std::string::npos) {
    return absl::InvalidArgumentError("the question is empty");
  }
  if (request.max_tokens < 1 || request.max_tokens > kMaxTokensAsked) {
    return absl::InvalidArgumentError(absl::StrCat("max_tokens must be 1 to ", kMaxTokensAsked));
  }
  if (request.token_budget < 1) {
    return absl::InvalidArgumentError("the passages' token budget must be at least 1");
  }
  GenerateOptions options;
  options.max_tokens = request.max_tokens;
  options.sampling.temperature = request.temperature;
  options.sampling.seed = request.seed;
  options.cache_scope = request.cache_scope;
  const absl::Status sound = CheckSamplingOptions(options.sampling);
  if (!sound.ok()) return sound;
  return options;
}

// Checks what the model's sentences cite, and puts them into the response.
class SentenceWriter {
 public:
  // `response`, whose passages are those of the prompt, outlives this.
  SentenceWriter(const chunking::Analyzer& analyzer, const AskRequest& request,
                 AskResponse* response)
      : request_(request), response_(response), checker_(analyzer, Passages(*response)) {}

  void Write(DraftSentence draft) {
    Stopwatch watch;
    AnswerSentence& sentence = response_->sentences.emplace_back();
    for (const uint32_t number : draft.cited) Cite(draft.text, number, &sentence);
    sentence.text = std::move(draft.text);
    sentence.supported = !sentence.citations.empty();
    response_->unsupported_sentences += sentence.supported ? 0 : 1;
    response_->timings.check += watch.Lap();
    if (request_.on_sentence) request_.on_sentence(sentence);
  }

 private:
  static std::vector<SupportChecker::Passage> Passages(const AskResponse& response) {
    std::vector<SupportChecker::Passage> passages;
    for (const SearchHit& hit : response.passages) passages.push_back({hit.text, hit.title});
    return passages;
  }

  void Cite(std::string_view text, uint32_t number, AnswerSentence* sentence) {
    Support support;
    const size_t passage = size_t{number} - 1;  // 0 is beyond all passages.
    if (passage < response_->passages.size()) support = checker_.Check(text, passage);
    if (!support.enough()) {
      ++response_->dropped_citations;
      return;
    }
    const SearchHit& hit = response_->passages[passage];
    Citation& citation = sentence->citations.emplace_back();
    citation.document_id = hit.document_id;
    citation.chunk_id = hit.chunk_id;
    citation.begin = hit.begin + support.begin;
    citation.end = hit.begin + support.end;
    citation.title = hit.title;
    citation.source_uri = hit.source_uri;
    citation.passage = passage;
    citation.support = support.share;
    sentence->score = std::max(sentence->score, support.share);
  }

  const AskRequest& request_;
  AskResponse* const response_;
  const SupportChecker checker_;
};

AnswerFinish FinishOf(FinishReason reason) {
  switch (reason) {
    case FinishReason::kLength:
      return AnswerFinish::kLength;
    case FinishReason::kCancelled:
    case FinishReason::kDeadline:
      return AnswerFinish::kCancelled;
    default:
      return AnswerFinish::kComplete;
  }
}

absl::Status Generate(const SearchContext& context, SharedGenerator* generator, ChunkCaches* caches,
                      const AskRequest& request, const GenerateOptions& options,
                      AnswerPrompt prompt, AskResponse* response) {
  SentenceWriter writer(*context.analyzer, request, response);
  AnswerReader reader(
      [&](std::string_view text) {
        response->answer += text;
        if (request.on_text) request.on_text(text);
      },
      [&](DraftSentence draft) { writer.Write(std::move(draft)); });
  TextGenerator::Watch watch;
  watch.on_text = [&](std::string_view text) { reader.Append(text); };
  watch.is_cancelled = request.is_cancelled;
  std::shared_ptr<BlendedPrompt> blended;
  if (!prompt.stretches.empty()) {
    absl::StatusOr<std::shared_ptr<BlendedPrompt>> made =
        caches->Read(context.collection->id(), prompt, response->passages, request);
    if (!made.ok()) return made.status();
    blended = *std::move(made);
  }
  absl::StatusOr<GenerationOutput> output =
      generator->Generate(std::move(prompt.ids), prompt.continues, options, watch, blended);
  if (!output.ok()) return output.status();
  reader.Finish();
  response->finish = FinishOf(output->finish);
  response->usage.prompt_tokens = output->prompt_tokens;
  response->usage.cached_tokens = output->cached_tokens;
  response->usage.generated_tokens = output->ids.size();
  if (blended != nullptr) {
    response->usage.reuse = blended->report();
  } else {
    ReuseReport& reuse = response->usage.reuse;
    reuse.method = ReuseMethodName(ReuseMethod::kFull);
    reuse.reason = "no keys and values of chunks are kept";
    reuse.exact_tokens = output->cached_tokens;
    reuse.fresh_tokens = output->prompt_tokens - output->cached_tokens;
  }
  response->timings.prefill = output->prefill_seconds * kMicroseconds;
  response->timings.decode = output->decode_seconds * kMicroseconds;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AskResponse> AnswerWithModel(const SearchContext& context,
                                            SharedGenerator* generator, ChunkCaches* caches,
                                            const AskRequest& request) {
  Stopwatch whole, watch;
  absl::StatusOr<GenerateOptions> options = CheckRequest(request);
  if (!options.ok()) return options.status();
  if (absl::Status s = CheckQuestionFits(*generator, request); !s.ok()) return s;
  SearchRequest search;
  search.collection = request.collection;
  search.query = request.question;
  search.k = request.passages;
  search.filter = request.filter;
  search.rerank = request.rerank;
  search.is_cancelled = request.is_cancelled;
  const bool reuses = caches != nullptr && caches->can_reuse();
  SearchContext retrieving = context;
  if (reuses && request.reuse != ReuseQuality::kExact) {
    retrieving.on_candidates = [&](absl::Span<const uint64_t> chunks) {
      caches->Prefetch(context.collection->id(), request.cache_scope, chunks);
    };
  }
  absl::StatusOr<SearchResponse> found = RunSearch(retrieving, search);
  if (!found.ok()) return found.status();
  AskResponse response;
  response.mode = AskMode::kGenerated;
  response.timings.retrieve = watch.Lap();
  if (!found->hits.empty()) {
    absl::StatusOr<AnswerPrompt> prompt =
        MakeAnswerPrompt(*generator, *context.analyzer, request, found->hits, reuses);
    if (!prompt.ok()) return prompt.status();
    response.passages = std::move(prompt->passages);
    options->stop = prompt->stop;
    response.timings.select = watch.Lap();
    if (request.on_passages) request.on_passages(response.passages);
    absl::Status generated =
        Generate(context, generator, caches, request, *options, *std::move(prompt), &response);
    if (!generated.ok()) return generated;
  } else if (request.on_passages) {
    request.on_passages(response.passages);
  }
  response.timings.total = whole.Lap();
  if (request.on_usage) request.on_usage(response.usage, response.timings);
  return response;
}

}  // namespace cairn::engine
