// A vector whose storage begins on a cache line, so that wide loads do not straddle two.
#ifndef CAIRN_KERNELS_ALIGNED_VECTOR_H_
#define CAIRN_KERNELS_ALIGNED_VECTOR_H_

#include <cstddef>
#include <new>
#include <vector>

namespace cairn::kernels {

template <class T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  CacheLineAllocator() = default;
  template <class U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}

  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kLine)); }
  void deallocate(T* p, size_t) { ::operator delete(p, kLine); }
  // Elements begin undefined, not zero: these buffers are scratch, and large.
  template <class U>
  void construct(U* p) {
    ::new (static_cast<void*>(p)) U;
  }
  friend bool operator==(const CacheLineAllocator&, const CacheLineAllocator&) { return true; }
};

template <class T>
using AlignedVector = std::vector<T, CacheLineAllocator<T>>;

// Makes `buffer` hold at least `size` elements; what it held is lost where it grows.
template <class T>
T* Grow(AlignedVector<T>* buffer, size_t size) {
  if (buffer->size() < size) {
    buffer->clear();  // Nothing to copy.
    buffer->resize(size);
  }
  return buffer->data();
}

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_ALIGNED_VECTOR_H_
