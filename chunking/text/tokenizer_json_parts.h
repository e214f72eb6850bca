// The parts of a tokenizer.json that all its models share.
#ifndef CAIRN_CHUNKING_TEXT_TOKENIZER_JSON_PARTS_H_
#define CAIRN_CHUNKING_TEXT_TOKENIZER_JSON_PARTS_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "chunking/text/added_tokens.h"
#include "chunking/text/json_members.h"
#include "chunking/text/sentence_piece.h"
#include "chunking/text/text_normalizer.h"
#include "chunking/text/vocabulary.h"
#include "chunking/text/vocabulary_tokenizer.h"

namespace cairn::chunking {

absl::Status InsertToken(std::string_view token, uint64_t id, Vocabulary* vocabulary);

// The type of a component; empty where it is absent.
absl::StatusOr<std::string> ComponentType(const simdjson::dom::object& object);

// Reads the flags of an added token, but not its id. Chat markup is special whatever it says.
absl::Status ReadAddedTokenFlags(const simdjson::dom::object& object, AddedToken* token);

// Reads "added_tokens". A token for which `find` knows an id (not Vocabulary::kNone) gets that one.
// `size` is the number of tokens of the vocabulary.
absl::StatusOr<std::vector<AddedToken>> ReadAddedTokens(
    const simdjson::dom::object& root, size_t size,
    const std::function<uint32_t(std::string_view)>& find);

// Makes the added tokens stand for their contents in `facts->texts`, as control tokens where they
// are special, and notes those that end an answer.
void AddTexts(const std::vector<AddedToken>& tokens, VocabularyFacts* facts);

// Reads "normalizer". InvalidArgument also where its steps together could make texts many times
// longer.
absl::StatusOr<std::vector<NormalizerStep>> ReadNormalizers(const simdjson::dom::object& root);

// Reads bos and eos, and whether they are added, from "post_processor", where there is one.
absl::Status ReadPostProcessor(const simdjson::dom::object& root, SpecialTokens* special);

// Reads a Metaspace component.
absl::Status ReadMetaspace(const simdjson::dom::object& object, Metaspace* metaspace);

// Sets bos and eos, and whether they are added, as a tokenizer_config.json says; leaves what it
// does not say, or all where it is empty. `find` gives a token's id, or Vocabulary::kNone.
absl::Status ApplyTokenizerConfig(std::string_view json,
                                  const std::function<uint32_t(std::string_view)>& find,
                                  SpecialTokens* special);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_TOKENIZER_JSON_PARTS_H_
