// The bytes of the model compiled into the library (default_model.S).
#ifndef CAIRN_ENGINE_MODEL_DEFAULT_MODEL_H_
#define CAIRN_ENGINE_MODEL_DEFAULT_MODEL_H_

#include "engine/model/static_embedder.h"

namespace cairn::engine {

// Views of bytes that live as long as the program.
StaticModelFiles DefaultModelFiles();

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_DEFAULT_MODEL_H_
