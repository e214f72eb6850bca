#include "engine/eval/measures.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "engine/eval/absl_view.h"
#include "engine/eval/measure_functions.h"

namespace cairn::engine {
namespace {

using Parameters = MeasureInfo::Parameters;

// A hostile argument must not ask for millions of columns.
constexpr size_t kMaxParameters = 1000;
constexpr double kMaxCutoff = 1e9;

std::vector<MeasureInfo> MakeTable() {
  const std::vector<double> ranks = {5, 10, 15, 20, 30, 100, 200, 500, 1000};
  const std::vector<double> recalls = {0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1};
  const std::vector<double> multiples = {.2, .4, .6, .8, 1, 1.2, 1.4, 1.6, 1.8, 2};
  const auto plain = [](std::string_view name, ColumnKind kind, auto compute) {
    return MeasureInfo{name, kind, Parameters::kNone, false, {}, QrelsFormat::kPlain, compute};
  };
  const auto list = [](std::string_view name, Parameters parameters,
                       const std::vector<double>& defaults, auto compute) {
    return MeasureInfo{name,     ColumnKind::kMean,   parameters, false,
                       defaults, QrelsFormat::kPlain, compute};
  };
  const auto single = [](std::string_view name, Parameters parameters,
                         const std::vector<double>& defaults, auto compute) {
    return MeasureInfo{name,     ColumnKind::kMean,   parameters, true,
                       defaults, QrelsFormat::kPlain, compute};
  };
  const auto grouped = [](MeasureInfo info) {
    info.format = QrelsFormat::kGroups;
    return info;
  };
  using Kind = ColumnKind;
  return {
      plain("runid", Kind::kRunTag, nullptr),
      plain("num_q", Kind::kNumTopics, nullptr),
      plain("num_ret", Kind::kSum, measure::NumRetrieved),
      plain("num_rel", Kind::kSum, measure::NumRelevant),
      plain("num_rel_ret", Kind::kSum, measure::NumRelevantRetrieved),
      plain("map", Kind::kMean, measure::AveragePrecision),
      plain("gm_map", Kind::kGeometric, measure::AveragePrecision),
      plain("Rprec", Kind::kMean, measure::RPrecision),
      plain("bpref", Kind::kMean, measure::Bpref),
      plain("recip_rank", Kind::kMean, measure::ReciprocalRank),
      list("iprec_at_recall", Parameters::kShares, recalls, measure::PrecisionAtRecall),
      list("P", Parameters::kRanks, ranks, measure::Precision),
      {"relstring", Kind::kLevels, Parameters::kRanks, true, {10}, QrelsFormat::kPlain, nullptr},
      list("recall", Parameters::kRanks, ranks, measure::Recall),
      plain("infAP", Kind::kMean, measure::InferredAp),
      plain("gm_bpref", Kind::kGeometric, measure::Bpref),
      list("Rprec_mult", Parameters::kShares, multiples, measure::RPrecisionMultiple),
      single("utility", Parameters::kNumbers, {1, -1, 0, 0}, measure::Utility),
      single("11pt_avg", Parameters::kNumbers, recalls, measure::MeanPrecisionAtRecall),
      plain("binG", Kind::kMean, measure::BinaryG),
      single("G", Parameters::kGains, {}, measure::G),
      single("ndcg", Parameters::kGains, {}, measure::Ndcg),
      single("ndcg_rel", Parameters::kGains, {}, measure::NdcgAtRelevant),
      single("Rndcg", Parameters::kGains, {}, measure::NdcgAtIdealSteps),
      list("ndcg_cut", Parameters::kRanks, ranks, measure::NdcgCut),
      list("map_cut", Parameters::kRanks, ranks, measure::AveragePrecisionCut),
      list("relative_P", Parameters::kRanks, ranks, measure::RelativePrecision),
      list("success", Parameters::kRanks, {1, 5, 10}, measure::Success),
      plain("set_P", Kind::kMean, measure::SetPrecision),
      plain("set_relative_P", Kind::kMean, measure::SetRelativePrecision),
      plain("set_recall", Kind::kMean, measure::SetRecall),
      plain("set_map", Kind::kMean, measure::SetMap),
      single("set_F", Parameters::kNumbers, {1}, measure::SetF),
      plain("num_nonrel_judged_ret", Kind::kSum, measure::NumNonrelevantRetrieved),
      single("rbp", Parameters::kShares, {.9}, measure::RankBiasedPrecision),
      single("rbp_resid", Parameters::kShares, {.9}, measure::RankBiasedResidual),
      list("unj", Parameters::kRanks, {5, 10, 20}, measure::Unjudged),
      grouped(plain("map_avgjg", Kind::kMean, measure::AveragePrecision)),
      grouped(list("P_avgjg", Parameters::kRanks, ranks, measure::Precision)),
      grouped(
          list("Rprec_mult_avgjg", Parameters::kShares, multiples, measure::RPrecisionMultiple)),
  };
}

constexpr std::string_view kOfficial[] = {"runid",       "num_q",      "num_ret",         "num_rel",
                                          "num_rel_ret", "map",        "gm_map",          "Rprec",
                                          "bpref",       "recip_rank", "iprec_at_recall", "P"};
constexpr std::string_view kSet[] = {"runid",       "num_q",   "num_ret", "num_rel",
                                     "num_rel_ret", "utility", "set_P",   "set_relative_P",
                                     "set_recall",  "set_map", "set_F"};

bool IsIn(absl::Span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsInNickname(std::string_view nickname, const MeasureInfo& info) {
  if (nickname == "official") return IsIn(kOfficial, info.name);
  if (nickname == "set") return IsIn(kSet, info.name);
  if (nickname == "all_trec") return info.format == QrelsFormat::kPlain;
  if (nickname == "qrels_jg") {
    return info.format == QrelsFormat::kGroups || info.name == "runid" || info.name == "num_q";
  }
  return false;
}

const MeasureInfo* FindMeasure(std::string_view name) {
  for (const MeasureInfo& info : AllMeasures()) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

MeasureSpec DefaultSpec(const MeasureInfo& info) {
  MeasureSpec spec;
  spec.info = &info;
  spec.values = info.defaults;
  return spec;
}

bool MakesColumns(const MeasureInfo& info) {
  return info.parameters == Parameters::kRanks || info.parameters == Parameters::kShares;
}

// What is wrong with one number as a parameter of the measure, or "".
absl::string_view NumberFault(const MeasureInfo& info, double value) {
  if (!std::isfinite(value)) return "is not a finite number";
  const std::string_view name = info.name;
  if (info.parameters == Parameters::kRanks) {
    if (value < 1 || value > kMaxCutoff || value != std::floor(value)) {
      return "is not a whole number between 1 and 1000000000";
    }
  } else if (name == "rbp" || name == "rbp_resid") {
    if (value <= 0 || value >= 1) return "is not between 0 and 1";
  } else if (name == "iprec_at_recall" || name == "11pt_avg") {
    if (value < 0 || value > 1) return "is not a recall between 0 and 1";
  } else if (name != "utility") {
    if (value < 0 || value > kMaxCutoff) return "is not between 0 and 1000000000";
  }
  return "";
}

absl::Status MeasureFault(std::string_view argument, absl::string_view part,
                          absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("measure \"", AbslView(argument), "\": \"", part, "\" ", reason));
}

absl::Status ParseNumbers(std::string_view argument, MeasureSpec& spec) {
  spec.values.clear();
  for (const absl::string_view part : absl::StrSplit(spec.text, ',')) {
    double value = 0;
    if (!absl::SimpleAtod(part, &value)) return MeasureFault(argument, part, "is not a number");
    const absl::string_view fault = NumberFault(*spec.info, value);
    if (!fault.empty()) return MeasureFault(argument, part, fault);
    if (spec.values.size() == kMaxParameters)
      return MeasureFault(argument, part, "is one too many");
    spec.values.push_back(value);
  }
  if (MakesColumns(*spec.info)) {
    std::sort(spec.values.begin(), spec.values.end());
    spec.values.erase(std::unique(spec.values.begin(), spec.values.end()), spec.values.end());
  }
  const std::string_view name = spec.info->name;
  const size_t wanted = name == "utility" ? 4 : name == "set_F" || name == "relstring" ? 1 : 0;
  if (wanted > 0 && spec.values.size() != wanted) {
    return MeasureFault(argument, spec.text, absl::StrCat("must be ", wanted, " number(s)"));
  }
  if (name == "utility" && spec.values[3] != 0) {
    return MeasureFault(
        argument, spec.text,
        "weighs documents neither relevant nor retrieved, whose number is not known");
  }
  return absl::OkStatus();
}

absl::Status ParseGains(std::string_view argument, MeasureSpec& spec) {
  for (const absl::string_view part : absl::StrSplit(spec.text, ',')) {
    const std::pair<absl::string_view, absl::string_view> sides =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    int32_t level = 0;
    double gain = 0;
    if (!absl::SimpleAtoi(sides.first, &level) || level < 0 ||
        !absl::SimpleAtod(sides.second, &gain) || !std::isfinite(gain) || gain < 0) {
      return MeasureFault(argument, part, "is not LEVEL=GAIN with numbers from 0");
    }
    if (spec.gains.size() == kMaxParameters) return MeasureFault(argument, part, "is one too many");
    spec.gains.emplace_back(level, gain);
  }
  return absl::OkStatus();
}

absl::StatusOr<MeasureSpec> ParseWithParameters(std::string_view argument, const MeasureInfo& info,
                                                std::string_view text) {
  MeasureSpec spec;
  spec.info = &info;
  spec.is_default = false;
  spec.text = text;
  absl::Status parsed;
  switch (info.parameters) {
    case Parameters::kNone:
      return MeasureFault(argument, AbslView(text), "is a parameter, and this measure has none");
    case Parameters::kGains:
      parsed = ParseGains(argument, spec);
      break;
    default:
      parsed = ParseNumbers(argument, spec);
  }
  if (!parsed.ok()) return parsed;
  return spec;
}

// Adds what `spec` asks for to an earlier request for the same measure.
void Merge(MeasureSpec& earlier, MeasureSpec spec) {
  if (spec.is_default) return;
  if (earlier.is_default || !MakesColumns(*spec.info) || spec.info->kind == ColumnKind::kLevels) {
    earlier = std::move(spec);
    return;
  }
  absl::StrAppend(&earlier.text, ",", spec.text);
  std::vector<double> both;
  std::set_union(earlier.values.begin(), earlier.values.end(), spec.values.begin(),
                 spec.values.end(), std::back_inserter(both));
  earlier.values = std::move(both);
}

}  // namespace

std::vector<std::string> MeasureSpec::ColumnNames() const {
  if (is_default && info->plain_default) return {std::string(info->name)};
  std::vector<std::string> names;
  switch (info->parameters) {
    case Parameters::kNone:
      return {std::string(info->name)};
    case Parameters::kNumbers:
    case Parameters::kGains:
      return {text.empty() ? std::string(info->name)
                           : absl::StrCat(AbslView(info->name), "_", text)};
    case Parameters::kRanks:
      for (const double value : values) {
        names.push_back(absl::StrCat(AbslView(info->name), "_", static_cast<int64_t>(value)));
      }
      return names;
    case Parameters::kShares:
      for (const double value : values) {
        names.push_back(absl::StrFormat("%s_%3.2f", AbslView(info->name), value));
      }
      return names;
  }
  return names;
}

absl::Span<const MeasureInfo> AllMeasures() {
  static const std::vector<MeasureInfo>& table = *new std::vector<MeasureInfo>(MakeTable());
  return table;
}

absl::StatusOr<std::vector<MeasureSpec>> ParseMeasure(std::string_view argument) {
  std::vector<MeasureSpec> specs;
  for (const MeasureInfo& info : AllMeasures()) {
    if (IsInNickname(argument, info)) specs.push_back(DefaultSpec(info));
  }
  if (!specs.empty()) return specs;
  const MeasureInfo* info = FindMeasure(argument);
  if (info != nullptr) return std::vector<MeasureSpec>{DefaultSpec(*info)};
  // name.parameters, or else the printed form name_parameters with the longest name that fits.
  size_t end = argument.find('.');
  info = end != std::string_view::npos ? FindMeasure(argument.substr(0, end)) : nullptr;
  for (end = argument.rfind('_'); info == nullptr && end != std::string_view::npos && end > 0;
       end = argument.rfind('_', end - 1)) {
    info = FindMeasure(argument.substr(0, end));
  }
  if (info == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("unknown measure \"", AbslView(argument), "\""));
  }
  absl::StatusOr<MeasureSpec> spec =
      ParseWithParameters(argument, *info, argument.substr(info->name.size() + 1));
  if (!spec.ok()) return spec.status();
  specs.push_back(*std::move(spec));
  return specs;
}

absl::StatusOr<std::vector<MeasureSpec>> ParseMeasures(absl::Span<const std::string> arguments) {
  if (arguments.empty()) return ParseMeasure("official");
  std::vector<MeasureSpec> all;
  for (const std::string& argument : arguments) {
    absl::StatusOr<std::vector<MeasureSpec>> specs = ParseMeasure(argument);
    if (!specs.ok()) return specs.status();
    for (MeasureSpec& spec : *specs) {
      const auto earlier = std::find_if(all.begin(), all.end(), [&](const MeasureSpec& other) {
        return other.info == spec.info;
      });
      if (earlier == all.end()) {
        all.push_back(std::move(spec));
      } else {
        Merge(*earlier, std::move(spec));
      }
    }
  }
  // The table is one array: its order is that of addresses.
  std::sort(all.begin(), all.end(),
            [](const MeasureSpec& a, const MeasureSpec& b) { return a.info < b.info; });
  return all;
}

}  // namespace cairn::engine
