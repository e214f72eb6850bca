// The flags of every command that runs a language model.
#ifndef CAIRN_SERVICES_DECODER_FLAGS_H_
#define CAIRN_SERVICES_DECODER_FLAGS_H_

#include <cstddef>
#include <string>

#include "engine/model/decoder.h"

namespace CLI {
class App;
}

namespace cairn::services {

struct DecoderFlags {
  size_t threads = 0;
  std::string kv = "auto";
  std::string compute = "auto";
  size_t context = 0;

  // --threads, --kv, --compute, --max-context. The parser refuses unknown names.
  void Register(CLI::App* command);
  engine::DecoderOptions Options() const;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_DECODER_FLAGS_H_
