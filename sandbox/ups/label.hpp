#pragma once
// A label that looks like one: addressee, service, and the tracking number as text and as Code 128.
#include <string>
#include <vector>

namespace acme::sandbox {

struct Label {
  std::string tracking_number, service;
  std::vector<std::string> from, to;  // lines
};
/// GIF 87a, 400×600, black on white.
std::string gif(const Label& label);
/// Zebra's ZPL II.
std::string zpl(const Label& label);

}  // namespace acme::sandbox
