// Passwords that everybody tries first. The lists were written for this purpose: words, names, places, teams, keyboard
// walks and runs of which the published breach lists are full; dressing them up (digits, signs, other letters, doubled)
// does not help, so each word stands for some thousands of passwords.
#include <algorithm>
#include <string>
#include <unordered_set>

#include "services/auth/domain.hpp"

namespace acme::auth {

// clang-format off
static constexpr std::string_view words =
    "abc abcd abcde abcdef access account acme admin administrator adobe adrian airplane alaska albert alex alexander "
    "alexandra alexis alice amanda amazon america american amsterdam anastasia andrea andrew android angel angela angelo "
    "angels animal anna anthony apache apollo apple april arizona arsenal ashley asshole athena august austin australia "
    "autumn avatar awesome azerty baby babygirl bailey balance banana banane barbara barcelona baseball basketball batman "
    "beach bear beautiful beauty beaver bella benjamin berlin bigdog birthday bismillah biteme black blackie blessed blessing "
    "blink blue bonjour bonnie booboo boomer boston brandon brandy brasil brazil brian britney brittany brooklyn brother "
    "bubbles buddy bulldog buster butter butterfly california camaro cameron canada captain caramel carlos carolina carolyn "
    "carpediem casper cassie catherine celtic champion change changeme charles charlie charlotte cheese chelsea cherry "
    "chester chicago chicken china chocolate chris christian christina christmas christopher claudia clear cocacola coffee "
    "college colorado computer cookie cookies cooper corvette cowboy cowboys crazy cristina crystal daddy daisy dakota "
    "dallas danger daniel daniela danielle dark database david death december default demo denise denver desire destiny "
    "detroit dexter diablo diamond digital disney doctor doggy dolphin dolphins dominic donald dortmund dragon dragonball "
    "dreams eagle eagles edward einstein elephant elizabeth eminem emily enter eric erika europa everton fabian facebook "
    "faith falcon family february felicia ferrari fighter fire firefly fireman fishing florida flower flowers football "
    "forever forest france francesco francis frankie freddy free freedom friday friend friends fucker fuckoff fuckyou gabriel "
    "galaxy games gandalf gemini general genius george georgia germany ginger girls giovanni giuseppe gloria goalie godzilla "
    "golden golf good google gordon grace grandma great green guest guitar hacker hallo hammer hannah happy hardcore harley "
    "harry hawaii heart heather heaven hello helloworld helpme hockey holiday homer honda honey horse hottie house houston "
    "hunter iceman iloveu iloveyou indian internet ireland iron isabella isabelle italia jackass jackie jackson jaguar jake "
    "james jamie january jasmine jason jasper jeffrey jennifer jeremy jesse jessica jesus jesuschrist joanna john johnny "
    "jonathan jordan joseph joshua juice julia julian july june junior justice justin juventus karina katherine kathleen "
    "katie kawasaki keeper kelly kennedy kenneth kevin killer kimberly king kingdom kitten kitty knight kristina ladies lady "
    "lakers lakota larry lauren legend leonardo letmein liberty lights linda little liverpool login logitech london looking "
    "lorenzo lovely lover loveme lovers love loveyou lucky lucy madison madrid maggie magic manager manchester march marco "
    "maria marie marina marine marlboro martin marvin mary master matrix matthew maverick maximus mercedes merlin metallica "
    "mexico michael michelle mickey midnight miller million minecraft mohamed mohammad monday money monica monika monkey "
    "monster montana morgan mother motorola mountain muffin murphy music mustang myspace naruto nascar natalia natalie "
    "natasha nathan naughty nicholas nicole nintendo nirvana nissan nokia nothing november oblivion october oliver olivia "
    "online orange orlando pacific paladin panther paradise paris parola pascal pass passion passw0rd password passwords "
    "passwort patricia patrick peaches peanut pepper perfect peter phantom philip phoenix picture pirate player please "
    "pokemon police poohbear porsche portugal power precious preston prince princess princesa private purple pussy qazwsx "
    "qwaszx qwer qwert qwerty qwertz rabbit rachel racing raiders rainbow ranger rangers rebecca redneck redskins regina "
    "richard ricardo robert roberta robin rocket rockstar rocky ronaldo root rosebud roses russia sabrina safety sailor "
    "salvador samantha samsung samuel sandra santiago sasha saturday saturn scarface school schalke scooter scorpio scorpion "
    "scotland secret secure security sebastian september server service sesame seven shadow shalom shannon sharon sheila "
    "shopify shorty silver simple simpsons single skippy slayer slipknot smile smokey snickers sniper snoopy snowball soccer "
    "softball soleil something sommer sophia sophie spain spider spiderman spring stalker star starbucks starwars stefan "
    "stella stephanie steven strawberry stupid success sugar summer sunday sunflower sunny sunshine super superman superstar "
    "support suzuki sweet sweetheart sweetie swordfish sydney system taylor teacher tennis teresa test tester testing texas "
    "thomas thunder thursday tiffany tiger tigers tigger tinker tomorrow toronto toyota travis treasure trouble trustno "
    "tuesday turtle twilight twitter ultimate united user username valentina valentine vampire vanessa veronica victor "
    "victoria victory viking vincent violet virginia viktoria volleyball warcraft warrior webmaster wednesday welcome "
    "whatever white william willow wilson windows winner winston winter wizard wolf wolverine wolves wonder world xavier "
    "yamaha yankees yellow yourmom yugioh zachary zidane zxcvbn zxcvbnm";
// Walks over keyboards, forth; back is the same.
static constexpr std::string_view walks[] = {
    "01234567890123456789", "qwertyuiopqwertyuiop", "qwertzuiopqwertzuiop", "azertyuiopazertyuiop", "asdfghjklasdfghjkl",
    "zxcvbnmzxcvbnm", "yxcvbnmyxcvbnm", "abcdefghijklmnopqrstuvwxyzabc", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "qazwsxedcrfvtgbyhnujmikolp", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "1a2b3c4d5e6f7g8h9i", "a1b2c3d4e5f6g7h8",
    "147258369147258369", "159753159753", "741852963741852963", "789456123789456123", "123321123321", "112233445566778899"};
// clang-format on

static const std::unordered_set<std::string_view>& common_words() {
  static const auto set = [] {
    std::unordered_set<std::string_view> out;
    for (std::size_t at = 0; at < words.size();) {
      const auto end = std::min(words.find(' ', at), words.size());
      out.insert(words.substr(at, end - at));
      at = end + 1;
    }
    return out;
  }();
  return set;
}

/// Also those of other alphabets, byte by byte.
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c & 0x80) != 0; }

/// What the dressed-up word was: "p4$$w0rd" → "password".
static std::string plain_letters(std::string_view text) {
  static constexpr std::string_view dressed = "0134578@$!|+", letters = "oieastbasiit";
  std::string out{text};
  for (auto& c : out)
    if (const auto at = dressed.find(c); at != dressed.npos) c = letters[at];
  return out;
}

static bool is_word(std::string_view text) {
  if (text.size() < 3) return false;
  const auto& set = common_words();
  if (set.contains(text) || set.contains(plain_letters(text))) return true;
  // "passwordpassword", "lovelove"
  if (text.size() % 2 == 0 && text.substr(0, text.size() / 2) == text.substr(text.size() / 2))
    return is_word(text.substr(0, text.size() / 2));
  // "iloveyoubaby", "superadmin": two of them in a row
  for (std::size_t at = 4; at + 4 <= text.size(); ++at)
    if (set.contains(text.substr(0, at)) && set.contains(text.substr(at))) return true;
  return false;
}

/// Every piece of the text is a walk of at least `least` keys, or one key held.
static bool is_walk(std::string_view text, std::size_t least) {
  while (!text.empty()) {
    std::size_t longest = 0;
    const auto held = std::min(text.find_first_not_of(text.front()), text.size());
    if (held >= 3) longest = held;
    for (const auto walk : walks) {
      const std::string back{walk.rbegin(), walk.rend()};
      for (const std::string_view way : {walk, std::string_view{back}})
        for (auto size = text.size(); size >= least && size > longest; --size)
          if (way.find(text.substr(0, size)) != way.npos) longest = size;
    }
    if (longest == 0) return false;
    text.remove_prefix(longest);
  }
  return true;
}

/// "abababab", "xyzxyzxyz": a few characters over and over.
static bool is_repetition(std::string_view text) {
  for (std::size_t period = 1; period <= 4 && period * 2 <= text.size(); ++period) {
    bool repeats = true;
    for (std::size_t i = period; i < text.size() && repeats; ++i) repeats = text[i] == text[i - period];
    if (repeats) return true;
  }
  return false;
}

bool is_common(std::string_view password) {
  std::string small;
  for (const char c : password)
    if (c != ' ') small += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (small.empty() || is_repetition(small) || is_walk(small, 3)) return true;
  if (is_word(small)) return true;
  // Digits and signs around a word, up to a date's worth: "Summer2024!", "!!dragon1987".
  const auto first = std::ranges::find_if(small, is_letter);
  const auto last = std::find_if(small.rbegin(), small.rend(), is_letter).base();
  if (first >= last) {
    // A date or a phone number without letters: ten thousand days are tried in a second.
    return small.size() <= 10;
  }
  const std::string_view core{first, last};
  const auto around = small.size() - core.size();
  if (around <= 8 && is_word(core)) return true;
  // What stands at the end may be letters in disguise: "Passw0rd" is a word, "pa55" is one with "123" behind it.
  const std::string_view front{small.begin(), last};
  if (is_word(front) || (around <= 8 && is_walk(core, 4))) return true;
  for (std::size_t cut = 1; cut <= 4 && cut < small.size(); ++cut)
    if (is_word(std::string_view{small}.substr(0, small.size() - cut)) && !is_letter(small[small.size() - cut]))
      return true;
  return false;
}

}  // namespace acme::auth
