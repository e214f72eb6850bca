// The texts that a distilled model learns from.
#ifndef CAIRN_ENGINE_MODEL_DISTILLATION_TEXTS_H_
#define CAIRN_ENGINE_MODEL_DISTILLATION_TEXTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace cairn::engine {

// Appends one text for each line of a file in UTF-8 that is not blank. NotFound and the system's
// other errors; InvalidArgument for what is not UTF-8, or is no regular file. All begin with the
// path.
absl::Status AppendLines(const std::string& path, std::vector<std::string>* texts);

// Appends one text for each synset in WordNet's data.noun, .verb, .adj and .adv in `directory`
// (wndb(5WN)): "word, other word: definition; "example"". Errors as AppendLines'; InvalidArgument,
// naming the line, for what is not in the format.
absl::Status AppendWordnet(const std::string& directory, std::vector<std::string>* texts);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_DISTILLATION_TEXTS_H_
