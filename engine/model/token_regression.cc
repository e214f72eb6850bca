#include "engine/model/token_regression.h"

#include <algorithm>
#include <utility>

#include "engine/model/parallel_pieces.h"

namespace cairn::engine {
namespace {

constexpr size_t kPieceRows = 512;

size_t Pieces(size_t rows) { return (rows + kPieceRows - 1) / kPieceRows; }

// Calls work(begin, end) for runs of rows that together are [0, rows).
template <class Work>
void ForRows(size_t rows, size_t threads, const Work& work) {
  ForEachPiece(Pieces(rows), threads, [&](size_t piece) {
    work(piece * kPieceRows, std::min(rows, (piece + 1) * kPieceRows));
  });
}

// Conjugate gradients of all columns of the unknown at once, each with steps of its own.
class Solver {
 public:
  Solver(const SparseMatrix& means, const std::vector<float>& targets, std::vector<float> start,
         size_t dim, const RidgeOptions& options)
      : means_(means),
        transposed_(Transpose(means)),
        dim_(dim),
        ridge_(options.ridge),
        threads_(options.threads),
        solution_(std::move(start)),
        inverse_(means.columns) {
    for (size_t row = 0; row < means.columns; ++row) {
      double diagonal = ridge_;
      for (uint64_t i = transposed_.begins[row]; i < transposed_.begins[row + 1]; ++i) {
        diagonal += double{transposed_.values[i]} * transposed_.values[i];
      }
      inverse_[row] = diagonal > 0 ? static_cast<float>(1 / diagonal) : 0;
    }
    // At the start the pull is nought, so the residual is transposed * (targets - means * start).
    Multiply(means_, solution_, dim_, threads_, &texts_);
    ForRows(means_.rows(), threads_, [&](size_t begin, size_t end) {
      for (size_t i = begin * dim_; i < end * dim_; ++i) texts_[i] = targets[i] - texts_[i];
    });
    Multiply(transposed_, texts_, dim_, threads_, &residual_);
    direction_.resize(residual_.size());
    product_ = Products([&](size_t row, size_t d) {
      const float r = residual_[row * dim_ + d];
      direction_[row * dim_ + d] = inverse_[row] * r;
      return double{r} * inverse_[row] * r;
    });
  }

  void Step() {
    Multiply(means_, direction_, dim_, threads_, &texts_);
    Multiply(transposed_, texts_, dim_, threads_, &image_);
    const std::vector<double> curvature = Products([&](size_t row, size_t d) {
      const size_t i = row * dim_ + d;
      image_[i] += ridge_ * direction_[i];
      return double{direction_[i]} * image_[i];
    });
    const std::vector<float> step = Ratios(product_, curvature);
    std::vector<double> next = Products([&](size_t row, size_t d) {
      const size_t i = row * dim_ + d;
      solution_[i] += step[d] * direction_[i];
      residual_[i] -= step[d] * image_[i];
      return double{residual_[i]} * inverse_[row] * residual_[i];
    });
    const std::vector<float> carry = Ratios(next, product_);
    product_ = std::move(next);
    ForRows(means_.columns, threads_, [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) {
        for (size_t d = 0; d < dim_; ++d) {
          const size_t i = row * dim_ + d;
          direction_[i] = inverse_[row] * residual_[i] + carry[d] * direction_[i];
        }
      }
    });
  }

  std::vector<float> TakeSolution() { return std::move(solution_); }

 private:
  // [dim]: the sums of term(row, d) over the rows, in an order that does not depend on threads.
  template <class Term>
  std::vector<double> Products(const Term& term) const {
    std::vector<double> parts(Pieces(means_.columns) * dim_);
    ForRows(means_.columns, threads_, [&](size_t begin, size_t end) {
      double* sums = parts.data() + begin / kPieceRows * dim_;
      for (size_t row = begin; row < end; ++row) {
        for (size_t d = 0; d < dim_; ++d) sums[d] += term(row, d);
      }
    });
    std::vector<double> sums(dim_);
    for (size_t i = 0; i < parts.size(); ++i) sums[i % dim_] += parts[i];
    return sums;
  }

  // 0 where there is nothing left to divide.
  static std::vector<float> Ratios(const std::vector<double>& over,
                                   const std::vector<double>& under) {
    std::vector<float> ratios(over.size());
    for (size_t d = 0; d < over.size(); ++d) {
      ratios[d] = under[d] > 1e-30 ? static_cast<float>(over[d] / under[d]) : 0;
    }
    return ratios;
  }

  const SparseMatrix& means_;
  const SparseMatrix transposed_;
  const size_t dim_;
  const float ridge_;
  const size_t threads_;
  std::vector<float> solution_, residual_, direction_, image_;  // [columns][dim]
  std::vector<float> texts_;                                    // [rows][dim]
  std::vector<float> inverse_;                                  // [columns]: the preconditioner.
  std::vector<double> product_;  // [dim]: residual * preconditioned residual.
};

}  // namespace

SparseMatrix MeanMatrix(absl::Span<const absl::Span<const uint32_t>> texts, size_t vocabulary,
                        uint32_t unknown) {
  SparseMatrix matrix;
  matrix.columns = vocabulary;
  std::vector<uint32_t> ids;
  for (const absl::Span<const uint32_t> text : texts) {
    ids.assign(text.begin(), text.end());
    ids.erase(std::remove(ids.begin(), ids.end(), unknown), ids.end());
    std::sort(ids.begin(), ids.end());
    const float share = 1 / static_cast<float>(std::max<size_t>(ids.size(), 1));
    for (size_t i = 0; i < ids.size();) {
      size_t end = i + 1;
      while (end < ids.size() && ids[end] == ids[i]) ++end;
      matrix.places.push_back(ids[i]);
      matrix.values.push_back(share * static_cast<float>(end - i));
      i = end;
    }
    matrix.begins.push_back(matrix.places.size());
  }
  return matrix;
}

SparseMatrix Transpose(const SparseMatrix& matrix) {
  SparseMatrix result;
  result.columns = matrix.rows();
  result.begins.assign(matrix.columns + 1, 0);
  result.places.resize(matrix.places.size());
  result.values.resize(matrix.places.size());
  for (const uint32_t place : matrix.places) ++result.begins[place + 1];
  for (size_t i = 0; i < matrix.columns; ++i) result.begins[i + 1] += result.begins[i];
  std::vector<uint64_t> next(result.begins.begin(), result.begins.end() - 1);
  for (size_t row = 0; row < matrix.rows(); ++row) {
    for (uint64_t i = matrix.begins[row]; i < matrix.begins[row + 1]; ++i) {
      const uint64_t to = next[matrix.places[i]]++;
      result.places[to] = static_cast<uint32_t>(row);
      result.values[to] = matrix.values[i];
    }
  }
  return result;
}

void Multiply(const SparseMatrix& matrix, const std::vector<float>& vectors, size_t dim,
              size_t threads, std::vector<float>* out) {
  out->resize(matrix.rows() * dim);
  ForRows(matrix.rows(), threads, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      float* sum = out->data() + row * dim;
      std::fill(sum, sum + dim, 0.0f);
      for (uint64_t i = matrix.begins[row]; i < matrix.begins[row + 1]; ++i) {
        const float value = matrix.values[i];
        const float* vector = vectors.data() + matrix.places[i] * dim;
        for (size_t d = 0; d < dim; ++d) sum[d] += value * vector[d];
      }
    }
  });
}

std::vector<float> RidgeFit(const SparseMatrix& means, const std::vector<float>& targets,
                            std::vector<float> start, size_t dim, const RidgeOptions& options) {
  Solver solver(means, targets, std::move(start), dim, options);
  for (int i = 0; i < options.iterations; ++i) solver.Step();
  return solver.TakeSolution();
}

}  // namespace cairn::engine
