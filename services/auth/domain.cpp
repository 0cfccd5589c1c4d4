#include "services/auth/domain.hpp"

#include <algorithm>
#include <set>

namespace acme::auth {

std::string scope_of(const std::vector<Role>& roles) {
  struct Rights {
    Role role;
    std::vector<std::string_view> scopes;
  };
  // Who may do what: every right there is. Customers and guests need none for what is their own.
  static const Rights table[] = {
      {Role::support,
       {"orders:read", "orders:write", "shipments:read", "notifications:read", "notifications:write", "payments:read",
        "refunds:write"}},
      {Role::catalog, {"catalog:write", "inventory:write", "discounts:write"}},
      {Role::fulfilment, {"inventory:write", "shipments:read", "shipments:write", "orders:read"}},
      {Role::finance, {"payments:read", "refunds:write", "analytics:read", "orders:read", "discounts:write"}},
  };
  std::set<std::string_view> scopes;
  for (const auto& rights : table)
    for (const auto role : roles)
      if (role == rights.role || role == Role::admin) scopes.insert(rights.scopes.begin(), rights.scopes.end());
  std::string out;
  for (const auto scope : scopes) out += (out.empty() ? "" : " ") + std::string{scope};
  return out;
}

bool is_staff(const std::vector<Role>& roles) {
  return std::ranges::any_of(roles, [](Role role) { return role != Role::guest && role != Role::customer; });
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }

std::optional<std::string> email_key(std::string_view email) {
  const auto at = email.rfind('@');
  if (at == email.npos || at == 0 || at > 64 || email.size() > 254) return {};
  const auto local = email.substr(0, at);
  auto domain = email.substr(at + 1);
  // RFC 5321's dot-string; quoted forms and other alphabets are not taken by the mail service.
  static constexpr std::string_view signs = ".!#$%&'*+-/=?^_`{|}~";
  for (const char c : local)
    if (!is_letter(c) && !is_digit(c) && signs.find(c) == signs.npos) return {};
  if (local.starts_with('.') || local.ends_with('.') || local.find("..") != local.npos) return {};
  while (true) {
    const auto dot = domain.find('.');
    const auto label = domain.substr(0, dot);
    if (label.empty() || label.size() > 63 || label.starts_with('-') || label.ends_with('-')) return {};
    for (const char c : label)
      if (!is_letter(c) && !is_digit(c) && c != '-') return {};
    if (dot == domain.npos) break;
    domain.remove_prefix(dot + 1);
  }
  std::string out{email};
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

/// Characters, not bytes; the text is UTF-8 already.
static std::size_t length(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::optional<std::string> password_fault(std::string_view password, std::string_view email, bool staff) {
  const auto size = length(password);
  if (size < (staff ? 12U : 8U)) return "must have at least " + std::string{staff ? "12" : "8"} + " characters";
  if (size > 256) return "must have at most 256 characters";
  if (staff && (!std::ranges::any_of(password, is_digit) || !std::ranges::any_of(password, is_letter)))
    return "must have letters and digits";
  std::string small{password}, address{email};
  std::ranges::transform(small, small.begin(), lower);
  std::ranges::transform(address, address.begin(), lower);
  const auto name = address.substr(0, address.find('@'));
  if (small == address || (name.size() >= 4 && small.find(name) != small.npos && small.size() < name.size() + 6))
    return "must not be the e-mail address";
  if (is_common(password)) return "is among the first that anybody would try; take a longer, less usual one";
  return {};
}

Verdict judge(const Presented& token, Time now, const Terms& terms) {
  if (token.session_expires_at <= now) return Verdict::over;
  if (!token.spent_at) return token.expires_at > now ? Verdict::rotate : Verdict::over;
  const bool lost = token.answered_at.has_value();
  if (now < token.answered_at.value_or(*token.spent_at) + terms.settle) return Verdict::raced;
  return lost && now < *token.spent_at + terms.grace ? Verdict::rotate : Verdict::stolen;
}

Time session_end(Time created, Time now, bool guest, const Terms& terms) {
  return std::min<Time>(now + (guest ? terms.guest : terms.refresh), created + terms.most);
}

Duration account_wait(int failures, Duration most) {
  // 20 failures within a quarter of an hour are more than a forgetful owner makes.
  return failures < 20 ? Duration{0} : std::min(most, most * (failures - 19) / 20);
}

}  // namespace acme::auth
