#include <string>

#include "chunking/text/tokenizer.h"
#include "chunking/text/utf8_repair.h"

namespace cairn::chunking {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool continues)
    : tokenizer_(tokenizer), at_start_(!continues && tokenizer.starts_with_space()) {}

std::string StreamDecoder::Append(uint32_t id) {
  tokenizer_.AppendBytes(id, ControlText::kAsTokens, &pending_);
  if (at_start_ && !pending_.empty()) {
    if (pending_.front() == ' ') pending_.erase(0, 1);
    at_start_ = false;
  }
  const size_t ready = pending_.size() - UnfinishedUtf8(pending_);
  std::string text;
  AppendRepairedUtf8(std::string_view(pending_).substr(0, ready), &text);
  pending_.erase(0, ready);
  return text;
}

std::string StreamDecoder::Finish() {
  std::string text;
  AppendRepairedUtf8(pending_, &text);
  pending_.clear();
  return text;
}

}  // namespace cairn::chunking
