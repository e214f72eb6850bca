#include <cstdint>
#include <limits>

#include "cairn/v1/answer.pb.h"
#include "services/wire/field_checks.h"
#include "services/wire/messages.h"

namespace cairn::services {
namespace {

constexpr size_t kDefaultPassages = 8;
constexpr size_t kMaxPassages = 1000;
constexpr uint64_t kMaxSentences = 100;
constexpr uint64_t kMaxTokens = 4096;
constexpr uint64_t kMaxTokenBudget = uint64_t{1} << 20;

constexpr EnumTable<v1::AnswerMode, AskMode, 2> kAnswerModes{{
    {v1::ANSWER_MODE_EXTRACTIVE, AskMode::kExtractive},
    {v1::ANSWER_MODE_GENERATED, AskMode::kGenerated},
}};
constexpr EnumTable<v1::ReuseQuality, ReuseQuality, 3> kReuseQualities{{
    {v1::REUSE_QUALITY_EXACT, ReuseQuality::kExact},
    {v1::REUSE_QUALITY_BALANCED, ReuseQuality::kBalanced},
    {v1::REUSE_QUALITY_FAST, ReuseQuality::kFast},
}};
constexpr EnumTable<v1::AnswerSummary::Finish, AnswerFinish, 3> kFinishes{{
    {v1::AnswerSummary::FINISH_COMPLETE, AnswerFinish::kComplete},
    {v1::AnswerSummary::FINISH_LENGTH, AnswerFinish::kLength},
    {v1::AnswerSummary::FINISH_CANCELLED, AnswerFinish::kCancelled},
}};

absl::Status ReadGeneration(const v1::GenerationOptions& in, AskRequest* out) {
  absl::Status s = CheckRange("generation.temperature", double{in.temperature()}, 0,
                              double{std::numeric_limits<float>::max()});
  out->temperature = in.temperature();
  if (s.ok() && in.has_max_tokens()) {
    s = CheckRange("generation.max_tokens", uint64_t{in.max_tokens()}, 1, kMaxTokens);
    out->max_tokens = in.max_tokens();
  }
  if (s.ok() && in.has_token_budget()) {
    s = CheckRange("generation.token_budget", uint64_t{in.token_budget()}, 1, kMaxTokenBudget);
    out->token_budget = in.token_budget();
  }
  out->seed = in.seed();
  if (!s.ok()) return s;
  const absl::StatusOr<ReuseQuality> reuse =
      ReadEnum("generation.reuse", kReuseQualities, in.reuse(), out->reuse);
  if (!reuse.ok()) return reuse.status();
  out->reuse = *reuse;
  return absl::OkStatus();
}

void WriteReuseReport(const ReuseReport& in, v1::ReuseReport* out) {
  out->set_exact_tokens(in.exact_tokens);
  out->set_reused_tokens(in.reused_tokens);
  out->set_recomputed_tokens(in.recomputed_tokens);
  out->set_fresh_tokens(in.fresh_tokens);
  out->set_loaded_bytes(in.loaded_bytes);
  out->set_method(in.method);
  out->set_reason(in.reason);
  out->set_share(in.share);
  out->set_load(in.load);
  out->set_select(in.select);
  out->set_compute(in.compute);
}

ReuseReport ReadReuseReport(const v1::ReuseReport& in) {
  ReuseReport out;
  out.exact_tokens = in.exact_tokens();
  out.reused_tokens = in.reused_tokens();
  out.recomputed_tokens = in.recomputed_tokens();
  out.fresh_tokens = in.fresh_tokens();
  out.loaded_bytes = in.loaded_bytes();
  out.method = in.method();
  out.reason = in.reason();
  out.share = in.share();
  out.load = in.load();
  out.select = in.select();
  out.compute = in.compute();
  return out;
}

}  // namespace

absl::StatusOr<AskRequest> ReadAnswerRequest(const v1::AnswerRequest& in) {
  if (absl::Status s = CheckRequired("question", in.question()); !s.ok()) return s;
  AskRequest out;
  out.question = in.question();
  const absl::StatusOr<size_t> passages =
      ReadCount("passages", in.passages(), 1, kMaxPassages, kDefaultPassages);
  if (!passages.ok()) return passages.status();
  out.passages = *passages;
  out.filter = in.filter();
  const absl::StatusOr<AskMode> mode = ReadEnum("mode", kAnswerModes, in.mode(), AskMode::kAuto);
  if (!mode.ok()) return mode.status();
  out.mode = *mode;
  absl::Status s;
  if (in.has_rerank()) {
    s = CheckRange("rerank", uint64_t{in.rerank()}, 0, kMaxRerank);
    out.rerank = in.rerank();
  }
  if (s.ok() && in.extractive().has_sentences()) {
    s = CheckRange("extractive.sentences", uint64_t{in.extractive().sentences()}, 1, kMaxSentences);
    out.sentences = in.extractive().sentences();
  }
  if (s.ok()) s = ReadGeneration(in.generation(), &out);
  if (!s.ok()) return s;
  return out;
}

void WriteAnswerRequest(const AskRequest& in, v1::AnswerRequest* out) {
  out->Clear();
  out->set_question(in.question);
  out->set_passages(Int32Of(in.passages));
  out->set_filter(in.filter);
  if (in.rerank.has_value()) out->set_rerank(Uint32Of(*in.rerank));
  out->set_mode(WriteEnum(kAnswerModes, in.mode));
  out->mutable_extractive()->set_sentences(Uint32Of(in.sentences));
  v1::GenerationOptions* generation = out->mutable_generation();
  generation->set_max_tokens(Uint32Of(in.max_tokens));
  generation->set_temperature(in.temperature);
  generation->set_seed(in.seed);
  generation->set_token_budget(Uint32Of(in.token_budget));
  generation->set_reuse(WriteEnum(kReuseQualities, in.reuse));
}

void WriteAnswerSentence(const AnswerSentence& in, v1::AnswerSentence* out) {
  out->Clear();
  out->set_text(in.text);
  out->set_score(in.score);
  out->set_supported(in.supported);
  for (const Citation& citation : in.citations) {
    v1::Citation* c = out->add_citations();
    c->set_document_id(citation.document_id);
    c->set_chunk_id(citation.chunk_id);
    c->mutable_span()->set_begin(citation.begin);
    c->mutable_span()->set_end(citation.end);
    c->set_title(citation.title);
    c->set_source_uri(citation.source_uri);
    c->set_passage(Uint32Of(citation.passage));
    c->set_support(citation.support);
  }
}

AnswerSentence ReadAnswerSentence(const v1::AnswerSentence& in) {
  AnswerSentence out;
  out.text = in.text();
  out.score = in.score();
  out.supported = in.supported();
  out.citations.reserve(static_cast<size_t>(in.citations_size()));
  for (const v1::Citation& citation : in.citations()) {
    Citation& c = out.citations.emplace_back();
    c.document_id = citation.document_id();
    c.chunk_id = citation.chunk_id();
    c.begin = citation.span().begin();
    c.end = citation.span().end();
    c.title = citation.title();
    c.source_uri = citation.source_uri();
    c.passage = citation.passage();
    c.support = citation.support();
  }
  return out;
}

void WriteAnswerSummary(const AskResponse& in, v1::AnswerSummary* out) {
  out->Clear();
  out->set_mode(WriteEnum(kAnswerModes, in.mode));
  out->set_finish(WriteEnum(kFinishes, in.finish));
  out->set_unsupported_sentences(in.unsupported_sentences);
  out->set_dropped_citations(in.dropped_citations);
  v1::AnswerUsage* usage = out->mutable_usage();
  usage->set_prompt_tokens(in.usage.prompt_tokens);
  usage->set_cached_tokens(in.usage.cached_tokens);
  usage->set_generated_tokens(in.usage.generated_tokens);
  WriteReuseReport(in.usage.reuse, usage->mutable_reuse());
  v1::AnswerTimings* timings = out->mutable_timings();
  timings->set_retrieve(in.timings.retrieve);
  timings->set_select(in.timings.select);
  timings->set_prefill(in.timings.prefill);
  timings->set_decode(in.timings.decode);
  timings->set_check(in.timings.check);
  timings->set_total(in.timings.total);
}

void ReadAnswerSummary(const v1::AnswerSummary& in, AskResponse* out) {
  // What a newer server may say counts as the plainest.
  out->mode = ReadEnum("mode", kAnswerModes, in.mode(), AskMode::kExtractive)
                  .value_or(AskMode::kExtractive);
  out->finish = ReadEnum("finish", kFinishes, in.finish(), AnswerFinish::kComplete)
                    .value_or(AnswerFinish::kComplete);
  out->unsupported_sentences = in.unsupported_sentences();
  out->dropped_citations = in.dropped_citations();
  out->usage.prompt_tokens = in.usage().prompt_tokens();
  out->usage.cached_tokens = in.usage().cached_tokens();
  out->usage.generated_tokens = in.usage().generated_tokens();
  out->usage.reuse = ReadReuseReport(in.usage().reuse());
  out->timings.retrieve = in.timings().retrieve();
  out->timings.select = in.timings().select();
  out->timings.prefill = in.timings().prefill();
  out->timings.decode = in.timings().decode();
  out->timings.check = in.timings().check();
  out->timings.total = in.timings().total();
}

}  // namespace cairn::services
