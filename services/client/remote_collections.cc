#include "services/client/remote_collections.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "cairn/v1/collections.grpc.pb.h"
#include "cairn/v1/collections.pb.h"
#include "chunking/readers/text_checks.h"
#include "services/wire/messages.h"
#include "services/wire/resource_names.h"

namespace cairn::services {
namespace {

template <typename T>
absl::Status AgreesOn(const std::string& collection, const char* what,
                      const std::optional<T>& asked, const T& there) {
  if (!asked.has_value() || *asked == there) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("collection ", collection, " was created with ",
                                                    what, " ", there, ", not ", *asked,
                                                    ": leave it out, or name another collection"));
}

absl::Status CheckAgreement(const CollectionInfo& there, const std::string& name,
                            const CollectionOptions& asked) {
  absl::Status s = AgreesOn(name, "chunker", asked.chunker, there.chunker);
  if (s.ok()) s = AgreesOn(name, "chunk size", asked.chunk_tokens, there.chunk_tokens);
  if (s.ok()) s = AgreesOn(name, "overlap", asked.overlap_tokens, there.overlap_tokens);
  if (s.ok()) s = AgreesOn(name, "analyser", asked.analyzer, there.analyzer);
  if (s.ok()) s = AgreesOn(name, "vector index", asked.vector_index, there.vector_index);
  if (s.ok()) s = AgreesOn(name, "vector encoding", asked.vector_encoding, there.vector_encoding);
  return s;
}

bool SaysNothing(const CollectionOptions& options) {
  return !options.chunker && !options.chunk_tokens && !options.overlap_tokens &&
         !options.analyzer && !options.vector_index && !options.vector_encoding;
}

}  // namespace

absl::StatusOr<std::string> RemoteCollection(const std::string& name) {
  if (IsResourceId(name)) return CollectionName(name);
  return absl::InvalidArgumentError(
      absl::StrCat("no name of a collection: \"", name,
                   "\"; a server's have 1 to 64 letters, digits, \"-\" and \"_\""));
}

absl::Status EnsureCollection(ServerConnection* connection, const std::string& name,
                              const CollectionOptions& settings) {
  if (SaysNothing(settings)) return absl::OkStatus();
  absl::StatusOr<std::string> resource = RemoteCollection(name);
  if (!resource.ok()) return resource.status();
  const std::unique_ptr<v1::Collections::Stub> stub =
      v1::Collections::NewStub(connection->channel());
  const auto describe = [&]() -> absl::StatusOr<CollectionInfo> {
    ServerCall call(connection, ServerCall::Kind::kQuery);
    v1::GetCollectionRequest request;
    request.set_name(*resource);
    v1::Collection there;
    absl::Status s = call.Ended(stub->GetCollection(call.context(), request, &there));
    if (!s.ok()) return s;
    return ReadCollection(there);
  };
  absl::StatusOr<CollectionInfo> there = describe();
  if (absl::IsNotFound(there.status())) {
    ServerCall call(connection, ServerCall::Kind::kQuery);
    v1::CreateCollectionRequest request;
    request.set_collection_id(name);
    WriteCollectionSettings(settings, request.mutable_collection()->mutable_settings());
    v1::Collection made;
    const absl::Status s = call.Ended(stub->CreateCollection(call.context(), request, &made));
    // Another client may have been first; its settings are checked like any other's.
    if (!absl::IsAlreadyExists(s)) return s;
    there = describe();
  }
  if (!there.ok()) return there.status();
  return CheckAgreement(*there, name, settings);
}

}  // namespace cairn::services
