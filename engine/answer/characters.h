// The characters that marks and sentences are told by.
#ifndef CAIRN_ENGINE_ANSWER_CHARACTERS_H_
#define CAIRN_ENGINE_ANSWER_CHARACTERS_H_

#include <string_view>

namespace cairn::engine {

inline constexpr std::string_view kSpaces = " \t\n\r";

inline bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_ANSWER_CHARACTERS_H_
