// Answers to a file of topics.
#ifndef CAIRN_SERVICES_ASK_TOPICS_H_
#define CAIRN_SERVICES_ASK_TOPICS_H_

#include <cstddef>
#include <string>

#include "engine/engine.h"
#include "engine/eval/trec_rag_writer.h"
#include "services/backend.h"

namespace cairn::services {

struct AskTopicsOptions {
  std::string topics;    // File.
  std::string trec_rag;  // File to write; "-": standard output; empty: none.
  std::string answers;   // The same.
  engine::TrecRagRun run;
  size_t at_once = 1;  // Topics answered together.
};

// Answers every topic as `request` says, then writes the files. An exit code; after an interrupt
// nothing is written.
int AskTopics(Backend& backend, const AskRequest& request, const AskTopicsOptions& options);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_ASK_TOPICS_H_
