// Random documents over a small Zipf vocabulary, and queries for them.
#ifndef CAIRN_TESTS_SUPPORT_RANDOM_DOCUMENTS_H_
#define CAIRN_TESTS_SUPPORT_RANDOM_DOCUMENTS_H_

#include <cstdint>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/prepared.h"
#include "tests/support/zipf_collection.h"

namespace cairn::testing {

class RandomDocuments {
 public:
  explicit RandomDocuments(size_t vocabulary = 300) : terms_(vocabulary, 1.0) {}

  std::string Words(size_t count, std::mt19937& rng) const {
    std::string words;
    for (size_t i = 0; i < count; ++i) absl::StrAppend(&words, i > 0 ? " w" : "w", terms_(rng));
    return words;
  }

  // Document `id`, of one to four chunks, with a field "group" of 0 to 9.
  index::PreparedDocument operator()(const std::string& id, std::mt19937& rng) const {
    std::string text;
    for (size_t c = 1 + rng() % 4; c > 0; --c) {
      absl::StrAppend(&text, Words(1 + rng() % 30, rng), c > 1 ? "\n" : "");
    }
    return Prepare(id, std::move(text), {{"group", static_cast<int64_t>(rng() % 10)}});
  }

 private:
  ZipfTerms terms_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_RANDOM_DOCUMENTS_H_
