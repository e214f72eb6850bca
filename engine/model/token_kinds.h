// What kinds of tokens a vocabulary has.
#ifndef CAIRN_ENGINE_MODEL_TOKEN_KINDS_H_
#define CAIRN_ENGINE_MODEL_TOKEN_KINDS_H_

#include <cstdint>
#include <vector>

#include "chunking/text/tokenizer.h"

namespace cairn::engine {

enum class TokenKind : uint8_t {
  kWord,   // Words and parts of words.
  kQuiet,  // Only digits, or one character that is neither letter nor digit.
  kNone,   // Nothing that text is made of: control tokens, "[unused7]", the unknown token, ids
           // without a token.
};

// [vocabulary_size]
std::vector<TokenKind> KindsOfTokens(const chunking::Tokenizer& tokenizer);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_TOKEN_KINDS_H_
