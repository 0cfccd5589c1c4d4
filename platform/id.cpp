#include "platform/id.hpp"

namespace acme {

Uuid Uuid::v7(Time now, std::array<std::uint8_t, 10> chance) {
  const auto micros = static_cast<std::uint64_t>(now.time_since_epoch().count());
  const std::uint64_t millis = micros / 1000;
  // RFC 9562 §6.2, method 3: the time below a millisecond fills rand_a, so ids made in one millisecond sort as well.
  const std::uint64_t fraction = (micros % 1000) * 4096 / 1000;
  Uuid out;
  for (std::size_t i = 0; i < 6; ++i) out.bytes[i] = static_cast<std::uint8_t>(millis >> (40 - 8 * i));
  out.bytes[6] = static_cast<std::uint8_t>(0x70 | fraction >> 8);
  out.bytes[7] = static_cast<std::uint8_t>(fraction);
  std::copy_n(chance.begin(), 8, out.bytes.begin() + 8);
  out.bytes[8] = static_cast<std::uint8_t>(0x80 | (out.bytes[8] & 0x3f));
  return out;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != 36) return {};
  Uuid out;
  std::size_t nibble = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return {};
      continue;
    }
    const int digit = hex_digit(text[i]);
    if (digit < 0) return {};
    auto& byte = out.bytes[nibble / 2];
    byte = static_cast<std::uint8_t>(byte << 4 | digit);
    ++nibble;
  }
  return out;
}

std::string Uuid::text() const {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += digits[bytes[i] >> 4];
    out += digits[bytes[i] & 15];
  }
  return out;
}

// Crockford's alphabet has no i, l, o, u.
static constexpr char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

std::string Uuid::base32() const {
  // 26 × 5 = 130 bits: the first character carries the top three.
  std::string out(26, '0');
  unsigned buffer = 0, bits = 2;  // two zero bits in front
  std::size_t at = 0;
  for (const auto byte : bytes) {
    buffer = buffer << 8 | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out[at++] = alphabet[buffer >> bits & 31];
    }
    buffer &= (1U << bits) - 1;
  }
  return out;
}

std::optional<Uuid> Uuid::parse_base32(std::string_view text) {
  static constexpr auto values = [] {
    std::array<std::int8_t, 256> out{};
    out.fill(-1);
    for (std::int8_t i = 0; i < 32; ++i) {
      const char c = alphabet[i];
      out[static_cast<unsigned char>(c)] = i;
      if (c >= 'a') out[static_cast<unsigned char>(c - 'a' + 'A')] = i;
    }
    return out;
  }();
  if (text.size() != 26 || text[0] > '7') return {};
  Uuid out;
  unsigned buffer = 0, bits = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int value = values[static_cast<unsigned char>(text[i])];
    if (value < 0) return {};
    buffer = buffer << 5 | static_cast<unsigned>(value);
    bits += i == 0 ? 3 : 5;
    if (bits >= 8) {
      bits -= 8;
      out.bytes[at++] = static_cast<std::uint8_t>(buffer >> bits);
      buffer &= (1U << bits) - 1;
    }
  }
  return out;
}

}  // namespace acme
