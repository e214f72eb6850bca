#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "chunking/text/tokenizer_json_parts.h"

namespace cairn::chunking {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kMaxNormalizerSteps = 256;
constexpr size_t kMaxNormalizerDepth = 8;
constexpr size_t kMaxCharsmapBytes = size_t{64} << 20;
// How many times longer replacements may make a text, and with what charsmaps put in besides.
constexpr size_t kMaxGrowth = 64;
constexpr size_t kMaxGrowthWithCharsmap = 512;

absl::Status ReadBertOptions(const dom::object& object, BertNormalizer::Options* options) {
  absl::Status status = ReadBool(object, "clean_text", &options->clean_text);
  status.Update(ReadBool(object, "handle_chinese_chars", &options->handle_chinese_chars));
  status.Update(ReadBool(object, "lowercase", &options->lowercase));
  options->strip_accents = options->lowercase;
  status.Update(ReadBool(object, "strip_accents", &options->strip_accents));
  return status;
}

absl::Status ReadReplace(const dom::object& object, NormalizerStep* step) {
  absl::StatusOr<dom::object> pattern = ReadObject(object, "pattern");
  if (!pattern.ok()) return pattern.status();
  std::string regex;
  absl::Status status = ReadString(*pattern, "String", &step->pattern);
  status.Update(ReadString(*pattern, "Regex", &regex));
  status.Update(ReadString(object, "content", &step->content));
  if (!status.ok()) return status;
  step->kind = NormalizerStep::Kind::kReplace;
  if (!step->pattern.empty()) return absl::OkStatus();
  if (regex == "\\s+") {
    step->kind = NormalizerStep::Kind::kReplaceSpaces;
  } else if (regex == " {2,}") {
    step->kind = NormalizerStep::Kind::kReplaceManyBlanks;
  } else {
    return Bad("normalizer Replace with pattern \"", regex, "\" is not known");
  }
  return absl::OkStatus();
}

// Adds `step`, into the one before where both replace single ASCII characters and the earlier
// contents hold nothing that the later pattern would replace again.
void AddStep(NormalizerStep step, std::vector<NormalizerStep>* steps) {
  using Kind = NormalizerStep::Kind;
  const bool single = step.kind == Kind::kReplace && step.pattern.size() == 1 &&
                      static_cast<uint8_t>(step.pattern[0]) < 0x80;
  if (!single) return steps->push_back(std::move(step));
  const size_t byte = static_cast<uint8_t>(step.pattern[0]);
  if (!steps->empty() && steps->back().kind == Kind::kReplaceBytes) {
    std::vector<std::optional<std::string>>& bytes = steps->back().bytes;
    const bool independent =
        !bytes[byte].has_value() &&
        std::none_of(bytes.begin(), bytes.end(), [&](const std::optional<std::string>& content) {
          return content.has_value() && content->find(step.pattern) != std::string::npos;
        });
    if (independent) {
      bytes[byte] = std::move(step.content);
      return;
    }
  }
  step.kind = Kind::kReplaceBytes;
  step.bytes.resize(0x80);
  step.bytes[byte] = std::move(step.content);
  steps->push_back(std::move(step));
}

absl::Status ReadPrepend(const dom::object& object, NormalizerStep* step) {
  step->kind = NormalizerStep::Kind::kPrepend;
  return ReadString(object, "prepend", &step->content);
}

absl::Status ReadStrip(const dom::object& object, NormalizerStep* step) {
  step->kind = NormalizerStep::Kind::kStrip;
  absl::Status status = ReadBool(object, "strip_left", &step->strip_left);
  status.Update(ReadBool(object, "strip_right", &step->strip_right));
  return status;
}

absl::Status ReadPrecompiled(const dom::object& object, NormalizerStep* step) {
  std::string base64;
  absl::Status status = ReadString(object, "precompiled_charsmap", &base64);
  if (!status.ok()) return status;
  std::string bytes;
  if (base64.size() > kMaxCharsmapBytes || !absl::Base64Unescape(base64, &bytes)) {
    return Bad("\"precompiled_charsmap\" is not base64 of a reasonable size");
  }
  absl::StatusOr<PrecompiledCharsmap> charsmap = PrecompiledCharsmap::Read(bytes);
  if (!charsmap.ok()) return charsmap.status();
  step->kind = NormalizerStep::Kind::kCharsmap;
  step->charsmap = std::make_shared<const PrecompiledCharsmap>(*std::move(charsmap));
  return absl::OkStatus();
}

absl::Status ReadStep(const dom::object& object, std::string_view type, NormalizerStep* step) {
  if (type == "BertNormalizer") return ReadBertOptions(object, &step->bert);
  if (type == "Replace") return ReadReplace(object, step);
  if (type == "Strip") return ReadStrip(object, step);
  if (type == "Prepend") return ReadPrepend(object, step);
  if (type == "Precompiled") return ReadPrecompiled(object, step);
  if (type != "NFC") return Bad("normalizer type \"", type, "\" is not known");
  step->kind = NormalizerStep::Kind::kNfc;
  return absl::OkStatus();
}

absl::Status ReadNormalizer(const dom::object& object, size_t depth,
                            std::vector<NormalizerStep>* steps) {
  absl::StatusOr<std::string> type = ComponentType(object);
  if (!type.ok()) return type.status();
  if (depth > kMaxNormalizerDepth || steps->size() >= kMaxNormalizerSteps) {
    return Bad("the normalizer has too many steps");
  }
  if (*type != "Sequence") {
    NormalizerStep step;
    absl::Status status = ReadStep(object, *type, &step);
    if (status.ok()) AddStep(std::move(step), steps);
    return status;
  }
  absl::StatusOr<dom::array> array = ReadArray(object, "normalizers");
  if (!array.ok()) return array.status();
  for (const dom::element element : *array) {
    dom::object inner;
    if (element.get(inner) != simdjson::SUCCESS) return Bad("a normalizer must be an object");
    absl::Status status = ReadNormalizer(inner, depth + 1, steps);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// How many times longer `step` may make a text by its replacements.
size_t GrowthOf(const NormalizerStep& step) {
  using Kind = NormalizerStep::Kind;
  size_t growth = 1;
  if (step.kind == Kind::kReplaceBytes) {
    for (const std::optional<std::string>& content : step.bytes) {
      if (content.has_value()) growth = std::max(growth, content->size());
    }
  } else if (step.kind == Kind::kReplaceSpaces) {
    growth = step.content.size();
  } else if (step.kind == Kind::kReplaceManyBlanks) {
    growth = (step.content.size() + 1) / 2;
  } else if (step.kind == Kind::kReplace) {
    growth = (step.content.size() + step.pattern.size() - 1) / step.pattern.size();
  } else if (step.kind == Kind::kCharsmap) {
    growth = step.charsmap->longest_replacement();
  }
  return std::max<size_t>(growth, 1);
}

// Steps that each double the text would soon fill the memory.
absl::Status CheckGrowth(const std::vector<NormalizerStep>& steps) {
  size_t growth = 1, with_charsmap = 1;
  for (const NormalizerStep& step : steps) {
    if (step.kind == NormalizerStep::Kind::kPrepend && step.content.size() > kMaxGrowth) {
      return Bad("normalizer Prepend puts more than ", kMaxGrowth, " bytes before the text");
    }
    const size_t times = std::min(GrowthOf(step), kMaxGrowthWithCharsmap + 1);
    if (step.kind != NormalizerStep::Kind::kCharsmap) growth *= times;
    with_charsmap *= times;
    if (growth > kMaxGrowth || with_charsmap > kMaxGrowthWithCharsmap) {
      return Bad("the normalizer may make a text more than ", kMaxGrowth, " times longer");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<NormalizerStep>> ReadNormalizers(const dom::object& root) {
  std::vector<NormalizerStep> steps;
  if (!Member(root, "normalizer").has_value()) return steps;
  absl::StatusOr<dom::object> object = ReadObject(root, "normalizer");
  if (!object.ok()) return object.status();
  absl::Status status = ReadNormalizer(*object, 0, &steps);
  if (status.ok()) status = CheckGrowth(steps);
  if (!status.ok()) return status;
  return steps;
}

}  // namespace cairn::chunking
