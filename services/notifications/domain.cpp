#include "services/notifications/domain.hpp"

#include <algorithm>

namespace acme::notifications {

std::optional<Kind> kind_of_failure(bool final, std::string_view reason) {
  if (final && reason == "cancelled") return std::nullopt;
  return final ? Kind::payment_failed : Kind::payment_declined;
}

std::optional<Kind> kind_of_cancellation(std::string_view reason) {
  for (auto asked : {"changed_mind", "ordered_by_mistake", "arrives_too_late", "not_available", "other", "cancelled"})
    if (reason == asked) return Kind::order_cancelled;
  return std::nullopt;
}

std::vector<Kind> kinds_of_shipment(std::string_view status) {
  if (status == "in_transit" || status == "out_for_delivery") return {Kind::shipped};
  if (status == "delivered") return {Kind::shipped, Kind::delivered};
  return {};
}

std::vector<Kind> kinds_of_return(std::string_view status) {
  if (status == "approved") return {Kind::return_approved};
  if (status == "received") return {Kind::return_approved, Kind::return_received};
  if (status == "refused") return {Kind::return_refused};
  return {};
}

bool is_address(std::string_view text) {
  const auto at = text.find('@');
  if (at == 0 || at == std::string_view::npos || at + 1 == text.size() || text.size() > 320) return false;
  return text.find('@', at + 1) == std::string_view::npos && std::ranges::none_of(text, [](char c) {
           return static_cast<unsigned char>(c) <= ' ' || c == 0x7f || std::string_view{"<>,;:\"\\()[]"}.contains(c);
         });
}

std::string header_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  return text;
}

std::string language(std::string_view locale) {
  return locale == "de" || locale.starts_with("de-") || locale.starts_with("de_") ? "de" : "en";
}

std::string reason_text(std::string_view reason, std::string_view language) {
  struct Text {
    std::string_view reason, en, de;
  };
  // Payments' reasons; what is not named here is a plain decline, the last.
  static constexpr Text texts[] = {
      {"insufficient_funds", "The card has insufficient funds.", "Die Karte ist nicht ausreichend gedeckt."},
      {"expired_card", "The card has expired.", "Die Karte ist abgelaufen."},
      {"incorrect_number", "The card number was not right.", "Die Kartennummer stimmte nicht."},
      {"incorrect_cvc", "The security code was not right.", "Die Prüfziffer stimmte nicht."},
      {"incorrect_zip", "The postal code did not fit the card.", "Die Postleitzahl passte nicht zur Karte."},
      {"invalid_expiry", "The expiry date was not right.", "Das Ablaufdatum stimmte nicht."},
      {"card_velocity_exceeded", "The card has reached its limit.", "Das Limit der Karte ist erreicht."},
      {"card_not_supported", "The card does not support this kind of purchase.",
       "Die Karte erlaubt diese Art von Einkauf nicht."},
      {"currency_not_supported", "The card does not support this currency.", "Die Karte erlaubt diese Währung nicht."},
      {"processing_error", "The bank could not process the payment.", "Die Bank konnte die Zahlung nicht verarbeiten."},
      {"try_again_later", "The bank could not process the payment.", "Die Bank konnte die Zahlung nicht verarbeiten."},
      {"authentication_required", "The bank asks you to confirm the payment.",
       "Die Bank verlangt, dass Sie die Zahlung bestätigen."},
      {"authentication_failed", "The bank could not confirm that it was you.",
       "Die Bank konnte nicht bestätigen, dass Sie es sind."},
      {"expired", "It was not paid in time.", "Sie wurde nicht rechtzeitig bezahlt."},
      {"cancelled", "The payment was cancelled with the order.", "Die Zahlung wurde mit der Bestellung storniert."},
      {"provider_unavailable", "Our payment provider could not be reached.",
       "Unser Zahlungsanbieter war nicht erreichbar."},
      {"card_declined", "The bank declined the payment.", "Die Bank hat die Zahlung abgelehnt."},
  };
  const auto* found = std::ranges::find(texts, reason, &Text::reason);
  if (found == std::end(texts)) found = std::prev(std::end(texts));
  return std::string{language == "de" ? found->de : found->en};
}

}  // namespace acme::notifications
