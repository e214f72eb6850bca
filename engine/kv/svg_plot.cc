#include "engine/kv/svg_plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cairn::engine {
namespace {

constexpr double kPanelWidth = 270, kPanelHeight = 200;
constexpr double kLeft = 46, kRight = 12, kTop = 26, kBottom = 38;  // Around a panel's frame.
constexpr double kHeading = 26, kLegendLine = 18, kLegendEntry = 135;
// Told apart by those who do not see red and green as two (Okabe and Ito), grey for the last.
constexpr std::array<const char*, 8> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                 "#56b4e9", "#e69f00", "#000000", "#888888"};

std::string Escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      out += c;
    }
  }
  return out;
}

// Numbers from `low` to `high` in round steps; both ends are ticks.
struct Axis {
  double low = 0, high = 1, step = 0.2;

  // The least that holds all values.
  static Axis Of(double least, double most) {
    if (!(least <= most)) return {};
    if (most - least < 1e-9 * std::max(1.0, std::fabs(most))) most = least + 1;
    constexpr double kSteps = 5;
    const double raw = (most - least) / kSteps;
    const double power = std::pow(10, std::floor(std::log10(raw)));
    const double lead = raw / power;
    const double step = power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
    return {std::floor(least / step + 1e-9) * step, std::ceil(most / step - 1e-9) * step, step};
  }
  double Share(double value) const { return std::clamp((value - low) / (high - low), 0.0, 1.0); }
};

bool IsPoint(const std::pair<double, double>& p) {
  return std::isfinite(p.first) && std::isfinite(p.second);
}

class Drawing {
 public:
  explicit Drawing(const Plot& plot) : plot_(plot) {
    constexpr double kFar = std::numeric_limits<double>::max();
    double x_low = kFar, x_high = -kFar, y_low = plot.from_zero ? 0 : kFar, y_high = -kFar;
    for (const PlotPanel& panel : plot.panels) {
      for (const PlotSeries& series : panel.series) {
        NumberOf(series.name);
        for (const auto& point : series.points) {
          if (!IsPoint(point)) continue;
          y_low = std::min(y_low, point.second);
          y_high = std::max(y_high, point.second);
          if (series.mark == PlotMark::kLevel) continue;
          x_low = std::min(x_low, point.first);
          x_high = std::max(x_high, point.first);
        }
      }
    }
    x_ = Axis::Of(x_low, x_high);
    y_ = Axis::Of(y_low, y_high);
  }

  std::string Render() {
    const size_t columns = std::max<size_t>(1, std::min(plot_.columns, plot_.panels.size()));
    const size_t rows = (plot_.panels.size() + columns - 1) / columns;
    const double width = static_cast<double>(columns) * kPanelWidth;
    const auto across = static_cast<size_t>(width / kLegendEntry);
    const size_t lines = (names_.size() + across - 1) / across;
    const double legend = kHeading + static_cast<double>(rows) * kPanelHeight;
    const double height = legend + static_cast<double>(lines) * kLegendLine + 8;
    absl::StrAppendFormat(
        &out_,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
        "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"11\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
        width, height, width, height);
    Text(width / 2, 17, "middle", plot_.title, " font-size=\"13\"");
    for (size_t p = 0; p < plot_.panels.size(); ++p) {
      DrawPanel(plot_.panels[p], static_cast<double>(p % columns) * kPanelWidth,
                kHeading + static_cast<double>(p / columns) * kPanelHeight);
    }
    for (size_t i = 0; i < names_.size(); ++i) {
      const double x = 12 + static_cast<double>(i % across) * kLegendEntry;
      const double y = legend + 12 + static_cast<double>(i / across) * kLegendLine;
      absl::StrAppendFormat(&out_, "<path d=\"M%.1f %.1fh16\" stroke=\"%s\" stroke-width=\"2\"/>\n",
                            x, y - 4, ColourOf(i));
      Text(x + 21, y, "start", names_[i]);
    }
    out_ += "</svg>\n";
    return std::move(out_);
  }

 private:
  size_t NumberOf(const std::string& name) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found != names_.end()) return static_cast<size_t>(found - names_.begin());
    names_.push_back(name);
    return names_.size() - 1;
  }
  static const char* ColourOf(size_t number) { return kColours[number % kColours.size()]; }

  void Text(double x, double y, const char* anchor, const std::string& text,
            const char* more = "") {
    absl::StrAppendFormat(&out_, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>%s</text>\n", x,
                          y, anchor, more, Escape(text));
  }

  void DrawPanel(const PlotPanel& panel, double left, double top) {
    left_ = left + kLeft;
    top_ = top + kTop;
    width_ = kPanelWidth - kLeft - kRight;
    height_ = kPanelHeight - kTop - kBottom;
    Text(left_ + width_ / 2, top_ - 7, "middle", panel.title);
    DrawAxes();
    for (const PlotSeries& series : panel.series) Draw(series);
  }

  double X(double value) const { return left_ + x_.Share(value) * width_; }
  double Y(double value) const { return top_ + (1 - y_.Share(value)) * height_; }

  void DrawAxes() {
    absl::StrAppendFormat(&out_,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                          "fill=\"none\" stroke=\"#666\"/>\n",
                          left_, top_, width_, height_);
    const double bottom = top_ + height_;
    for (int i = 0; x_.low + i * x_.step <= x_.high + x_.step / 2; ++i) {
      const double value = x_.low + i * x_.step;
      absl::StrAppendFormat(&out_, "<path d=\"M%.1f %.1fv4\" stroke=\"#666\"/>\n", X(value),
                            bottom);
      Text(X(value), bottom + 15, "middle", Label(value, x_));
    }
    for (int i = 0; y_.low + i * y_.step <= y_.high + y_.step / 2; ++i) {
      const double value = y_.low + i * y_.step;
      absl::StrAppendFormat(&out_, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"#ddd\"/>\n", left_,
                            Y(value), width_);
      Text(left_ - 5, Y(value) + 4, "end", Label(value, y_));
    }
    Text(left_ + width_ / 2, bottom + 29, "middle", plot_.x_label);
    absl::StrAppendFormat(&out_,
                          "<text transform=\"translate(%.1f %.1f) rotate(-90)\" "
                          "text-anchor=\"middle\">%s</text>\n",
                          left_ - kLeft + 11, top_ + height_ / 2, Escape(plot_.y_label));
  }

  static std::string Label(double value, const Axis& axis) {
    const int digits = std::clamp(static_cast<int>(std::ceil(-std::log10(axis.step) - 1e-9)), 0, 6);
    return absl::StrFormat("%.*f", digits, std::fabs(value) < axis.step / 2 ? 0 : value);
  }

  void Draw(const PlotSeries& series) {
    std::vector<std::pair<double, double>> points;
    std::copy_if(series.points.begin(), series.points.end(), std::back_inserter(points), IsPoint);
    if (points.empty()) return;
    const char* const colour = ColourOf(NumberOf(series.name));
    if (series.mark == PlotMark::kLevel) {
      absl::StrAppendFormat(
          &out_, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"%s\" stroke-dasharray=\"4 3\"/>\n", left_,
          Y(points[0].second), width_, colour);
      return;
    }
    if (series.mark == PlotMark::kLine) {
      std::sort(points.begin(), points.end());
      out_ += "<polyline fill=\"none\" stroke-width=\"1.5\" points=\"";
      for (const auto& [x, y] : points) absl::StrAppendFormat(&out_, "%.1f,%.1f ", X(x), Y(y));
      absl::StrAppend(&out_, "\" stroke=\"", colour, "\"/>\n");
    }
    for (const auto& [x, y] : points) {
      absl::StrAppendFormat(&out_, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\" fill=\"%s\"/>\n",
                            X(x), Y(y), colour);
    }
  }

  const Plot& plot_;
  Axis x_, y_;
  std::vector<std::string> names_;                      // In the order of their appearance.
  double left_ = 0, top_ = 0, width_ = 0, height_ = 0;  // Of the frame being drawn.
  std::string out_;
};

}  // namespace

std::string RenderSvg(const Plot& plot) { return Drawing(plot).Render(); }

}  // namespace cairn::engine
