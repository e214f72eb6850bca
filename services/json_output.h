// Results as JSON, the same shapes wherever a command prints them.
#ifndef CAIRN_SERVICES_JSON_OUTPUT_H_
#define CAIRN_SERVICES_JSON_OUTPUT_H_

#include <nlohmann/json.hpp>
#include <string>

#include "engine/engine.h"

namespace cairn::services {

using Json = nlohmann::ordered_json;

Json ToJson(const Metadata& metadata);
Json ToJson(const SearchHit& hit, SearchMode mode);
Json ToJson(const AskResponse& response);
Json ToJson(const StoredDocument& document);
Json ToJson(const StoreInfo& info);
Json ToJson(const VerifyResult& result);
Json ToJson(const IngestReport& report);
Json ToJson(const ReembedReport& report);
Json ToJson(const ReuseReport& report);
Json ToJson(const KvBuildReport& report);
Json ToJson(const KvInfo& info);
Json ToJson(const KvVerifyResult& result);

// Text that is not valid UTF-8 (a path in an error, say) is shown with replacement characters.
std::string Dump(const Json& json, int indent = 2);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_JSON_OUTPUT_H_
