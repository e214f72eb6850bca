#include "tests/bench/hnswlib_index.h"

#include <hnswlib/hnswlib.h>

namespace cairn::bench {

struct HnswlibIndex::Impl {
  Impl(size_t dim, size_t capacity, size_t links, size_t ef_construction)
      : space(dim), index(&space, capacity, links, ef_construction) {}

  hnswlib::InnerProductSpace space;
  hnswlib::HierarchicalNSW<float> index;
  size_t size = 0;
};

HnswlibIndex::HnswlibIndex(size_t dim, size_t capacity, size_t links, size_t ef_construction)
    : impl_(std::make_unique<Impl>(dim, capacity, links, ef_construction)) {}
HnswlibIndex::~HnswlibIndex() = default;

void HnswlibIndex::Add(const float* vector) { impl_->index.addPoint(vector, impl_->size++); }

void HnswlibIndex::Search(const float* query, size_t k, size_t ef, std::vector<uint32_t>* found) {
  impl_->index.setEf(ef);
  auto results = impl_->index.searchKnn(query, k);
  found->clear();
  for (; !results.empty(); results.pop()) {
    found->push_back(static_cast<uint32_t>(results.top().second));
  }
}

}  // namespace cairn::bench
