// Options of stores in tests.
#ifndef CAIRN_TESTS_SUPPORT_TEST_STORE_H_
#define CAIRN_TESTS_SUPPORT_TEST_STORE_H_

#include "index/store.h"
#include "tests/support/prepared.h"

namespace cairn::testing {

// Creates what is missing, and does not mind a disk that is nearly full.
inline index::StoreOptions Writable() {
  index::StoreOptions o;
  o.rows.create_if_missing = true;
  o.rows.min_free_bytes = 0;
  return o;
}

// For documents of tests/support/prepared.h.
inline index::CollectionSettings Settings() {
  index::CollectionSettings s;
  s.dim = kTestDim;
  return s;
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_TEST_STORE_H_
