// The index that bench_ann compares with, in a unit of its own: compiled with -O3 -march=native.
#ifndef CAIRN_TESTS_BENCH_HNSWLIB_INDEX_H_
#define CAIRN_TESTS_BENCH_HNSWLIB_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace cairn::bench {

// hnswlib::HierarchicalNSW over the inner product. Not thread-safe.
class HnswlibIndex {
 public:
  HnswlibIndex(size_t dim, size_t capacity, size_t links, size_t ef_construction);
  ~HnswlibIndex();

  // Adds the next vector [dim].
  void Add(const float* vector);
  // The k nearest of the query, in any order.
  void Search(const float* query, size_t k, size_t ef, std::vector<uint32_t>* found);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::bench

#endif  // CAIRN_TESTS_BENCH_HNSWLIB_INDEX_H_
