#include "engine/kv/svg_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <regex>
#include <string>
#include <vector>

namespace cairn::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

Plot SomePlot() {
  Plot plot;
  plot.title = "a < b & \"c\"";
  plot.x_label = "cost";
  plot.y_label = "quality";
  for (size_t p = 0; p < 4; ++p) {
    PlotPanel panel;
    panel.title = "panel";
    panel.series.push_back({"full", PlotMark::kLevel, {{0, 0.9}}});
    panel.series.push_back({"line", PlotMark::kLine, {{0.5, 0.7}, {0.1, 0.25}, {0.3, 0.61}}});
    panel.series.push_back({"point", PlotMark::kPoint, {{0.2, 0.5}}});
    plot.panels.push_back(panel);
  }
  return plot;
}

// Every tag is closed, in order.
bool IsWellFormed(const std::string& xml) {
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-z]+)([^<>]*?)(/?)>");
  size_t end = 0;
  for (std::sregex_iterator it(xml.begin(), xml.end(), tag), last; it != last; ++it) {
    const std::string between = xml.substr(end, static_cast<size_t>(it->position()) - end);
    if (between.find_first_of("<>") != std::string::npos) return false;
    end = static_cast<size_t>(it->position() + it->length());
    if ((*it)[1] == "/") {
      if (open.empty() || open.back() != (*it)[2]) return false;
      open.pop_back();
    } else if ((*it)[4] != "/") {
      open.push_back((*it)[2]);
    }
  }
  return open.empty() && xml.substr(end) == "\n";
}

TEST(SvgPlot, IsWellFormedAndHasAllThatItShould) {
  const std::string svg = RenderSvg(SomePlot());
  EXPECT_THAT(svg, StartsWith("<svg xmlns="));
  EXPECT_TRUE(IsWellFormed(svg)) << svg;
  EXPECT_THAT(svg, HasSubstr("a &lt; b &amp; &quot;c&quot;"));
  for (const char* text : {">cost<", ">quality<", ">panel<", ">full<", ">line<", ">point<"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  // Round ticks: 0.2 to 1.0 of 0.25 to 0.9, and 0.1 to 0.5.
  for (const char* tick : {">0.2<", ">0.6<", ">1.0<", ">0.1<", ">0.5<"}) {
    EXPECT_THAT(svg, HasSubstr(tick));
  }
}

TEST(SvgPlot, NothingIsDrawnOutsideTheImage) {
  const std::string svg = RenderSvg(SomePlot());
  std::smatch size;
  ASSERT_TRUE(std::regex_search(svg, size, std::regex("width=\"(\\d+)\" height=\"(\\d+)\"")));
  const double width = std::stod(size[1]), height = std::stod(size[2]);
  EXPECT_LT(width, 1200);
  EXPECT_LT(height, 1200);
  const std::regex point("c?x=\"([0-9.-]+)\" c?y=\"([0-9.-]+)\"");
  size_t points = 0;
  for (std::sregex_iterator it(svg.begin(), svg.end(), point), last; it != last; ++it, ++points) {
    EXPECT_GE(std::stod((*it)[1]), 0);
    EXPECT_LE(std::stod((*it)[1]), width);
    EXPECT_GE(std::stod((*it)[2]), 0);
    EXPECT_LE(std::stod((*it)[2]), height);
  }
  EXPECT_GT(points, 20u);
}

TEST(SvgPlot, PointsThatAreNoNumbersAreLeftOut) {
  Plot plot;
  plot.panels.resize(1);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  plot.panels[0].series.push_back(
      {"odd", PlotMark::kLine, {{nan, 1}, {1, INFINITY}, {0.5, 2}, {0.5, 2}}});
  plot.panels[0].series.push_back({"none", PlotMark::kLevel, {}});
  const std::string svg = RenderSvg(plot);
  EXPECT_TRUE(IsWellFormed(svg)) << svg;
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  EXPECT_TRUE(IsWellFormed(RenderSvg(Plot())));
}

}  // namespace
}  // namespace cairn::engine
