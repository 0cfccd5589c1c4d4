// Stripe's test payment methods and its currencies.
#include <algorithm>

#include "sandbox/stripe/objects.hpp"

namespace acme::sandbox::stripe {
namespace {

using enum TestMethod::Life;
using enum TestMethod::Challenge;

constexpr std::string_view declined = "Your card was declined.";
constexpr std::string_view no_funds = "Your card has insufficient funds.";
constexpr std::string_view bank_refused = "The customer's bank account could not be debited.";

constexpr TestMethod methods[] = {
    {"pm_card_visa", "card", "visa", "4242", "US", succeeds, none, "", "", "", ""},
    {"pm_card_visa_debit", "card", "visa", "5556", "US", succeeds, none, "", "", "", ""},
    {"pm_card_mastercard", "card", "mastercard", "4444", "US", succeeds, none, "", "", "", ""},
    {"pm_card_amex", "card", "amex", "8431", "US", succeeds, none, "", "", "", ""},
    {"pm_card_visa_chargeDeclined", "card", "visa", "0002", "US", declines, none, "card_declined", "generic_decline",
     declined, ""},
    {"pm_card_visa_chargeDeclinedInsufficientFunds", "card", "visa", "9995", "US", declines, none, "card_declined",
     "insufficient_funds", no_funds, ""},
    {"pm_card_visa_chargeDeclinedLostCard", "card", "visa", "9987", "US", declines, none, "card_declined", "lost_card",
     declined, ""},
    {"pm_card_visa_chargeDeclinedStolenCard", "card", "visa", "9979", "US", declines, none, "card_declined",
     "stolen_card", declined, ""},
    {"pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card", "visa", "6975", "US", declines, none, "card_declined",
     "card_velocity_exceeded",
     "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.", ""},
    {"pm_card_chargeDeclinedExpiredCard", "card", "visa", "0069", "US", declines, none, "expired_card", "expired_card",
     "Your card has expired.", "exp_month"},
    {"pm_card_chargeDeclinedIncorrectCvc", "card", "visa", "0127", "US", declines, none, "incorrect_cvc",
     "incorrect_cvc", "Your card's security code is incorrect.", "cvc"},
    {"pm_card_chargeDeclinedProcessingError", "card", "visa", "0119", "US", declines, none, "processing_error",
     "processing_error", "An error occurred while processing your card. Try again in a little bit.", ""},
    {"pm_card_chargeCustomerFail", "card", "visa", "0341", "US", declines, none, "card_declined", "generic_decline",
     declined, ""},
    {"pm_card_authenticationRequired", "card", "visa", "3184", "DE", succeeds, required, "", "", "", ""},
    {"pm_card_authenticationRequiredOnSetup", "card", "visa", "3155", "DE", succeeds, required, "", "", "", ""},
    {"pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", "card", "visa", "8260", "DE", declines, required,
     "card_declined", "insufficient_funds", no_funds, ""},
    {"pm_card_threeDSecure2Required", "card", "visa", "3220", "DE", succeeds, required, "", "", "", ""},
    {"pm_card_threeDSecureRequiredChargeDeclined", "card", "visa", "1629", "DE", declines, required, "card_declined",
     "generic_decline", declined, ""},
    {"pm_card_threeDSecureOptional", "card", "visa", "3055", "DE", succeeds, none, "", "", "", ""},
    {"pm_card_createDispute", "card", "visa", "0259", "US", disputed, none, "", "", "", ""},
    {"pm_card_createDisputeProductNotReceived", "card", "visa", "2685", "US", disputed_not_received, none, "", "", "",
     ""},
    {"pm_card_createDisputeInquiry", "card", "visa", "1976", "US", inquiry, none, "", "", "", ""},
    {"pm_card_createIssuerFraudRecord", "card", "visa", "5423", "US", fraud_warning, none, "", "", "", ""},
    {"pm_card_pendingRefund", "card", "visa", "7726", "US", refund_pending, none, "", "", "", ""},
    // The sandbox's own: Stripe has no card for it.
    {"pm_card_pendingRefundFail", "card", "visa", "5134", "US", refund_pending_fails, none, "", "", "", ""},
    {"pm_card_refundFail", "card", "visa", "5126", "US", refund_fails, none, "", "", "", ""},
    // Debits: `processing` first, then their outcome.
    {"pm_success_de", "sepa_debit", "", "3000", "DE", succeeds, none, "", "", "", ""},
    {"pm_successDelayed_de", "sepa_debit", "", "3003", "DE", succeeds, none, "", "", "", ""},
    {"pm_failed_de", "sepa_debit", "", "3001", "DE", declines, none, "insufficient_funds", "", bank_refused, ""},
    {"pm_failedDelayed_de", "sepa_debit", "", "3004", "DE", declines, none, "insufficient_funds", "", bank_refused, ""},
    {"pm_usBankAccount_success", "us_bank_account", "", "6789", "US", succeeds, none, "", "", "", ""},
    {"pm_usBankAccount_accountClosed", "us_bank_account", "", "1113", "US", declines, none, "account_closed", "",
     bank_refused, ""},
    {"pm_usBankAccount_insufficientFunds", "us_bank_account", "", "2227", "US", declines, none, "insufficient_funds",
     "", bank_refused, ""},
};

constexpr struct {
  std::string_view number, name;
} numbers[] = {
    {"4242424242424242", "pm_card_visa"},
    {"4000056655665556", "pm_card_visa_debit"},
    {"5555555555554444", "pm_card_mastercard"},
    {"378282246310005", "pm_card_amex"},
    {"371449635398431", "pm_card_amex"},
    {"4000000000000002", "pm_card_visa_chargeDeclined"},
    {"4000000000009995", "pm_card_visa_chargeDeclinedInsufficientFunds"},
    {"4000000000009987", "pm_card_visa_chargeDeclinedLostCard"},
    {"4000000000009979", "pm_card_visa_chargeDeclinedStolenCard"},
    {"4000000000006975", "pm_card_visa_chargeDeclinedVelocityLimitExceeded"},
    {"4000000000000069", "pm_card_chargeDeclinedExpiredCard"},
    {"4000000000000127", "pm_card_chargeDeclinedIncorrectCvc"},
    {"4000000000000119", "pm_card_chargeDeclinedProcessingError"},
    {"4000000000000341", "pm_card_chargeCustomerFail"},
    {"4000002500003155", "pm_card_authenticationRequiredOnSetup"},
    {"4000002760003184", "pm_card_authenticationRequired"},
    {"4000008260003178", "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"},
    {"4000000000003220", "pm_card_threeDSecure2Required"},
    {"4000008400001629", "pm_card_threeDSecureRequiredChargeDeclined"},
    {"4000000000003055", "pm_card_threeDSecureOptional"},
    {"4000000000000259", "pm_card_createDispute"},
    {"4000000000002685", "pm_card_createDisputeProductNotReceived"},
    {"4000000000001976", "pm_card_createDisputeInquiry"},
    {"4000000000005423", "pm_card_createIssuerFraudRecord"},
    {"4000000000007726", "pm_card_pendingRefund"},
    {"4000000000005126", "pm_card_refundFail"},
    {"DE89370400440532013000", "pm_success_de"},
    {"DE08370400440532013003", "pm_successDelayed_de"},
    {"DE62370400440532013001", "pm_failed_de"},
    {"DE78370400440532013004", "pm_failedDelayed_de"},
    {"000123456789", "pm_usBankAccount_success"},
    {"000111111113", "pm_usBankAccount_accountClosed"},
    {"000222222227", "pm_usBankAccount_insufficientFunds"},
};

// https://docs.stripe.com/currencies: minimums where Stripe states one, else 50 of the smallest unit.
constexpr Currency currencies[] = {
    {"usd", 2, 1, 50},   {"aed", 2, 1, 200},  {"afn", 2, 1, 50},   {"all", 2, 1, 50},    {"amd", 2, 1, 50},
    {"ang", 2, 1, 50},   {"aoa", 2, 1, 50},   {"ars", 2, 1, 50},   {"aud", 2, 1, 50},    {"awg", 2, 1, 50},
    {"azn", 2, 1, 50},   {"bam", 2, 1, 50},   {"bbd", 2, 1, 50},   {"bdt", 2, 1, 50},    {"bgn", 2, 1, 100},
    {"bhd", 3, 10, 500}, {"bif", 0, 1, 50},   {"bmd", 2, 1, 50},   {"bnd", 2, 1, 50},    {"bob", 2, 1, 50},
    {"brl", 2, 1, 50},   {"bsd", 2, 1, 50},   {"bwp", 2, 1, 50},   {"byn", 2, 1, 50},    {"bzd", 2, 1, 50},
    {"cad", 2, 1, 50},   {"cdf", 2, 1, 50},   {"chf", 2, 1, 50},   {"clp", 0, 1, 50},    {"cny", 2, 1, 50},
    {"cop", 2, 1, 50},   {"crc", 2, 1, 50},   {"cve", 2, 1, 50},   {"czk", 2, 1, 1500},  {"djf", 0, 1, 50},
    {"dkk", 2, 1, 250},  {"dop", 2, 1, 50},   {"dzd", 2, 1, 50},   {"egp", 2, 1, 50},    {"etb", 2, 1, 50},
    {"eur", 2, 1, 50},   {"fjd", 2, 1, 50},   {"fkp", 2, 1, 50},   {"gbp", 2, 1, 30},    {"gel", 2, 1, 50},
    {"gip", 2, 1, 50},   {"gmd", 2, 1, 50},   {"gnf", 0, 1, 50},   {"gtq", 2, 1, 50},    {"gyd", 2, 1, 50},
    {"hkd", 2, 1, 400},  {"hnl", 2, 1, 50},   {"htg", 2, 1, 50},   {"huf", 2, 1, 17500}, {"idr", 2, 1, 50},
    {"ils", 2, 1, 50},   {"inr", 2, 1, 50},   {"isk", 2, 100, 50}, {"jmd", 2, 1, 50},    {"jod", 3, 10, 500},
    {"jpy", 0, 1, 50},   {"kes", 2, 1, 50},   {"kgs", 2, 1, 50},   {"khr", 2, 1, 50},    {"kmf", 0, 1, 50},
    {"krw", 0, 1, 50},   {"kwd", 3, 10, 500}, {"kyd", 2, 1, 50},   {"kzt", 2, 1, 50},    {"lak", 2, 1, 50},
    {"lbp", 2, 1, 50},   {"lkr", 2, 1, 50},   {"lrd", 2, 1, 50},   {"lsl", 2, 1, 50},    {"mad", 2, 1, 50},
    {"mdl", 2, 1, 50},   {"mga", 0, 1, 50},   {"mkd", 2, 1, 50},   {"mmk", 2, 1, 50},    {"mnt", 2, 1, 50},
    {"mop", 2, 1, 50},   {"mur", 2, 1, 50},   {"mvr", 2, 1, 50},   {"mwk", 2, 1, 50},    {"mxn", 2, 1, 1000},
    {"myr", 2, 1, 200},  {"mzn", 2, 1, 50},   {"nad", 2, 1, 50},   {"ngn", 2, 1, 50},    {"nio", 2, 1, 50},
    {"nok", 2, 1, 300},  {"npr", 2, 1, 50},   {"nzd", 2, 1, 50},   {"omr", 3, 10, 500},  {"pab", 2, 1, 50},
    {"pen", 2, 1, 50},   {"pgk", 2, 1, 50},   {"php", 2, 1, 50},   {"pkr", 2, 1, 50},    {"pln", 2, 1, 200},
    {"pyg", 0, 1, 50},   {"qar", 2, 1, 50},   {"ron", 2, 1, 200},  {"rsd", 2, 1, 50},    {"rub", 2, 1, 50},
    {"rwf", 0, 1, 50},   {"sar", 2, 1, 50},   {"sbd", 2, 1, 50},   {"scr", 2, 1, 50},    {"sek", 2, 1, 300},
    {"sgd", 2, 1, 50},   {"shp", 2, 1, 50},   {"sle", 2, 1, 50},   {"sos", 2, 1, 50},    {"srd", 2, 1, 50},
    {"std", 2, 1, 50},   {"szl", 2, 1, 50},   {"thb", 2, 1, 1000}, {"tjs", 2, 1, 50},    {"tnd", 3, 10, 500},
    {"top", 2, 1, 50},   {"try", 2, 1, 50},   {"ttd", 2, 1, 50},   {"twd", 2, 1, 50},    {"tzs", 2, 1, 50},
    {"uah", 2, 1, 50},   {"ugx", 2, 100, 50}, {"uyu", 2, 1, 50},   {"uzs", 2, 1, 50},    {"vnd", 0, 1, 50},
    {"vuv", 0, 1, 50},   {"wst", 2, 1, 50},   {"xaf", 0, 1, 50},   {"xcd", 2, 1, 50},    {"xcg", 2, 1, 50},
    {"xof", 0, 1, 50},   {"xpf", 0, 1, 50},   {"yer", 2, 1, 50},   {"zar", 2, 1, 50},    {"zmw", 2, 1, 50},
};

}  // namespace

const TestMethod* test_method(std::string_view name) {
  const auto find = [](std::string_view wanted) -> const TestMethod* {
    const auto found = std::ranges::find(methods, wanted, &TestMethod::name);
    return found == std::end(methods) ? nullptr : found;
  };
  if (const auto* method = find(name)) return method;
  // Declines are known with and without the brand: pm_card_chargeDeclined, pm_card_visa_chargeDeclined.
  constexpr std::string_view brand = "pm_card_visa_", none = "pm_card_";
  if (name.starts_with(brand)) return find(std::string{none} + std::string{name.substr(brand.size())});
  if (name.starts_with(none)) return find(std::string{brand} + std::string{name.substr(none.size())});
  return nullptr;
}

const TestMethod* test_method_of_number(std::string_view number) {
  if (number.starts_with("tok_")) {  // tok_visa, tok_chargeDeclined, tok_visa_chargeDeclined
    return test_method("pm_card_" + std::string{number.substr(4)});
  }
  std::string digits;
  for (const char c : number)
    if (c != ' ' && c != '-') digits += c;
  for (auto& known : numbers)
    if (known.number == digits) return test_method(known.name);
  return nullptr;
}

const Currency* currency(std::string_view code) {
  const auto found = std::ranges::find(currencies, code, &Currency::code);
  return found == std::end(currencies) ? nullptr : found;
}

}  // namespace acme::sandbox::stripe
