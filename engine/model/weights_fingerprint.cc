#include "engine/model/weights_fingerprint.h"

#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace cairn::engine {
namespace {

// Changed when the same files come to mean another model.
constexpr std::string_view kLanguageModelTag = "cairn language model 1";
constexpr size_t kSampleBytes = 256;

void AppendHash(std::string_view bytes, std::string* summary) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  absl::StrAppend(summary, absl::Hex(hash.high64, absl::kZeroPad16),
                  absl::Hex(hash.low64, absl::kZeroPad16), ";");
}

}  // namespace

std::string WeightsFingerprint(const std::vector<std::string_view>& files,
                               const Checkpoint& checkpoint) {
  std::map<std::string, TensorView, std::less<>> tensors;
  for (const std::string& name : checkpoint.TensorNames()) {
    const auto tensor = checkpoint.Find(name);
    if (tensor.ok()) tensors[name] = *tensor;
  }
  return WeightsFingerprint(kLanguageModelTag, files, tensors);
}

std::string WeightsFingerprint(std::string_view tag, const std::vector<std::string_view>& files,
                               const std::map<std::string, TensorView, std::less<>>& tensors) {
  std::string summary(tag);
  for (std::string_view file : files) AppendHash(file, &summary);
  for (const auto& [name, tensor] : tensors) {
    const std::string_view bytes = tensor.bytes;
    const size_t size = std::min(kSampleBytes, bytes.size());
    absl::StrAppend(&summary, name, ":", static_cast<int>(tensor.format), ":", bytes.size(), ":");
    for (size_t at : {size_t{0}, (bytes.size() - size) / 2, bytes.size() - size}) {
      AppendHash(bytes.substr(at, size), &summary);
    }
  }
  const XXH128_hash_t hash = XXH3_128bits(summary.data(), summary.size());
  return absl::StrCat(absl::Hex(hash.high64, absl::kZeroPad16),
                      absl::Hex(hash.low64, absl::kZeroPad16));
}

}  // namespace cairn::engine
