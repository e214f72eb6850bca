// What a chunk's tokens have seen when their keys and values are computed.
#ifndef CAIRN_ENGINE_KV_KV_SOURCE_H_
#define CAIRN_ENGINE_KV_KV_SOURCE_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace cairn::engine {

// The numbers are part of blobs' names.
enum class KvSource : uint8_t {
  kIsolated = 0,  // The chunk alone.
  kPreface = 1,   // The preface that every prompt begins with, then the chunk.
  kDocument = 2,  // The preface, then the document up to the chunk.
  kPrompt = 3,    // A prompt that it was read in: kept by answers, not built (Cache-Craft).
};
// "isolated", "preface", "document", "prompt".
std::string_view KvSourceName(KvSource source);
std::optional<KvSource> ParseKvSource(std::string_view name);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_SOURCE_H_
