#include "sandbox/faults.hpp"

#include <charconv>

namespace acme::sandbox {

void read(json::Node in, Rate& out) {
  const std::string text = in.missing() ? "" : in.raw();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.value);
  if (error != std::errc{} || end != text.data() + text.size() || !(out.value >= 0 && out.value <= 1))
    in.fault("must be a number between 0 and 1");
}

void write(json::Writer& to, const Rate& rate) {
  char text[32];
  to.raw({text, std::to_chars(text, text + sizeof text, rate.value).ptr});
}

bool Luck::happens(const Rate& rate) {
  // No draw for what is off: switching one fault on does not change the others' day.
  return rate > 0 && std::uniform_real_distribution<>{0, 1}(dice_) < rate;
}

std::int64_t Luck::up_to(std::int64_t bound) {
  return bound <= 0 ? 0 : std::uniform_int_distribution<std::int64_t>{0, bound}(dice_);
}

}  // namespace acme::sandbox
