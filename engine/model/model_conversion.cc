#include "engine/model/model_conversion.h"

#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/model/gguf.h"
#include "engine/model/gguf_metadata.h"
#include "engine/model/gguf_writer.h"
#include "engine/model/hf_vocabulary.h"
#include "engine/model/mapped_file.h"
#include "engine/model/model_layout.h"
#include "engine/model/parallel_rows.h"

namespace cairn::engine {
namespace {

using kernels::BlockFormat;

constexpr float kLargestBFloat = 0x1.fep127f;

// Where a tensor's rows come from.
struct RowOrder {
  uint32_t head_dim = 0;  // 0: they stay.
  uint32_t rope_dims = 0;

  // RoPE turns rows i and i + rope_dims / 2 of a head together in the source, 2i and 2i + 1 in the
  // result.
  uint64_t Source(uint64_t row) const {
    if (head_dim == 0) return row;
    const uint64_t at = row % head_dim;
    if (at >= rope_dims) return row;
    return row - at + at / 2 + at % 2 * (rope_dims / 2);
  }
};

RowOrder OrderOf(const TensorSpec& spec, const ModelConfig& config) {
  const auto ends_with = [&](std::string_view end) {
    return spec.name.size() > end.size() &&
           spec.name.compare(spec.name.size() - end.size(), end.size(), end) == 0;
  };
  const bool turned = ends_with(".attn_q.weight") || ends_with(".attn_k.weight");
  const bool reorder = turned && config.architecture == Architecture::kLlama &&
                       config.rope_pairing == RopePairing::kHalves;
  return reorder ? RowOrder{config.head_dim, config.rope_dims} : RowOrder{};
}

absl::Status CheckValues(const std::vector<float>& values, BlockFormat format) {
  for (float value : values) {
    if (!std::isfinite(value)) return absl::InvalidArgumentError("a weight that is not finite");
    if (format == BlockFormat::kF16 && std::fabs(value) > kernels::kLargestHalf) {
      return absl::InvalidArgumentError("a weight beyond the range of F16");
    }
    if (format == BlockFormat::kBF16 && std::fabs(value) > kLargestBFloat) {
      return absl::InvalidArgumentError("a weight beyond the range of BF16");
    }
  }
  return absl::OkStatus();
}

absl::Status WriteTensor(const TensorSpec& spec, const TensorView& view, BlockFormat format,
                         const RowOrder& order, size_t threads, GgufWriter* writer) {
  const uint64_t columns = spec.shape.back();
  const uint64_t rows = spec.is_matrix() ? spec.shape[0] : 1;
  const uint64_t in_bytes = kernels::FormatBytes(view.format, columns);
  const uint64_t out_bytes = kernels::FormatBytes(format, columns);
  return ComputeRows(
      rows, out_bytes, threads,
      [&](uint64_t begin, uint64_t end, char* out) -> absl::Status {
        std::vector<float> values(columns);
        for (uint64_t row = begin; row < end; ++row, out += out_bytes) {
          const char* in = view.bytes.data() + order.Source(row) * in_bytes;
          kernels::Dequantize(view.format, in, columns, values.data());
          const absl::Status status = CheckValues(values, format);
          if (!status.ok()) {
            return absl::InvalidArgumentError(
                absl::StrCat("tensor \"", spec.name, "\": ", status.message()));
          }
          if (view.format == format) {
            std::memcpy(out, in, out_bytes);
          } else {
            kernels::Quantize(format, values.data(), columns, out);
          }
        }
        return absl::OkStatus();
      },
      [&](std::string_view bytes) { return writer->Append(bytes); });
}

// The metadata of a GGUF file, but for what describes the file itself.
absl::Status CopyMetadata(const std::string& path, GgufWriter* writer) {
  const auto file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  const auto gguf = Gguf::Parse(file->bytes());
  if (!gguf.ok()) return gguf.status();
  for (const GgufEntry& entry : gguf->metadata()) {
    if (entry.key == "general.alignment" || entry.key == "general.file_type" ||
        entry.key == "general.quantization_version") {
      continue;
    }
    writer->AddValue(entry.key, entry.value);
  }
  return absl::OkStatus();
}

absl::Status MakeMetadata(const std::string& directory, const Checkpoint& checkpoint,
                          GgufWriter* writer) {
  const absl::Status status = AddConfig(checkpoint.config(), writer);
  if (!status.ok()) return status;
  auto vocabulary = DescribeHfVocabulary(directory, checkpoint.config());
  if (!vocabulary.ok()) return vocabulary.status();
  AddVocabulary(*vocabulary, writer);
  if (!checkpoint.chat_template().empty()) {
    writer->AddString("tokenizer.chat_template", checkpoint.chat_template());
  }
  return absl::OkStatus();
}

// What the caller would not expect from the format alone.
std::vector<std::string> Notes(const std::map<BlockFormat, uint64_t>& fallbacks,
                               uint64_t requantized, BlockFormat wanted) {
  std::vector<std::string> notes;
  const std::string name(kernels::BlockFormatName(wanted));
  for (const auto& [format, count] : fallbacks) {
    notes.push_back(absl::StrCat(count, " matrices became ",
                                 std::string(kernels::BlockFormatName(format)),
                                 ": their rows are no whole blocks of ", name));
  }
  if (requantized > 0) {
    notes.push_back(absl::StrCat(requantized,
                                 " matrices were quantised before: converting from the original "
                                 "weights would lose less"));
  }
  return notes;
}

}  // namespace

absl::StatusOr<ConversionReport> ConvertModel(const std::string& from, const std::string& to,
                                              const ConversionOptions& options) {
  auto checkpoint = Checkpoint::Open(from);
  if (!checkpoint.ok()) return checkpoint.status();
  const ModelConfig& config = (*checkpoint)->config();
  struct stat info;
  const bool directory = stat(from.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  auto writer = GgufWriter::Create(to);
  if (!writer.ok()) return writer.status();
  absl::Status status = directory ? MakeMetadata(from, **checkpoint, writer->get())
                                  : CopyMetadata(from, writer->get());
  if (!status.ok()) return status;
  AddFileType(options.format, writer->get());

  std::vector<TensorSpec> specs = TensorsOf(config);
  ConversionReport report;
  std::map<BlockFormat, uint64_t> fallbacks;
  uint64_t requantized = 0;
  const std::vector<float> divisors = RopeDivisors(config);
  if (!divisors.empty()) {
    (*writer)->AddTensor("rope_freqs.weight", BlockFormat::kF32, {divisors.size()});
  }
  for (const TensorSpec& spec : specs) {
    auto view = (*checkpoint)->Find(spec.name);
    if (!view.ok()) return view.status();
    const BlockFormat format = FormatFor(spec, options.format);
    if (spec.is_matrix() && format != options.format) ++fallbacks[format];
    requantized += kernels::ShapeOf(view->format).values > 1 && view->format != format;
    (*writer)->AddTensor(spec.name, format, spec.shape);
  }
  if (!divisors.empty()) {
    status = (*writer)->Append(
        {reinterpret_cast<const char*>(divisors.data()), divisors.size() * sizeof(float)});
    if (!status.ok()) return status;
  }
  for (const TensorSpec& spec : specs) {
    const TensorView view = *(*checkpoint)->Find(spec.name);
    const BlockFormat format = FormatFor(spec, options.format);
    status = WriteTensor(spec, view, format, OrderOf(spec, config), options.threads, writer->get());
    if (!status.ok()) return status;
    (*checkpoint)->Drop(view);
    uint64_t values = 1;
    for (uint64_t size : spec.shape) values *= size;
    ++report.tensors;
    report.bytes_before += view.bytes.size();
    report.bytes_after += kernels::FormatBytes(format, values);
  }
  status = (*writer)->Finish();
  if (!status.ok()) return status;
  report.notes = Notes(fallbacks, requantized, options.format);
  if (!divisors.empty() && config.architecture != Architecture::kLlama) {
    report.notes.push_back(
        "RoPE's scaling lies in rope_freqs.weight, which other readers know for llama only");
  }
  return report;
}

}  // namespace cairn::engine
