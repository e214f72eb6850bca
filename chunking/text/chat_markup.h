// Tokens that give conversations their form.
#ifndef CAIRN_CHUNKING_TEXT_CHAT_MARKUP_H_
#define CAIRN_CHUNKING_TEXT_CHAT_MARKUP_H_

#include <string_view>

namespace cairn::chunking {

// Whether models are known to end an answer with the token `spelling`.
bool EndsAnswers(std::string_view spelling);

// Whether `spelling` is markup of a conversation in some model: it begins or ends texts, turns or
// messages, or says whose they are. Such a token is a control token whatever a file calls it: as
// one that stands for text, it would let what a user writes pass for markup.
bool IsChatMarkup(std::string_view spelling);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_CHAT_MARKUP_H_
