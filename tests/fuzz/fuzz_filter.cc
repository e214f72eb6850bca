// The filter language: whatever parses has a normal form that parses, to the same normal form and
// the same matches.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "index/filter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using cairn::index::Filter;
  static const auto& metadata = *new cairn::chunking::Metadata{
      {"a", int64_t{1}},
      {"b", 2.5},
      {"c", std::string("x")},
      {"d", true},
      {"e", std::vector<std::string>{"x", "y"}},
  };
  const auto filter = Filter::Parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!filter.ok()) return 0;
  const std::string normal = filter->ToString();
  const auto again = Filter::Parse(normal);
  if (!again.ok() || again->ToString() != normal) std::abort();
  if (again->Matches(metadata) != filter->Matches(metadata)) std::abort();
  return 0;
}
