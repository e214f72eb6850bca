// What a model wrote, as JSON.
#ifndef CAIRN_SERVICES_GENERATION_OUTPUT_H_
#define CAIRN_SERVICES_GENERATION_OUTPUT_H_

#include <string>
#include <vector>

#include "chunking/text/tokenizer.h"
#include "engine/generation/constrained_choice.h"
#include "engine/generation/generation_request.h"
#include "services/json_output.h"

namespace cairn::services {

// Text, why it ends, usage, seconds, and log probabilities where they were asked for.
Json ToJson(const engine::GenerationOutput& output, const chunking::Tokenizer& tokenizer);

// The choices in their order, with their texts; `texts` as they were given.
Json ToJson(const std::vector<engine::RankedChoice>& choices,
            const std::vector<std::string>& texts);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_GENERATION_OUTPUT_H_
