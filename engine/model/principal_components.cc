#include "engine/model/principal_components.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "engine/model/parallel_pieces.h"

namespace cairn::engine {
namespace {

constexpr size_t kRows = 16;      // Of the covariance matrix, that one piece of work computes.
constexpr size_t kColumns = 128;  // Of the vectors, likewise for the mean.
constexpr size_t kLanes = 8;      // Sums that the compiler can keep apart in registers.
constexpr int kMaxSweeps = 60;    // Six to ten are enough; a bound all the same.
constexpr double kTolerance = 1e-15;

std::vector<double> MeanOf(absl::Span<const float> vectors, size_t dim, size_t threads) {
  const size_t count = vectors.size() / dim;
  std::vector<double> mean(dim);
  ForEachPiece((dim + kColumns - 1) / kColumns, threads, [&](size_t piece) {
    const size_t end = std::min(dim, (piece + 1) * kColumns);
    for (size_t i = 0; i < count; ++i) {
      for (size_t d = piece * kColumns; d < end; ++d) mean[d] += vectors[i * dim + d];
    }
    for (size_t d = piece * kColumns; d < end; ++d) mean[d] /= static_cast<double>(count);
  });
  return mean;
}

// [dim][dim]
std::vector<double> CovarianceOf(absl::Span<const float> vectors, const std::vector<double>& mean,
                                 size_t threads) {
  const size_t dim = mean.size();
  const size_t count = vectors.size() / dim;
  std::vector<double> covariance(dim * dim);
  ForEachPiece((dim + kRows - 1) / kRows, threads, [&](size_t piece) {
    const size_t begin = piece * kRows;
    const size_t end = std::min(dim, begin + kRows);
    std::vector<double> centred(dim);
    for (size_t i = 0; i < count; ++i) {
      for (size_t d = begin; d < dim; ++d) centred[d] = vectors[i * dim + d] - mean[d];
      for (size_t row = begin; row < end; ++row) {
        const double x = centred[row];
        double* out = covariance.data() + row * dim;
        for (size_t d = begin; d < dim; ++d) out[d] += x * centred[d];
      }
    }
    for (size_t row = begin; row < end; ++row) {
      for (size_t d = begin; d < dim; ++d) covariance[row * dim + d] /= static_cast<double>(count);
    }
  });
  for (size_t row = 0; row < dim; ++row) {
    for (size_t d = 0; d < row; ++d) covariance[row * dim + d] = covariance[d * dim + row];
  }
  return covariance;
}

double Dot(const double* a, const double* b, size_t n) {
  std::array<double, kLanes> sums{};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

void Rotate(double* a, double* b, size_t n, double cosine, double sine) {
  for (size_t i = 0; i < n; ++i) {
    const double x = a[i];
    const double y = b[i];
    a[i] = cosine * x - sine * y;
    b[i] = sine * x + cosine * y;
  }
}

// Turns the rows of `rows` (and `basis` with them) until all are orthogonal to one another.
void Orthogonalize(std::vector<double>* rows, std::vector<double>* basis, size_t dim) {
  std::vector<double> squares(dim);
  for (int sweep = 0; sweep < kMaxSweeps; ++sweep) {
    double largest = 0;
    for (size_t p = 0; p < dim; ++p) {
      const double* row = rows->data() + p * dim;
      squares[p] = Dot(row, row, dim);
      largest = std::max(largest, squares[p]);
    }
    bool turned = false;
    for (size_t p = 0; p + 1 < dim; ++p) {
      for (size_t q = p + 1; q < dim; ++q) {
        double* a = rows->data() + p * dim;
        double* b = rows->data() + q * dim;
        const double product = Dot(a, b, dim);
        // Rows of rounding errors alone have no direction.
        const double bound = std::sqrt(squares[p]) * std::sqrt(squares[q]) + 1e-14 * largest;
        if (std::abs(product) <= kTolerance * bound * static_cast<double>(dim)) continue;
        turned = true;
        const double zeta = (squares[q] - squares[p]) / (2 * product);
        const double tangent =
            std::copysign(1.0, zeta) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
        const double cosine = 1 / std::sqrt(1 + tangent * tangent);
        Rotate(a, b, dim, cosine, cosine * tangent);
        Rotate(basis->data() + p * dim, basis->data() + q * dim, dim, cosine, cosine * tangent);
        squares[p] = std::max(0.0, squares[p] - tangent * product);
        squares[q] += tangent * product;
      }
    }
    if (!turned) return;
  }
}

// An eigenvector's sign is arbitrary: the largest value becomes positive.
void FixSign(double* axis, size_t dim) {
  const double* largest = std::max_element(
      axis, axis + dim, [](double a, double b) { return std::abs(a) < std::abs(b); });
  if (*largest >= 0) return;
  for (size_t d = 0; d < dim; ++d) axis[d] = -axis[d];
}

}  // namespace

EigenSystem SolveSymmetric(std::vector<double> matrix, size_t dim) {
  // With an orthogonal Q whose Q * matrix has orthogonal rows, Q * matrix^2 * Q^T is diagonal: the
  // rows of Q are the eigenvectors, the lengths of the rows the eigenvalues.
  std::vector<double> basis(dim * dim);
  for (size_t d = 0; d < dim; ++d) basis[d * dim + d] = 1;
  Orthogonalize(&matrix, &basis, dim);

  std::vector<double> lengths(dim);
  for (size_t d = 0; d < dim; ++d) {
    const double* row = matrix.data() + d * dim;
    lengths[d] = std::sqrt(Dot(row, row, dim));
  }
  std::vector<size_t> order(dim);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });
  EigenSystem result;
  for (const size_t d : order) {
    result.values.push_back(lengths[d]);
    double* axis = basis.data() + d * dim;
    FixSign(axis, dim);
    result.vectors.insert(result.vectors.end(), axis, axis + dim);
  }
  return result;
}

PrincipalComponents ComputePrincipalComponents(absl::Span<const float> vectors, size_t dim,
                                               size_t threads) {
  PrincipalComponents result;
  result.mean = MeanOf(vectors, dim, threads);
  EigenSystem system = SolveSymmetric(CovarianceOf(vectors, result.mean, threads), dim);
  result.variance = std::move(system.values);
  result.axes = std::move(system.vectors);
  return result;
}

}  // namespace cairn::engine
