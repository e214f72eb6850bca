#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cairn/v1/models.grpc.pb.h"
#include "cairn/v1/models.pb.h"
#include "services/server/server_state.h"
#include "services/server/services.h"
#include "services/server/unary_call.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

constexpr Method kGetModels = {"cairn.v1.Models/GetModels"};
constexpr Method kEmbed = {"cairn.v1.Models/Embed"};
constexpr Method kRerank = {"cairn.v1.Models/Rerank"};

constexpr int kMostTexts = 1000;
// Texts of one call to the model, so that a call that is stopped ends soon.
constexpr size_t kTextsAtOnce = 8;

absl::Status CheckCount(const char* field, int count) {
  if (count >= 1 && count <= kMostTexts) return absl::OkStatus();
  return BadField(field, absl::StrCat("there must be 1 to ", kMostTexts, "; there are ", count));
}

// Models are the same for every collection: any permission to read will do.
absl::Status AuthorizeModels(const Call& call) {
  if (call.identity().AllowsAny(Permission::kRead)) return absl::OkStatus();
  return WithReason(
      absl::PermissionDeniedError("the token does not have the permission \"read\" on anything"),
      "PERMISSION_MISSING");
}

absl::Status GetModels(Call& call, v1::GetModelsResponse* response) {
  if (absl::Status s = AuthorizeModels(call); !s.ok()) return s;
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  response->set_embedder_fingerprint(std::string((*engine)->embedder_fingerprint()));
  response->set_dimensions(static_cast<uint32_t>((*engine)->embedder_dim()));
  response->set_has_reranker((*engine)->has_reranker());
  response->set_has_generator((*engine)->has_generator());
  return absl::OkStatus();
}

absl::Status Embed(Call& call, const v1::EmbedRequest& request, v1::EmbedResponse* response) {
  if (absl::Status s = AuthorizeModels(call); !s.ok()) return s;
  if (absl::Status s = CheckCount("texts", request.texts_size()); !s.ok()) return s;
  if (!v1::TextUse_IsValid(request.use())) return BadField("use", "is not known");
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  const TextUse use = request.use() == v1::TEXT_USE_QUERY ? TextUse::kQuery : TextUse::kPassage;
  const std::vector<std::string> texts(request.texts().begin(), request.texts().end());
  for (size_t i = 0; i < texts.size(); i += kTextsAtOnce) {
    if (call.stopped()) return call.StopReason();
    absl::StatusOr<std::vector<std::vector<float>>> vectors =
        (*engine)->Embed(absl::MakeConstSpan(texts).subspan(i, kTextsAtOnce), use);
    if (!vectors.ok()) return vectors.status();
    for (const std::vector<float>& v : *vectors) {
      v1::Embedding* const embedding = response->add_embeddings();
      const auto zero = [](float x) { return x == 0; };
      if (std::all_of(v.begin(), v.end(), zero)) continue;  // It knows nothing of the text.
      embedding->mutable_values()->Add(v.begin(), v.end());
    }
  }
  response->set_embedder_fingerprint(std::string((*engine)->embedder_fingerprint()));
  return absl::OkStatus();
}

absl::Status Rerank(Call& call, const v1::RerankRequest& request, v1::RerankResponse* response) {
  if (absl::Status s = AuthorizeModels(call); !s.ok()) return s;
  if (request.query().empty()) return BadField("query", "is required");
  if (absl::Status s = CheckCount("passages", request.passages_size()); !s.ok()) return s;
  absl::StatusOr<Engine*> engine = call.engine();
  if (!engine.ok()) return engine.status();
  const std::vector<std::string> passages(request.passages().begin(), request.passages().end());
  absl::StatusOr<std::vector<float>> scores =
      (*engine)->Rerank(request.query(), passages, [&call] { return call.stopped(); });
  if (!scores.ok()) return scores.status();
  response->mutable_scores()->Add(scores->begin(), scores->end());
  return absl::OkStatus();
}

class ModelsService final : public v1::Models::CallbackService {
 public:
  explicit ModelsService(ServerState* state) : state_(state) {}

  grpc::ServerUnaryReactor* GetModels(grpc::CallbackServerContext* context,
                                      const v1::GetModelsRequest* request,
                                      v1::GetModelsResponse* response) override {
    return StartUnary(state_, context, kGetModels, request, response,
                      [=](Call& call) { return services::GetModels(call, response); });
  }
  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context,
                                  const v1::EmbedRequest* request,
                                  v1::EmbedResponse* response) override {
    return StartUnary(state_, context, kEmbed, request, response,
                      [=](Call& call) { return services::Embed(call, *request, response); });
  }
  grpc::ServerUnaryReactor* Rerank(grpc::CallbackServerContext* context,
                                   const v1::RerankRequest* request,
                                   v1::RerankResponse* response) override {
    return StartUnary(state_, context, kRerank, request, response,
                      [=](Call& call) { return services::Rerank(call, *request, response); });
  }

 private:
  ServerState* const state_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeModelsService(ServerState* state) {
  return std::make_unique<ModelsService>(state);
}

}  // namespace cairn::services
