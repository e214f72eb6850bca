// Embeds cairn: stores three documents and prints the passages that answer a question.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: example STORE QUESTION\n");
    return 2;
  }
  cairn::EngineOptions options;
  options.create_if_missing = true;
  absl::StatusOr<std::unique_ptr<cairn::Engine>> engine = cairn::Engine::Open(argv[1], options);
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
    return 3;
  }

  std::vector<cairn::InputDocument> documents(3);
  documents[0].id = "quokka";
  documents[0].text = "The quokka is a small wallaby. It lives on Rottnest Island.";
  documents[1].id = "axolotl";
  documents[1].text = "The axolotl is a salamander that keeps its gills. It lives in lakes.";
  documents[2].id = "kakapo";
  documents[2].text = "The kakapo is a parrot that cannot fly. It is active at night.";
  documents[2].metadata["class"] = std::string("bird");
  absl::StatusOr<cairn::IngestReport> report = (*engine)->IngestDocuments(documents, {});
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", report.status().ToString().c_str());
    return 3;
  }

  cairn::SearchRequest request;
  request.query = argv[2];
  request.k = 2;
  absl::StatusOr<cairn::SearchResponse> found = (*engine)->Search(request);
  if (!found.ok()) {
    std::fprintf(stderr, "%s\n", found.status().ToString().c_str());
    return 3;
  }
  for (const cairn::SearchHit& hit : found->hits) {
    std::printf("%.4f %s [%zu-%zu] %s\n", hit.score, hit.document_id.c_str(), hit.begin, hit.end,
                hit.text.c_str());
  }
  return found->hits.empty() ? 1 : 0;
}
