#include "chunking/text/chat_markup.h"

#include <algorithm>
#include <iterator>

namespace cairn::chunking {
namespace {

constexpr std::string_view kEnds[] = {"<|im_end|>",
                                      "<|eot_id|>",
                                      "<|eom_id|>",
                                      "<|end_of_text|>",
                                      "<|eot|>",
                                      "<|eom|>",
                                      "<|end|>",
                                      "<|endoftext|>",
                                      "<|return|>",
                                      "<end_of_turn>",
                                      "<|end_of_turn|>",
                                      "<|endofturn|>",
                                      "<EOT>",
                                      "<|EOT|>",
                                      "</s>",
                                      "<|END_OF_TURN_TOKEN|>"};

constexpr std::string_view kOthers[] = {
    // ChatML and its relatives.
    "<|im_start|>", "<|im_sep|>",
    // Llama 2, 3 and 4.
    "<s>", "<<SYS>>", "<</SYS>>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|header_start|>", "<|header_end|>",
    // Mistral.
    "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
    // Phi 3, Zephyr, Falcon 3.
    "<|system|>", "<|user|>", "<|assistant|>",
    // Gemma, Command R, gpt-oss.
    "<bos>", "<eos>", "<start_of_turn>", "<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>",
    "<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|startoftext|>", "<|start|>",
    "<|message|>", "<|channel|>"};

}  // namespace

bool EndsAnswers(std::string_view spelling) {
  return std::find(std::begin(kEnds), std::end(kEnds), spelling) != std::end(kEnds);
}

bool IsChatMarkup(std::string_view spelling) {
  return EndsAnswers(spelling) ||
         std::find(std::begin(kOthers), std::end(kOthers), spelling) != std::end(kOthers);
}

}  // namespace cairn::chunking
