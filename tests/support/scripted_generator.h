// A generator whose answers a test writes.
#ifndef CAIRN_TESTS_SUPPORT_SCRIPTED_GENERATOR_H_
#define CAIRN_TESTS_SUPPORT_SCRIPTED_GENERATOR_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/generation/shared_generator.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/fake_language_model.h"

namespace cairn::testing {

struct ScriptedGenerator {
  static constexpr uint32_t kTurnBegin = 258, kTurnEnd = 259;

  // Called with a prompt (control tokens left out) up to where the answer begins.
  using Script = std::function<std::string(const std::string& prompt)>;

  // `chat`: the model converses (ChatML), otherwise it goes on from plain text.
  ScriptedGenerator(Script script, bool chat, size_t context = 16384) {
    auto tokenizer = std::make_unique<ByteTokenizer>(
        std::vector<std::string>{"<s>", "</s>", "<|im_start|>", "<|im_end|>"});
    tokenizer->special().end_of_generation = {ByteTokenizer::kEos, kTurnEnd};
    auto owned = std::make_unique<FakeLanguageModel>(260, context);
    model = owned.get();
    const std::string begin = chat ? "assistant\n" : "\nAnswer:";
    model->adjust = [this, script, begin](absl::Span<const uint32_t> history,
                                          absl::Span<float> logits) {
      std::string text;
      for (const uint32_t id : history) text.push_back(id < 256 ? static_cast<char>(id) : '\x01');
      const size_t at = text.rfind(begin);
      if (at == std::string::npos) return;
      const size_t end = at + begin.size();
      if (history.size() == end) {
        prompt.assign(history.begin(), history.end());
        std::string shown = text;
        std::erase(shown, '\x01');
        answer = script(shown);
      }
      const size_t i = history.size() - end;
      logits[i < answer.size() ? static_cast<uint8_t>(answer[i]) : kTurnEnd] = 50;
    };
    std::optional<engine::ChatTemplate> chat_template;
    if (chat) chat_template = *engine::ChatTemplate::Detect("", *tokenizer);
    auto made = engine::SharedGenerator::Create(std::move(owned), std::move(tokenizer),
                                                std::move(chat_template), {});
    EXPECT_TRUE(made.ok()) << made.status();
    generator = *std::move(made);
  }

  // Of the last text; read them when nothing is being generated.
  std::string answer;
  std::vector<uint32_t> prompt;
  FakeLanguageModel* model = nullptr;
  std::unique_ptr<engine::SharedGenerator> generator;  // Last: its thread uses the others.
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_SCRIPTED_GENERATOR_H_
