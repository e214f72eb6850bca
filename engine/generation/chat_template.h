// The forms in which models expect a conversation.
#ifndef CAIRN_ENGINE_GENERATION_CHAT_TEMPLATE_H_
#define CAIRN_ENGINE_GENERATION_CHAT_TEMPLATE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "chunking/text/tokenizer.h"
#include "engine/generation/prompt_encoding.h"

namespace cairn::engine {

enum class ChatRole : uint8_t { kSystem, kUser, kAssistant };

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string content;  // UTF-8
};

struct ChatFamily;  // In the .cc: how one family of models spells turns.

// Renders conversations as the Jinja template in a model's files would, for the families of models
// whose templates are known; no Jinja is run. Immutable.
class ChatTemplate {
 public:
  // The family that `jinja` (which may be empty) belongs to by what is characteristic of it;
  // where it is empty or unknown, by the control tokens that `tokenizer` has. FailedPrecondition,
  // naming the families, where neither says, and where `jinja` is known to be unlike all of them.
  static absl::StatusOr<ChatTemplate> Detect(std::string_view jinja,
                                             const chunking::Tokenizer& tokenizer);
  // InvalidArgument, naming the families, for an unknown name.
  static absl::StatusOr<ChatTemplate> ByName(std::string_view name,
                                             const chunking::Tokenizer& tokenizer);
  // "chatml, llama-2, ..."
  static std::string Names();

  std::string_view name() const;

  // The conversation up to where the assistant's next turn begins, without the bos at the very
  // beginning. Message contents are in kAsText parts, whatever they spell. InvalidArgument for an
  // empty conversation, one that does not end with a user's message, a system message that is not
  // the first, and, for families that need it, users and assistants that do not take turns.
  absl::StatusOr<std::vector<PromptPart>> Render(absl::Span<const ChatMessage> messages) const;

  // The ids of Render's parts, with bos where the family begins with it. `tokenizer` is the one
  // that the template was made for.
  absl::StatusOr<std::vector<uint32_t>> Encode(absl::Span<const ChatMessage> messages,
                                               const chunking::Tokenizer& tokenizer) const;

  // The same cut where `separator` stands in messages' contents, which do not keep it: ids of the
  // stretches, which are encoded one by one, and the conversation's when put behind each other.
  absl::StatusOr<std::vector<std::vector<uint32_t>>> EncodeStretches(
      absl::Span<const ChatMessage> messages, char separator,
      const chunking::Tokenizer& tokenizer) const;

 private:
  ChatTemplate(const ChatFamily* family, const chunking::Tokenizer& tokenizer);

  // Without the reasoning in earlier answers, where the template drops that.
  std::string Content(const ChatMessage& message) const;

  const ChatFamily* family_;
  std::string bos_;  // Spellings.
  std::string eos_;
  // What the model's own template adds: a system message where a conversation has none, text before
  // every system message, and whether it drops earlier turns' reasoning.
  std::string default_system_;
  std::string system_preamble_;
  bool drops_reasoning_ = false;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_CHAT_TEMPLATE_H_
