#include "tests/bench/onednn_matmul.h"

#ifdef CAIRN_BENCH_ONEDNN
#include <omp.h>

#include <cstring>
#include <dnnl.hpp>

namespace cairn::bench {

using kernels::ComputeType;

struct OneDnnMatMul::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::matmul product;
  dnnl::memory a, b, out;
};

bool OneDnnMatMul::Available() { return true; }

OneDnnMatMul::OneDnnMatMul(ComputeType compute, size_t m, size_t n, size_t k)
    : state_(std::make_unique<State>()) {
  using Type = dnnl::memory::data_type;
  using Tag = dnnl::memory::format_tag;
  const auto rows = static_cast<dnnl::memory::dim>(m), columns = static_cast<dnnl::memory::dim>(n),
             inner = static_cast<dnnl::memory::dim>(k);
  Type a = Type::f32, b = Type::f32, out = Type::f32;
  if (compute == ComputeType::kBF16) a = b = Type::bf16;
  if (compute == ComputeType::kI8) a = Type::u8, b = Type::s8, out = Type::s32;
  const dnnl::memory::desc a_desc({rows, inner}, a, Tag::ab), b_desc({inner, columns}, b, Tag::any),
      out_desc({rows, columns}, out, Tag::ab);
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a_desc, b_desc, out_desc),
                                                 state_->engine);
  state_->product = dnnl::matmul(description);
  state_->a = dnnl::memory(description.src_desc(), state_->engine);
  state_->b = dnnl::memory(description.weights_desc(), state_->engine);
  state_->out = dnnl::memory(description.dst_desc(), state_->engine);
  // Zeros, and in memory of their own: pages that were never written share one.
  std::memset(state_->a.get_data_handle(), 0, description.src_desc().get_size());
  std::memset(state_->b.get_data_handle(), 0, description.weights_desc().get_size());
}

OneDnnMatMul::~OneDnnMatMul() = default;

void OneDnnMatMul::Run(size_t threads) {
  omp_set_num_threads(static_cast<int>(threads));
  state_->product.execute(
      state_->stream,
      {{DNNL_ARG_SRC, state_->a}, {DNNL_ARG_WEIGHTS, state_->b}, {DNNL_ARG_DST, state_->out}});
  state_->stream.wait();
}

}  // namespace cairn::bench

#else

namespace cairn::bench {

struct OneDnnMatMul::State {};

bool OneDnnMatMul::Available() { return false; }
OneDnnMatMul::OneDnnMatMul(kernels::ComputeType, size_t, size_t, size_t) {}
OneDnnMatMul::~OneDnnMatMul() = default;
void OneDnnMatMul::Run(size_t) {}

}  // namespace cairn::bench

#endif
