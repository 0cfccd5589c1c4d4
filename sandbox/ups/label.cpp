#include "sandbox/ups/label.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace acme::sandbox {
namespace {

constexpr std::size_t width = 400, height = 600;

/// 5×7 dots a character: five columns, lowest bit on top.
constexpr std::string_view drawn = " -./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::array<std::array<std::uint8_t, 5>, drawn.size()> dots{{
    {0x00, 0x00, 0x00, 0x00, 0x00}, {0x08, 0x08, 0x08, 0x08, 0x08}, {0x00, 0x60, 0x60, 0x00, 0x00},
    {0x20, 0x10, 0x08, 0x04, 0x02}, {0x3E, 0x51, 0x49, 0x45, 0x3E}, {0x00, 0x42, 0x7F, 0x40, 0x00},
    {0x42, 0x61, 0x51, 0x49, 0x46}, {0x21, 0x41, 0x45, 0x4B, 0x31}, {0x18, 0x14, 0x12, 0x7F, 0x10},
    {0x27, 0x45, 0x45, 0x45, 0x39}, {0x3C, 0x4A, 0x49, 0x49, 0x30}, {0x01, 0x71, 0x09, 0x05, 0x03},
    {0x36, 0x49, 0x49, 0x49, 0x36}, {0x06, 0x49, 0x49, 0x29, 0x1E}, {0x7E, 0x11, 0x11, 0x11, 0x7E},
    {0x7F, 0x49, 0x49, 0x49, 0x36}, {0x3E, 0x41, 0x41, 0x41, 0x22}, {0x7F, 0x41, 0x41, 0x22, 0x1C},
    {0x7F, 0x49, 0x49, 0x49, 0x41}, {0x7F, 0x09, 0x09, 0x09, 0x01}, {0x3E, 0x41, 0x49, 0x49, 0x7A},
    {0x7F, 0x08, 0x08, 0x08, 0x7F}, {0x00, 0x41, 0x7F, 0x41, 0x00}, {0x20, 0x40, 0x41, 0x3F, 0x01},
    {0x7F, 0x08, 0x14, 0x22, 0x41}, {0x7F, 0x40, 0x40, 0x40, 0x40}, {0x7F, 0x02, 0x0C, 0x02, 0x7F},
    {0x7F, 0x04, 0x08, 0x10, 0x7F}, {0x3E, 0x41, 0x41, 0x41, 0x3E}, {0x7F, 0x09, 0x09, 0x09, 0x06},
    {0x3E, 0x41, 0x51, 0x21, 0x5E}, {0x7F, 0x09, 0x19, 0x29, 0x46}, {0x46, 0x49, 0x49, 0x49, 0x31},
    {0x01, 0x01, 0x7F, 0x01, 0x01}, {0x3F, 0x40, 0x40, 0x40, 0x3F}, {0x1F, 0x20, 0x40, 0x20, 0x1F},
    {0x3F, 0x40, 0x38, 0x40, 0x3F}, {0x63, 0x14, 0x08, 0x14, 0x63}, {0x07, 0x08, 0x70, 0x08, 0x07},
    {0x61, 0x51, 0x49, 0x45, 0x43},
}};

/// ISO/IEC 15417, widths of bars and spaces of the symbols 0 to 105; 104 begins code set B.
constexpr std::string_view symbols =
    "212222222122222221121223121322131222122213122312132212221213221312231212112232122132122231113222123122123221"
    "223211221132221231213212223112312131311222321122321221312212322112322211212123212321232121111323131123131321"
    "112313132113132311211313231113231311112133112331132131113123113321133121313121211331231131213113213311213131"
    "311123311321331121312113312311332111314111221411431111111224111422121124121421141122141221112214112412122114"
    "122411142112142211241211221114413111241112134111111242121142121241114212124112124211411212421112421211212141"
    "214121412121111143111341131141114113114311411113411311113141114131311141411131211412211214211232";
constexpr std::string_view stop = "2331112";

struct Canvas {
  std::vector<std::uint8_t> pixels = std::vector<std::uint8_t>(width * height);
  void box(std::size_t x, std::size_t y, std::size_t w, std::size_t h) {
    for (std::size_t row = y; row < y + h && row < height; ++row)
      for (std::size_t column = x; column < x + w && column < width; ++column) pixels[row * width + column] = 1;
  }
  void text(std::size_t x, std::size_t y, std::size_t size, std::string_view words) {
    for (const char c : words) {
      const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      const auto found = drawn.find(upper);
      const auto& glyph = dots[found == drawn.npos ? 0 : found];  // what we cannot draw is a blank
      for (std::size_t column = 0; column < 5; ++column)
        for (std::size_t row = 0; row < 7; ++row)
          if (glyph[column] >> row & 1) box(x + column * size, y + row * size, size, size);
      x += 6 * size;
    }
  }
  void barcode(std::size_t x, std::size_t y, std::size_t tall, std::string_view words) {
    std::size_t sum = 104;
    std::string widths{symbols.substr(104 * 6, 6)};
    for (std::size_t i = 0; i < words.size(); ++i) {
      const auto value = static_cast<std::size_t>(words[i] - ' ');
      widths += symbols.substr(value * 6, 6);
      sum += (i + 1) * value;
    }
    widths += symbols.substr(sum % 103 * 6, 6);
    widths += stop;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const auto wide = static_cast<std::size_t>(widths[i] - '0');
      if (i % 2 == 0) box(x, y, wide, 1);
      x += wide;
    }
    for (std::size_t row = y + 1; row < y + tall; ++row) std::copy_n(&pixels[y * width], width, &pixels[row * width]);
  }
};

/// LZW as GIF wants it: codes grow from 3 to 12 bits, lowest bit first, in blocks of at most 255 bytes.
std::string compressed(const std::vector<std::uint8_t>& pixels) {
  constexpr std::uint32_t clear = 4, end = 5;
  std::string bytes, blocks;
  std::uint32_t waiting = 0, next = end + 1;
  int bits = 0, size = 3;
  const auto put = [&](std::uint32_t code) {
    waiting |= code << bits;
    for (bits += size; bits >= 8; bits -= 8, waiting >>= 8) bytes += static_cast<char>(waiting & 0xff);
  };
  std::vector<std::uint16_t> known(4096 * 2);  // (code, pixel) → code; 0: none yet
  // The codes of one, two, three… pixels of one colour: a label is mostly blank, and this is read in strides.
  std::array<std::vector<std::uint16_t>, 2> runs{{{0}, {1}}};
  put(clear);
  for (std::size_t i = 0; i < pixels.size();) {
    const auto colour = pixels[i];
    auto& run = runs[colour];
    const auto* from = &pixels[i];
    const auto most = std::min(run.size(), pixels.size() - i);
    const auto* other = static_cast<const std::uint8_t*>(std::memchr(from, 1 - colour, most));
    const auto alike = other ? static_cast<std::size_t>(other - from) : most;
    std::uint32_t at = run[alike - 1], step = 0;
    for (i += alike; i < pixels.size() && known[step = at << 1 | pixels[i]] != 0; ++i) at = known[step];
    put(at);
    if (i == pixels.size()) break;
    if (next == 4096) {
      put(clear);
      known.assign(known.size(), 0);
      for (auto& codes : runs) codes.resize(1);
      next = end + 1;
      size = 3;
    } else {
      if (next == 1U << size) ++size;
      known[step] = static_cast<std::uint16_t>(next);
      if (at == run.back() && pixels[i] == colour) run.push_back(known[step]);
      ++next;
    }
  }
  put(end);
  if (bits > 0) bytes += static_cast<char>(waiting & 0xff);
  for (std::size_t i = 0; i < bytes.size(); i += 255) {
    const auto block = bytes.substr(i, 255);
    blocks += static_cast<char>(block.size());
    blocks += block;
  }
  return blocks + '\0';
}

std::string u16(std::size_t value) { return {static_cast<char>(value & 0xff), static_cast<char>(value >> 8)}; }

}  // namespace

std::string gif(const Label& label) {
  Canvas canvas;
  std::size_t y = 12;
  for (auto& line : label.from) canvas.text(12, y, 1, line), y += 10;
  y += 14;
  canvas.text(12, y, 2, "SHIP TO");
  y += 22;
  for (auto& line : label.to) canvas.text(36, y, 2, line), y += 20;
  canvas.box(0, 270, width, 4);
  canvas.text(12, 290, 3, "UPS " + label.service);
  canvas.text(12, 324, 2, "TRACKING " + label.tracking_number);
  canvas.box(0, 350, width, 4);
  canvas.barcode((width - 11 * (label.tracking_number.size() + 3) - 2) / 2, 370, 150, label.tracking_number);
  canvas.box(0, 540, width, 4);
  canvas.text(12, 560, 2, "SANDBOX - NOT FOR SHIPPING");
  return "GIF87a" + u16(width) + u16(height) + std::string{"\x91\x00\x00", 3} +
         std::string{"\xff\xff\xff\x00\x00\x00\x80\x80\x80\xc0\xc0\xc0", 12} + "," + u16(0) + u16(0) + u16(width) +
         u16(height) + std::string{"\x00\x02", 2} + compressed(canvas.pixels) + ";";
}

std::string zpl(const Label& label) {
  const auto plain = [](std::string_view text) {
    std::string out;
    for (const char c : text) out += c == '^' || c == '~' ? ' ' : c;
    return out;
  };
  std::string out = "^XA^CI28";
  int y = 40;
  for (auto& line : label.from) out += "^FO30," + std::to_string(y) + "^A0N,22^FD" + plain(line) + "^FS", y += 26;
  y += 20;
  for (auto& line : label.to) out += "^FO80," + std::to_string(y) + "^A0N,36^FD" + plain(line) + "^FS", y += 42;
  return out + "^FO30,560^A0N,60^FDUPS " + plain(label.service) +
         "^FS^FO30,640^A0N,32^FDTRACKING #: " + plain(label.tracking_number) + "^FS^FO90,720^BY3^BCN,240,N,N,N^FD" +
         plain(label.tracking_number) + "^FS^XZ";
}

}  // namespace acme::sandbox
