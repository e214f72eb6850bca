// A value per Unicode code point, computed in pages of 256 the first time one is asked for.
#ifndef CAIRN_CHUNKING_TEXT_CODE_POINT_TABLE_H_
#define CAIRN_CHUNKING_TEXT_CODE_POINT_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>

namespace cairn::chunking {

// Asking ICU for several properties of every character costs more than a scanner may spend, and
// computing all 1.1 million at start costs milliseconds; texts use a few pages. `Compute` is a
// stateless function object: Value operator()(char32_t) const.
// Thread-safe: two threads may compute the same page, one result is kept.
template <typename Value, typename Compute>
class CodePointTable {
 public:
  CodePointTable() = default;
  CodePointTable(const CodePointTable&) = delete;
  CodePointTable& operator=(const CodePointTable&) = delete;
  ~CodePointTable() {
    for (std::atomic<Page*>& page : pages_) delete page.load(std::memory_order_relaxed);
  }

  // `c` is at most 0x10FFFF.
  Value operator[](char32_t c) const {
    const Page* page = pages_[c >> 8].load(std::memory_order_acquire);
    if (page == nullptr) page = AddPage(c >> 8);
    return (*page)[c & 0xFF];
  }

 private:
  using Page = std::array<Value, 256>;

  const Page* AddPage(size_t index) const {
    auto page = std::make_unique<Page>();
    for (size_t i = 0; i < page->size(); ++i) {
      (*page)[i] = Compute()(static_cast<char32_t>(index << 8 | i));
    }
    Page* expected = nullptr;
    if (pages_[index].compare_exchange_strong(expected, page.get(), std::memory_order_acq_rel)) {
      return page.release();
    }
    return expected;
  }

  mutable std::array<std::atomic<Page*>, 0x1100> pages_{};
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_CODE_POINT_TABLE_H_
