// Large working memory with fewer address translations.
#ifndef CAIRN_INDEX_SEGMENT_HUGE_PAGES_H_
#define CAIRN_INDEX_SEGMENT_HUGE_PAGES_H_

#include <cstddef>

namespace cairn::index {

// Asks the system to back [data, data + bytes) with huge pages, as far as whole ones lie in it:
// random accesses to memory much larger than the TLB covers are a third slower without. To be
// called before the memory is written. Only advice: nothing happens where it is not supported.
void UseHugePages(void* data, size_t bytes);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_HUGE_PAGES_H_
