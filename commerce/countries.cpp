#include "commerce/countries.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace acme {

static char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

bool is_country(std::string_view code) {
  static constexpr std::string_view all =
      "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
      "CA "
      "CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR "
      "GA "
      "GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO "
      "JP "
      "KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR "
      "MS "
      "MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO "
      "RS "
      "RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV "
      "TW "
      "TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW ";
  if (code.size() != 2 || code.find(' ') != code.npos) return false;
  const auto at = all.find(std::string{code} + ' ');
  return at != all.npos && at % 3 == 0;
}

namespace {

// 'N' a digit, 'A' a letter, '*' either; all else stands for itself. '|' parts alternatives.
struct PostalForm {
  std::string_view countries, pattern;
};
constexpr PostalForm postal_forms[] = {
    {"FO IS", "NNN"},
    {"AL AM AT AU BD BE BG CH CX CY DK GE GL HU LI LU MK NF NO NZ PH PY SI TN ZA", "NNNN"},
    {"AX BA BT CC CR CU DE DO DZ EE EG ES FI FR GF GP GT HR IC ID IQ IT JO KE KR KW LA LK MA MC ME MM MN MQ MX MY NC "
     "NP "
     "PE PF PK PM RE RS SD SM TH TR UA UY VA WF YT ZM BL MF",
     "NNNNN"},
    {"BY CN CO EC IN KG KZ NG RO RU SG TJ TM UZ", "NNNNNN"},
    {"AR", "NNNN|ANNNNAAA"},
    {"BR", "NNNNN-NNN"},
    {"CA", "ANA NAN"},
    {"CL", "NNNNNNN"},
    {"CZ GR SE SK", "NNN NN"},
    {"GB GG IM JE", "AN NAA|ANN NAA|AAN NAA|AANN NAA|ANA NAA|AANA NAA|AAA NAA"},
    {"IE", "A** ****"},
    {"IL", "NNNNNNN|NNNNN"},
    {"JP", "NNN-NNNN"},
    {"LT", "NNNNN|LT-NNNNN"},
    {"LV", "LV-NNNN"},
    {"MT", "AAA NNNN"},
    {"NL", "NNNN AA"},
    {"PL", "NN-NNN"},
    {"PT", "NNNN-NNN"},
    {"TW", "NNN|NNNNN|NNNNNN"},
    {"VN", "NNNNN|NNNNNN"},
    {"US AS GU MP PR VI", "NNNNN|NNNNN-NNNN"},
};

bool fits(char c, char wanted) {
  const bool digit = c >= '0' && c <= '9', letter = c >= 'A' && c <= 'Z';
  return wanted == 'N' ? digit : wanted == 'A' ? letter : wanted == '*' ? digit || letter : c == wanted;
}

/// `compact` has neither blanks nor hyphens; they come back where the pattern has them.
std::optional<std::string> match(std::string_view compact, std::string_view pattern) {
  std::string out;
  for (const char wanted : pattern) {
    if (wanted == ' ' || wanted == '-') {
      out += wanted;
      continue;
    }
    if (compact.empty() || !fits(compact.front(), wanted)) return {};
    out += compact.front();
    compact.remove_prefix(1);
  }
  if (!compact.empty()) return {};
  return out;
}

struct Region {
  std::string_view code, name;
};
// clang-format off
constexpr Region us[] = {
    {"AL", "Alabama"}, {"AK", "Alaska"}, {"AZ", "Arizona"}, {"AR", "Arkansas"}, {"CA", "California"}, {"CO", "Colorado"},
    {"CT", "Connecticut"}, {"DE", "Delaware"}, {"DC", "District of Columbia"}, {"FL", "Florida"}, {"GA", "Georgia"},
    {"HI", "Hawaii"}, {"ID", "Idaho"}, {"IL", "Illinois"}, {"IN", "Indiana"}, {"IA", "Iowa"}, {"KS", "Kansas"},
    {"KY", "Kentucky"}, {"LA", "Louisiana"}, {"ME", "Maine"}, {"MD", "Maryland"}, {"MA", "Massachusetts"},
    {"MI", "Michigan"}, {"MN", "Minnesota"}, {"MS", "Mississippi"}, {"MO", "Missouri"}, {"MT", "Montana"},
    {"NE", "Nebraska"}, {"NV", "Nevada"}, {"NH", "New Hampshire"}, {"NJ", "New Jersey"}, {"NM", "New Mexico"},
    {"NY", "New York"}, {"NC", "North Carolina"}, {"ND", "North Dakota"}, {"OH", "Ohio"}, {"OK", "Oklahoma"},
    {"OR", "Oregon"}, {"PA", "Pennsylvania"}, {"RI", "Rhode Island"}, {"SC", "South Carolina"}, {"SD", "South Dakota"},
    {"TN", "Tennessee"}, {"TX", "Texas"}, {"UT", "Utah"}, {"VT", "Vermont"}, {"VA", "Virginia"}, {"WA", "Washington"},
    {"WV", "West Virginia"}, {"WI", "Wisconsin"}, {"WY", "Wyoming"}, {"AS", "American Samoa"}, {"GU", "Guam"},
    {"MP", "Northern Mariana Islands"}, {"PR", "Puerto Rico"}, {"VI", "Virgin Islands"},
    {"AA", "Armed Forces Americas"}, {"AE", "Armed Forces Europe"}, {"AP", "Armed Forces Pacific"}};
constexpr Region ca[] = {
    {"AB", "Alberta"}, {"BC", "British Columbia"}, {"MB", "Manitoba"}, {"NB", "New Brunswick"},
    {"NL", "Newfoundland and Labrador"}, {"NS", "Nova Scotia"}, {"NT", "Northwest Territories"}, {"NU", "Nunavut"},
    {"ON", "Ontario"}, {"PE", "Prince Edward Island"}, {"QC", "Quebec"}, {"SK", "Saskatchewan"}, {"YT", "Yukon"}};
constexpr Region au[] = {
    {"ACT", "Australian Capital Territory"}, {"NSW", "New South Wales"}, {"NT", "Northern Territory"},
    {"QLD", "Queensland"}, {"SA", "South Australia"}, {"TAS", "Tasmania"}, {"VIC", "Victoria"},
    {"WA", "Western Australia"}};
constexpr Region br[] = {
    {"AC", "Acre"}, {"AL", "Alagoas"}, {"AP", "Amapa"}, {"AM", "Amazonas"}, {"BA", "Bahia"}, {"CE", "Ceara"},
    {"DF", "Distrito Federal"}, {"ES", "Espirito Santo"}, {"GO", "Goias"}, {"MA", "Maranhao"}, {"MT", "Mato Grosso"},
    {"MS", "Mato Grosso do Sul"}, {"MG", "Minas Gerais"}, {"PA", "Para"}, {"PB", "Paraiba"}, {"PR", "Parana"},
    {"PE", "Pernambuco"}, {"PI", "Piaui"}, {"RJ", "Rio de Janeiro"}, {"RN", "Rio Grande do Norte"},
    {"RS", "Rio Grande do Sul"}, {"RO", "Rondonia"}, {"RR", "Roraima"}, {"SC", "Santa Catarina"}, {"SP", "Sao Paulo"},
    {"SE", "Sergipe"}, {"TO", "Tocantins"}};
// clang-format on

std::span<const Region> regions(std::string_view country) {
  if (country == "US") return us;
  if (country == "CA") return ca;
  if (country == "AU") return au;
  if (country == "BR") return br;
  return {};
}

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return upper(x) == upper(y); });
}

}  // namespace

std::optional<std::string> postal_code(std::string_view country, std::string_view text) {
  std::string compact;
  for (const char c : text)
    if (c != ' ' && c != '-') compact += upper(c);
  for (const auto& form : postal_forms) {
    if ((std::string{form.countries} + ' ').find(std::string{country} + ' ') == std::string::npos) continue;
    for (std::size_t at = 0; at < form.pattern.size();) {
      const auto end = std::min(form.pattern.find('|', at), form.pattern.size());
      if (auto written = match(compact, form.pattern.substr(at, end - at))) return written;
      at = end + 1;
    }
    return {};
  }
  return std::string{text};
}

bool needs_region(std::string_view country) { return !regions(country).empty(); }

std::optional<std::string> region(std::string_view country, std::string_view text) {
  const auto known = regions(country);
  if (known.empty()) return std::string{text};
  for (const auto& each : known)
    if (equal_without_case(each.code, text) || equal_without_case(each.name, text)) return std::string{each.code};
  return {};
}

}  // namespace acme
