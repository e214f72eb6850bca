// Static embedding models made from encoders.
#ifndef CAIRN_ENGINE_MODEL_MODEL_DISTILLATION_H_
#define CAIRN_ENGINE_MODEL_MODEL_DISTILLATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/model/static_distillation.h"

namespace cairn::engine {

struct DistillationRequest {
  std::string encoder;             // A directory with tokenizer.json.
  std::string to;                  // Nothing may be there yet.
  std::vector<std::string> texts;  // Files of one text in a line.
  std::string wordnet;             // Directory of WordNet's data files; empty: none.
  std::string name;                // Of the encoder, in config.json; empty: its directory's.
  double alpha = 0.6;              // StaticModelFacts::alpha
  DistillationOptions options;
};

struct DistillationReport {
  uint64_t texts = 0;
  uint64_t tokens = 0;
  double explained = 0;  // DistilledModel::explained
  uint64_t bytes = 0;    // Of the model's files.
};

// Writes the directory `to` in model2vec's layout. It appears when it is complete and on disk;
// until then, or on failure, there is only TO.partial, which goes away again. Faults of paths,
// encoder and texts are found before the work begins. Errors as OpenEmbedder's, ModelDirectory's,
// AppendLines', AppendWordnet's and Distill's.
absl::StatusOr<DistillationReport> DistillModel(
    const DistillationRequest& request, absl::FunctionRef<bool(uint64_t, uint64_t)> keep_on);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_MODEL_DISTILLATION_H_
