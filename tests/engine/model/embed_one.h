// Embeds single texts.
#ifndef CAIRN_TESTS_ENGINE_MODEL_EMBED_ONE_H_
#define CAIRN_TESTS_ENGINE_MODEL_EMBED_ONE_H_

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "engine/model/embedder.h"

namespace cairn::engine::testing {

inline std::vector<float> EmbedOne(const Embedder& embedder, std::string_view text) {
  std::vector<float> vector(embedder.dim(), 99.0f);
  const absl::Status status = embedder.Embed(TextKind::kPassage, {text}, absl::MakeSpan(vector));
  EXPECT_TRUE(status.ok()) << status;
  return vector;
}

}  // namespace cairn::engine::testing

#endif  // CAIRN_TESTS_ENGINE_MODEL_EMBED_ONE_H_
