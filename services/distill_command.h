// cairn model distill.
#ifndef CAIRN_SERVICES_DISTILL_COMMAND_H_
#define CAIRN_SERVICES_DISTILL_COMMAND_H_

#include "engine/model/model_distillation.h"

namespace CLI {
class App;
}

namespace cairn::services {

class DistillCommand {
 public:
  // Adds it to `parent`, and its flags; both end after Run.
  CLI::App* Register(CLI::App* parent);
  int Run();

 private:
  engine::DistillationRequest request_;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_DISTILL_COMMAND_H_
