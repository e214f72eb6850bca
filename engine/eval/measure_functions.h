// The functions behind the table of measures. Each writes one value, or one for each parameter in
// spec.values; all are defined, with 0, where nothing is relevant or nothing was retrieved.
#ifndef CAIRN_ENGINE_EVAL_MEASURE_FUNCTIONS_H_
#define CAIRN_ENGINE_EVAL_MEASURE_FUNCTIONS_H_

#include "engine/eval/measures.h"
#include "engine/eval/ranked_topic.h"

namespace cairn::engine::measure {

// Counts and sets.
void NumRetrieved(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void NumRelevant(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void NumRelevantRetrieved(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void NumNonrelevantRetrieved(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void Unjudged(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void Utility(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void SetPrecision(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void SetRelativePrecision(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void SetRecall(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void SetMap(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void SetF(const RankedTopic& topic, const MeasureSpec& spec, double* out);

// Rankings with binary relevance.
void AveragePrecision(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void AveragePrecisionCut(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void RPrecision(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void RPrecisionMultiple(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void Bpref(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void ReciprocalRank(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void PrecisionAtRecall(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void MeanPrecisionAtRecall(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void Precision(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void Recall(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void RelativePrecision(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void Success(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void InferredAp(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void BinaryG(const RankedTopic& topic, const MeasureSpec& spec, double* out);

// Rankings with graded gain.
void G(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void Ndcg(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void NdcgAtRelevant(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void NdcgAtIdealSteps(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void NdcgCut(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void RankBiasedPrecision(const RankedTopic& topic, const MeasureSpec& spec, double* out);
void RankBiasedResidual(const RankedTopic& topic, const MeasureSpec& spec, double* out);

}  // namespace cairn::engine::measure

#endif  // CAIRN_ENGINE_EVAL_MEASURE_FUNCTIONS_H_
