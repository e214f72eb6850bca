#include "engine/kv/kv_source.h"

#include <array>
#include <utility>

namespace cairn::engine {
namespace {

constexpr std::array<std::pair<KvSource, std::string_view>, 4> kSourceNames = {{
    {KvSource::kIsolated, "isolated"},
    {KvSource::kPreface, "preface"},
    {KvSource::kDocument, "document"},
    {KvSource::kPrompt, "prompt"},
}};

}  // namespace

std::string_view KvSourceName(KvSource source) {
  for (const auto& [known, name] : kSourceNames) {
    if (known == source) return name;
  }
  return "unknown";
}

std::optional<KvSource> ParseKvSource(std::string_view name) {
  for (const auto& [source, known] : kSourceNames) {
    if (known == name) return source;
  }
  return std::nullopt;
}

}  // namespace cairn::engine
