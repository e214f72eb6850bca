// Small plots as SVG.
#ifndef CAIRN_ENGINE_KV_SVG_PLOT_H_
#define CAIRN_ENGINE_KV_SVG_PLOT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cairn::engine {

enum class PlotMark : uint8_t {
  kLine,   // Points in the order of x, joined.
  kPoint,  // Each by itself.
  kLevel,  // A dashed line across the panel at the first point's y.
};

struct PlotSeries {
  std::string name;  // Series of one name, in whatever panel, look alike and share a legend entry.
  PlotMark mark = PlotMark::kLine;
  std::vector<std::pair<double, double>> points;  // Those that are no numbers are left out.
};

struct PlotPanel {
  std::string title;
  std::vector<PlotSeries> series;
};

// Panels beside each other and then below, all with the same axes, so that they can be compared.
struct Plot {
  std::string title;
  std::string x_label;
  std::string y_label;
  size_t columns = 3;
  bool from_zero = false;  // The y axis begins at 0.
  std::vector<PlotPanel> panels;
};

// A whole file, UTF-8 where the names are.
std::string RenderSvg(const Plot& plot);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_SVG_PLOT_H_
