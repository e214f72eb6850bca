#include "engine/kv/attention_mass.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/aligned_vector.h"
#include "kernels/attention.h"
#include "kernels/distance.h"
#include "kernels/thread_team.h"

namespace cairn::engine {
namespace {

// Tokens [0, count)'s keys of one head, [count][head_dim].
void LoadKeys(const AttentionRequest& request, const KvLayout& layout, size_t kv_head, size_t count,
              float* keys) {
  for (size_t t = 0; t < count; ++t) {
    const KvPage& page = *request.sequence->pages()[t / kKvPageTokens];
    kernels::LoadKv(layout.type, page.tile(request.layer, kv_head), layout.head_dim,
                    t % kKvPageTokens, keys + t * layout.head_dim, nullptr);
  }
}

}  // namespace

void AddAttentionMass(const AttentionRequest& request, Decoder* decoder, float* mass) {
  const ModelConfig& config = decoder->config();
  const KvLayout layout = decoder->kv_layout();
  const size_t rows = request.slots.size();
  if (rows == 0) return;
  const size_t tokens = size_t{request.slots.back()} + 1;
  const size_t head_dim = layout.head_dim, group = config.heads / config.kv_heads;
  const size_t window = config.WindowOf(static_cast<uint32_t>(request.layer));
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
  const auto scan = kernels::GetDistanceKernels().scan_f32;
  kernels::AlignedVector<float> keys;
  kernels::Grow(&keys, tokens * head_dim);
  for (size_t kv_head = 0; kv_head < layout.kv_heads; ++kv_head) {
    LoadKeys(request, layout, kv_head, tokens, keys.data());
    decoder->team().Run([&](size_t member) {
      std::vector<float> scores(tokens);
      const kernels::Share share = kernels::ShareOf(rows, 1, member, decoder->team().size());
      for (size_t r = share.begin; r < share.end; ++r) {
        const size_t limit = size_t{request.slots[r]} + 1;
        const size_t first = window != 0 && limit > window ? limit - window : 0;
        float* out = mass + r * tokens;
        for (size_t g = 0; g < group; ++g) {
          const float* query =
              request.queries + (r * config.heads + kv_head * group + g) * head_dim;
          scan(query, keys.data() + first * head_dim, limit - first, head_dim, scores.data());
          const float most = *std::max_element(scores.begin(), scores.begin() + (limit - first));
          float sum = 0;
          for (size_t t = 0; t < limit - first; ++t) {
            scores[t] = std::exp((scores[t] - most) * scale);
            sum += scores[t];
          }
          const float share_of_one = 1 / (sum * static_cast<float>(config.heads));
          for (size_t t = 0; t < limit - first; ++t) out[first + t] += scores[t] * share_of_one;
        }
      }
    });
  }
}

}  // namespace cairn::engine
