#include "engine/generation/chat_template.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace cairn::engine {

// Markup holds "{bos}" and "{eos}" for the vocabulary's spellings of those. What is listed under
// `controls` and those two stand for control tokens in it; everything else is text.
struct ChatFamily {
  enum class SystemPlace : uint8_t { kOwnTurn, kFirstUser, kLastUser };
  // What loses the white space around it; kTurns: a user's turn with the system message in it.
  enum class Trim : uint8_t { kNothing, kContents, kTurns };
  struct Turn {
    std::string_view before;
    std::string_view after;
  };

  std::string_view name;
  Turn system;
  Turn user;
  Turn assistant;
  std::string_view generation;  // Where the assistant's turn begins.
  std::string_view between;     // Before every user's turn but the first.
  SystemPlace system_place = SystemPlace::kOwnTurn;
  bool begins_with_bos = false;
  Trim trim = Trim::kNothing;
  bool alternates = false;  // Users and assistants must take turns.
  std::array<std::string_view, 4> controls;
};

namespace {

using chunking::ControlText;
using chunking::Tokenizer;
using Place = ChatFamily::SystemPlace;
using Trim = ChatFamily::Trim;

// As Hugging Face's model repositories have them.
constexpr ChatFamily kChatFamilies[] = {
    {.name = "chatml",  // Qwen 1.5 to 3, SmolLM, Yi
     .system = {"<|im_start|>system\n", "<|im_end|>\n"},
     .user = {"<|im_start|>user\n", "<|im_end|>\n"},
     .assistant = {"<|im_start|>assistant\n", "<|im_end|>\n"},
     .generation = "<|im_start|>assistant\n",
     .between = "",
     .controls = {"<|im_start|>", "<|im_end|>"}},
    {.name = "llama-2",
     .system = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
     .user = {"[INST] ", " [/INST]"},
     .assistant = {" ", " {eos}"},
     .generation = "",
     .between = "{bos}",
     .system_place = Place::kFirstUser,
     .begins_with_bos = true,
     .trim = Trim::kTurns,
     .alternates = true,
     .controls = {}},
    {.name = "llama-3",
     .system = {"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"},
     .user = {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"},
     .assistant = {"<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"},
     .generation = "<|start_header_id|>assistant<|end_header_id|>\n\n",
     .between = "",
     .begins_with_bos = true,
     .trim = Trim::kContents,
     .controls = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}},
    {.name = "mistral-v0",  // The first template of Mistral-7B-Instruct-v0.2
     .system = {"", "\n\n"},
     .user = {"[INST] ", " [/INST]"},
     .assistant = {"", "{eos}"},
     .generation = "",
     .between = "",
     .system_place = Place::kFirstUser,
     .begins_with_bos = true,
     .alternates = true,
     .controls = {"[INST]", "[/INST]"}},
    {.name = "mistral-v1",  // Mixtral, and Mistral-7B-Instruct-v0.1 and v0.2 as they are now
     .system = {"", "\n\n"},
     .user = {" [INST] ", " [/INST]"},
     .assistant = {" ", "{eos}"},
     .generation = "",
     .between = "",
     .system_place = Place::kFirstUser,
     .begins_with_bos = true,
     .alternates = true,
     .controls = {"[INST]", "[/INST]"}},
    {.name = "mistral-v3",  // Mistral-7B-Instruct-v0.3
     .system = {"", "\n\n"},
     .user = {"[INST] ", "[/INST]"},
     .assistant = {" ", "{eos}"},
     .generation = "",
     .between = "",
     .system_place = Place::kLastUser,
     .begins_with_bos = true,
     .alternates = true,
     .controls = {"[INST]", "[/INST]"}},
    {.name = "mistral-tekken",  // Mistral Nemo
     .system = {"", "\n\n"},
     .user = {"[INST]", "[/INST]"},
     .assistant = {"", "{eos}"},
     .generation = "",
     .between = "",
     .system_place = Place::kLastUser,
     .begins_with_bos = true,
     .alternates = true,
     .controls = {"[INST]", "[/INST]"}},
    {.name = "phi-3",
     .system = {"<|system|>\n", "<|end|>\n"},
     .user = {"<|user|>\n", "<|end|>\n"},
     .assistant = {"<|assistant|>\n", "<|end|>\n"},
     .generation = "<|assistant|>\n",
     .between = "",
     .controls = {"<|system|>", "<|user|>", "<|assistant|>", "<|end|>"}},
    {.name = "gemma",  // Gemma 1 to 3
     .system = {"", "\n\n"},
     .user = {"<start_of_turn>user\n", "<end_of_turn>\n"},
     .assistant = {"<start_of_turn>model\n", "<end_of_turn>\n"},
     .generation = "<start_of_turn>model\n",
     .between = "",
     .system_place = Place::kFirstUser,
     .begins_with_bos = true,
     .trim = Trim::kContents,
     .alternates = true,
     .controls = {"<start_of_turn>", "<end_of_turn>"}},
    {.name = "zephyr",  // TinyLlama too
     .system = {"<|system|>\n", "{eos}\n"},
     .user = {"<|user|>\n", "{eos}\n"},
     .assistant = {"<|assistant|>\n", "{eos}\n"},
     .generation = "<|assistant|>\n",
     .between = "",
     .controls = {}},
    {.name = "falcon",  // Falcon-180B-chat
     .system = {"System: ", "\n"},
     .user = {"User: ", "\n"},
     .assistant = {"Falcon: ", "\n"},
     .generation = "Falcon:",
     .between = "",
     .controls = {}},
};

constexpr std::string_view kUnfit = "unfit";  // No family's name.

const ChatFamily* FindFamily(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kChatFamilies), std::end(kChatFamilies),
                                         [&](const ChatFamily& f) { return f.name == name; });
  return found == std::end(kChatFamilies) ? nullptr : found;
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool ContainsQuoted(std::string_view text, const std::string& literal) {
  return Contains(text, "'" + literal + "'") || Contains(text, "\"" + literal + "\"");
}

// The family that a Jinja template belongs to: empty where none is recognised, kUnfit where it is
// known to be unlike all of them.
std::string_view FamilyOfJinja(std::string_view jinja) {
  const auto has = [&](std::string_view part) { return Contains(jinja, part); };
  if (has("<|im_start|>")) return has("<|im_sep|>") ? kUnfit : "chatml";
  if (has("<|start_header_id|>")) return "llama-3";
  if (has("<start_of_turn>")) return "gemma";
  if (has("<<SYS>>")) return "llama-2";
  if (has("[INST]")) {
    if (has("[SYSTEM_PROMPT]")) return kUnfit;
    if (ContainsQuoted(jinja, " [INST] ")) return "mistral-v1";
    if (ContainsQuoted(jinja, "[INST]")) return "mistral-tekken";
    return ContainsQuoted(jinja, " [/INST]") ? "mistral-v0" : "mistral-v3";
  }
  if (has("<|assistant|>") && has("<|end|>")) return "phi-3";
  if (const size_t user = jinja.find("<|user|>"); user != std::string_view::npos) {
    const std::string_view expression = jinja.substr(user, jinja.find("}}", user) - user);
    if (Contains(expression, "eos_token")) return "zephyr";
  }
  if (has("Falcon:")) return "falcon";
  return "";
}

// The family that a vocabulary was made for; empty where its control tokens do not say.
std::string_view FamilyOfVocabulary(const Tokenizer& tokenizer) {
  const auto has = [&](const char* spelling) {
    const std::vector<uint32_t> ids = EncodeText(tokenizer, spelling, ControlText::kAsTokens);
    std::string bytes;
    if (ids.size() == 1) tokenizer.AppendBytes(ids[0], ControlText::kAsTokens, &bytes);
    return ids.size() == 1 && bytes.empty();
  };
  if (has("<|im_start|>") && has("<|im_end|>")) return "chatml";
  if (has("<|start_header_id|>") && has("<|eot_id|>")) return "llama-3";
  if (has("<start_of_turn>") && has("<end_of_turn>")) return "gemma";
  if (has("[INST]") && has("[/INST]")) return "mistral-v3";
  if (has("<|user|>") && has("<|assistant|>") && has("<|end|>")) return "phi-3";
  return "";
}

// The system message that a ChatML template has for conversations without one: the literal text in
// its first complete system turn.
std::string DefaultSystem(std::string_view jinja) {
  for (const std::string_view begin : {"<|im_start|>system\\n", "<|im_start|>system\n"}) {
    for (size_t at = jinja.find(begin); at != std::string_view::npos;
         at = jinja.find(begin, at + 1)) {
      const std::string_view rest = jinja.substr(at + begin.size());
      const std::string_view text = rest.substr(0, rest.find("<|im_end|>"));
      if (text.size() == rest.size() || text.empty()) continue;
      if (text.find_first_of("'\"{}\\") == std::string_view::npos) return std::string(text);
    }
  }
  return "";
}

std::string Spelling(const Tokenizer& tokenizer, std::optional<uint32_t> id) {
  std::string spelling;
  if (id.has_value()) tokenizer.AppendBytes(*id, ControlText::kAsText, &spelling);
  return spelling;
}

// Collects parts; text that meets text becomes one part.
class PartWriter {
 public:
  PartWriter(const ChatFamily& family, std::string bos, std::string eos)
      : bos_(std::move(bos)), eos_(std::move(eos)) {
    controls_.assign(family.controls.begin(), family.controls.end());
    controls_.insert(controls_.end(), {bos_, eos_});
    std::erase(controls_, "");
  }

  void Text(std::string_view text) {
    if (text.empty()) return;
    if (parts_.empty() || parts_.back().control == ControlText::kAsTokens) parts_.emplace_back();
    parts_.back().text += text;
  }

  void Markup(std::string_view markup) {
    const std::string spelled =
        absl::StrReplaceAll(std::string(markup), {{"{bos}", bos_}, {"{eos}", eos_}});
    std::string_view rest = spelled;
    while (!rest.empty()) {
      size_t at = rest.size(), size = 0;  // Of the first control token, the longest one there.
      for (const std::string& control : controls_) {
        const size_t found = rest.find(control);
        if (found < at || (found == at && control.size() > size)) {
          at = found;
          size = control.size();
        }
      }
      Text(rest.substr(0, at));
      if (size > 0) {
        parts_.push_back({std::string(rest.substr(at, size)), ControlText::kAsTokens});
      }
      rest.remove_prefix(at + size);
    }
  }

  std::vector<PromptPart> Take() { return std::move(parts_); }

 private:
  const std::string bos_;
  const std::string eos_;
  std::vector<std::string> controls_;
  std::vector<PromptPart> parts_;
};

absl::Status CheckConversation(absl::Span<const ChatMessage> messages, const ChatFamily& family) {
  const auto fault = [](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat("conversation: ", what...));
  };
  if (messages.empty()) return fault("no message");
  if (messages.back().role != ChatRole::kUser) return fault("the last message is not the user's");
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatRole role = messages[i].role;
    if (role == ChatRole::kSystem && i > 0) {
      return fault("message ", i + 1, " is a system message; only the first may be one");
    }
    if (!family.alternates || role == ChatRole::kSystem) continue;
    // The first turn is the user's, and each is another's than the one before.
    const bool first = i == 0 || messages[i - 1].role == ChatRole::kSystem;
    if (first ? role != ChatRole::kUser : role == messages[i - 1].role) {
      return fault("message ", i + 1, ": in the template ", std::string(family.name),
                   " users and assistants take turns, the user first");
    }
  }
  return absl::OkStatus();
}

// `alone`: no system message comes before it in the same turn.
std::string Trimmed(std::string content, const ChatFamily& family, bool alone) {
  if (family.trim == Trim::kNothing) return content;
  if (family.trim == Trim::kTurns && !alone) {
    absl::StripTrailingAsciiWhitespace(&content);
  } else {
    absl::StripAsciiWhitespace(&content);
  }
  return content;
}

}  // namespace

ChatTemplate::ChatTemplate(const ChatFamily* family, const Tokenizer& tokenizer)
    : family_(family),
      bos_(Spelling(tokenizer, tokenizer.special_tokens().bos)),
      eos_(Spelling(tokenizer, tokenizer.special_tokens().eos)) {}

absl::StatusOr<ChatTemplate> ChatTemplate::Detect(std::string_view jinja,
                                                  const Tokenizer& tokenizer) {
  std::string_view name = FamilyOfJinja(jinja);
  if (name.empty()) name = FamilyOfVocabulary(tokenizer);
  const ChatFamily* const family = FindFamily(name);
  if (family == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("the model's chat template is ",
                                                      jinja.empty()    ? "missing"
                                                      : name == kUnfit ? "of a form not supported"
                                                                       : "unknown",
                                                      "; name one that fits: ", Names()));
  }
  ChatTemplate chat(family, tokenizer);
  if (name == "chatml") {
    chat.default_system_ = DefaultSystem(jinja);
    chat.drops_reasoning_ = Contains(jinja, "</think>");
  }
  if (name == "llama-3" && Contains(jinja, "Cutting Knowledge Date")) {
    // Llama 3.1 and later always have a system turn. Its date is the one that their templates fall
    // back to: the same conversation gives the same prompt on any day.
    chat.system_preamble_ = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";
  }
  return chat;
}

absl::StatusOr<ChatTemplate> ChatTemplate::ByName(std::string_view name,
                                                  const Tokenizer& tokenizer) {
  const ChatFamily* const family = FindFamily(name);
  if (family != nullptr) return ChatTemplate(family, tokenizer);
  return absl::InvalidArgumentError(
      absl::StrCat("unknown chat template \"", std::string(name), "\"; known are ", Names()));
}

std::string ChatTemplate::Names() {
  std::string names;
  for (const ChatFamily& family : kChatFamilies) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", std::string(family.name));
  }
  return names;
}

std::string_view ChatTemplate::name() const { return family_->name; }

std::string ChatTemplate::Content(const ChatMessage& message) const {
  std::string_view content = message.content;
  if (drops_reasoning_ && message.role == ChatRole::kAssistant) {
    constexpr std::string_view kEnd = "</think>";
    const size_t end = content.rfind(kEnd);
    if (end != std::string_view::npos) {
      content.remove_prefix(end + kEnd.size());
      content.remove_prefix(std::min(content.find_first_not_of('\n'), content.size()));
    }
  }
  return std::string(content);
}

absl::StatusOr<std::vector<PromptPart>> ChatTemplate::Render(
    absl::Span<const ChatMessage> messages) const {
  const ChatFamily& family = *family_;
  const absl::Status status = CheckConversation(messages, family);
  if (!status.ok()) return status;
  PartWriter out(family, bos_, eos_);
  std::optional<std::string> system;
  if (messages.front().role == ChatRole::kSystem) {
    system = messages.front().content;
    if (family.system_place == Place::kOwnTurn) system = Trimmed(*system, family, true);
    messages.remove_prefix(1);
  } else if (!default_system_.empty()) {
    system = default_system_;
  }
  if (!system_preamble_.empty()) system = system_preamble_ + system.value_or("");
  const auto write_system = [&] {
    out.Markup(family.system.before);
    out.Text(*system);
    out.Markup(family.system.after);
  };
  if (system.has_value() && family.system_place == Place::kOwnTurn) write_system();
  for (size_t i = 0; i < messages.size(); ++i) {
    const bool from_user = messages[i].role == ChatRole::kUser;
    const ChatFamily::Turn& turn = from_user ? family.user : family.assistant;
    if (from_user && i > 0) out.Markup(family.between);
    out.Markup(turn.before);
    const bool here = family.system_place == Place::kFirstUser  ? i == 0
                      : family.system_place == Place::kLastUser ? i + 1 == messages.size()
                                                                : false;
    if (system.has_value() && here) write_system();
    out.Text(Trimmed(Content(messages[i]), family, !(system.has_value() && here)));
    out.Markup(turn.after);
  }
  out.Markup(family.generation);
  return out.Take();
}

absl::StatusOr<std::vector<uint32_t>> ChatTemplate::Encode(absl::Span<const ChatMessage> messages,
                                                           const Tokenizer& tokenizer) const {
  absl::StatusOr<std::vector<PromptPart>> parts = Render(messages);
  if (!parts.ok()) return parts.status();
  return EncodeParts(tokenizer, *parts, family_->begins_with_bos);
}

absl::StatusOr<std::vector<std::vector<uint32_t>>> ChatTemplate::EncodeStretches(
    absl::Span<const ChatMessage> messages, char separator, const Tokenizer& tokenizer) const {
  absl::StatusOr<std::vector<PromptPart>> parts = Render(messages);
  if (!parts.ok()) return parts.status();
  std::vector<std::vector<PromptPart>> stretches(1);
  for (const PromptPart& part : *parts) {
    if (part.control == ControlText::kAsTokens) {
      stretches.back().push_back(part);
      continue;
    }
    std::string_view rest = part.text;
    for (size_t end; (end = rest.find(separator)) != std::string_view::npos;) {
      stretches.back().push_back({std::string(rest.substr(0, end)), part.control});
      stretches.emplace_back();
      rest.remove_prefix(end + 1);
    }
    stretches.back().push_back({std::string(rest), part.control});
  }
  std::vector<std::vector<uint32_t>> ids;
  for (const std::vector<PromptPart>& stretch : stretches) {
    ids.push_back(ids.empty() ? EncodeParts(tokenizer, stretch, family_->begins_with_bos)
                              : EncodeInnerParts(tokenizer, stretch));
  }
  return ids;
}

}  // namespace cairn::engine
