// JSON objects, one a line.
#ifndef CAIRN_ENGINE_BATCH_JSON_LINES_H_
#define CAIRN_ENGINE_BATCH_JSON_LINES_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "chunking/readers/line_reader.h"
#include "chunking/readers/reader.h"

namespace cairn::engine {

// Holds one line at a time. Blank lines are passed over. Not thread-safe.
class JsonLines {
 public:
  // `name` stands in errors. A bad line is an error "name:line: reason", or with `skip_bad` it is
  // only counted. `input` must outlive the reader.
  JsonLines(chunking::ByteSource& input, std::string name, bool skip_bad);

  // Hands the next line to `parse`, whose error says what is wrong with it. False at the end.
  absl::StatusOr<bool> Next(absl::FunctionRef<absl::Status(nlohmann::json)> parse);

  uint64_t skipped() const { return skipped_; }
  uint64_t bytes() const { return bytes_; }  // Read so far.

 private:
  chunking::LineReader lines_;
  const std::string name_;
  const bool skip_bad_;
  uint64_t skipped_ = 0;
  uint64_t bytes_ = 0;
};

// The member of an object that is a string or, in some collections' ids, a whole number, as text.
// InvalidArgument naming the key where it is absent or something else.
absl::StatusOr<std::string> TextMember(const nlohmann::json& object, const char* key);

// The number with as many digits as a float needs, and no more, when it is printed.
double Shortest(float value);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_BATCH_JSON_LINES_H_
