#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "chunking/chunkers/chunker.h"
#include "chunking/chunkers/fixed_chunker.h"
#include "chunking/chunkers/sentence_chunker.h"
#include "chunking/chunkers/structure_chunker.h"

namespace cairn::chunking {
namespace {

constexpr size_t kFewestTokens = 8;
constexpr size_t kMostTokens = 65536;

}  // namespace

absl::StatusOr<std::unique_ptr<Chunker>> MakeChunker(std::string_view name,
                                                     const ChunkerOptions& options,
                                                     const Tokenizer* tokenizer) {
  if (tokenizer == nullptr) return absl::InvalidArgumentError("a chunker needs a tokenizer");
  if (options.max_tokens < kFewestTokens || options.max_tokens > kMostTokens) {
    return absl::InvalidArgumentError(absl::StrCat("max_tokens is ", options.max_tokens,
                                                   "; it must be from ", kFewestTokens, " to ",
                                                   kMostTokens));
  }
  if (options.overlap_tokens >= options.max_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("overlap_tokens is ", options.overlap_tokens,
                                                   "; it must be less than max_tokens (",
                                                   options.max_tokens, ")"));
  }
  const bool known = name == "fixed" || name == "sentence" || name == "structure";
  if (known && options.overlap_tokens > 0 && name != "fixed") {
    return absl::InvalidArgumentError("overlap_tokens is only for the chunker \"fixed\"");
  }
  if (name == "fixed") return std::make_unique<FixedChunker>(options, tokenizer);
  if (name == "sentence") return std::make_unique<SentenceChunker>(options, tokenizer);
  if (name == "structure") return std::make_unique<StructureChunker>(options, tokenizer);
  return absl::InvalidArgumentError(absl::StrCat("unknown chunker \"", std::string(name),
                                                 "\"; known: fixed, sentence, structure"));
}

}  // namespace cairn::chunking
