// Vector sections of damaged segments: whatever bytes, opening fails or searches end without harm.
// The first byte picks the sizes expected, the rest is the file without its header: magic and
// version are put in front, or the fuzzer would never get past them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "index/segment/section_file.h"
#include "index/segment/vector_segment.h"

namespace ci = cairn::index;

namespace {

constexpr size_t kAlignment = 64;

struct FreeAligned {
  void operator()(char* p) const { ::operator delete[](p, std::align_val_t{kAlignment}); }
};

void Use(const ci::VectorSegment& segment, size_t slots, size_t dim) {
  (void)segment.Check();
  const ci::SlotSet all(slots, true);
  ci::SlotSet some(slots);
  for (size_t slot = 0; slot < slots; slot += 3) some.Set(static_cast<ci::Slot>(slot));
  std::vector<float> query(dim);
  query[0] = 1;
  ci::VectorSearchOptions narrow;
  narrow.ef = 2;
  narrow.nprobe = 1;
  for (const ci::SlotSet& allowed : {all, some}) {
    for (const ci::VectorSearchOptions& options : {narrow, ci::VectorSearchOptions()}) {
      const auto found =
          segment.Search(query, 2, allowed, -std::numeric_limits<float>::infinity(), options);
      if (!found.ok() || found->size() > 2) std::abort();
      for (const ci::ScoredSlot& result : *found) {
        if (result.slot >= slots || !allowed.Test(result.slot)) std::abort();
        if (segment.Exact(result.slot) == nullptr) std::abort();
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  constexpr size_t kSlots[] = {0, 1, 70, 300};
  constexpr size_t kDims[] = {1, 2, 4, 8};
  const size_t slots = kSlots[data[0] % 4];
  const size_t dim = kDims[data[0] / 4 % 4];
  const char header[kAlignment] = {'C', 'A', 'I', 'R', 'N', 'S', 'E', 'G', 1};
  const size_t bytes = sizeof header + size - 1;
  // Of exactly that size: AddressSanitizer sees any read past it.
  const std::unique_ptr<char[], FreeAligned> file(
      static_cast<char*>(::operator new[](bytes, std::align_val_t{kAlignment})));
  std::memcpy(file.get(), header, sizeof header);
  std::memcpy(file.get() + sizeof header, data + 1, size - 1);
  const auto opened = ci::SectionFile::FromBytes(absl::MakeConstSpan(file.get(), bytes));
  if (!opened.ok()) return 0;
  const auto segment = ci::VectorSegment::Open(*opened, slots, dim);
  if (segment.ok()) Use(**segment, slots, dim);
  return 0;
}
