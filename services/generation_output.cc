#include "services/generation_output.h"

#include <cstdint>

namespace cairn::services {
namespace {

std::string Spelling(const chunking::Tokenizer& tokenizer, uint32_t id) {
  std::string bytes;
  tokenizer.AppendBytes(id, chunking::ControlText::kAsText, &bytes);
  return bytes;
}

}  // namespace

Json ToJson(const engine::GenerationOutput& output, const chunking::Tokenizer& tokenizer) {
  Json json;
  json["text"] = output.text;
  json["finish"] = std::string(engine::FinishReasonName(output.finish));
  if (output.finish == engine::FinishReason::kStopString) json["stop"] = output.stop_string;
  json["usage"] = {{"prompt_tokens", output.prompt_tokens},
                   {"cached_tokens", output.cached_tokens},
                   {"generated_tokens", output.ids.size()}};
  json["seconds"] = {{"prefill", output.prefill_seconds}, {"decode", output.decode_seconds}};
  if (output.logprobs.empty()) return json;
  Json tokens = Json::array();
  for (const engine::SampledToken& token : output.logprobs) {
    Json top = Json::array();
    for (const engine::TokenLogprob& t : token.top) {
      top.push_back({{"id", t.id}, {"text", Spelling(tokenizer, t.id)}, {"logprob", t.logprob}});
    }
    tokens.push_back({{"id", token.id},
                      {"text", Spelling(tokenizer, token.id)},
                      {"logprob", *token.logprob},
                      {"top", std::move(top)}});
  }
  json["tokens"] = std::move(tokens);
  return json;
}

Json ToJson(const std::vector<engine::RankedChoice>& choices,
            const std::vector<std::string>& texts) {
  Json json = Json::array();
  for (const engine::RankedChoice& choice : choices) {
    json.push_back({{"text", texts[choice.index]},
                    {"index", choice.index},
                    {"tokens", choice.tokens},
                    {"logprob", choice.logprob},
                    {"logprob_per_token", choice.logprob_per_token()}});
  }
  return json;
}

}  // namespace cairn::services
