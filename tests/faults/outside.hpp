#pragma once
// What the providers' stand-ins themselves have, compared with what the shop knows of it.
#include <map>
#include <string>
#include <vector>

#include "app/private_shop.hpp"
#include "commerce/ids.hpp"

namespace acme::faults {

class Outside {
 public:
  explicit Outside(const app::PrivateShop& shop);
  Outside(const Outside&) = delete;

  /// Counts the mails that SES took since it last looked. The sandbox's journal forgets: whoever has many looks often.
  Task<> look();
  /// Each effect that the outside has and the shop does not know, has once too often, or misses; one sentence each. To
  /// be asked when nothing is in flight. (Charges: the doctor compares them.)
  std::vector<std::string> differences();
  std::size_t mails() const { return mails_.size(); }
  /// The journal was faster: of mails that were not seen nothing can be said.
  bool missed() const { return missed_; }

 private:
  void compare(const std::string& service, const std::string& statement, std::vector<pg::Value> params);
  void refunds();
  void labels();
  const app::PrivateShop& shop_;
  app::Caller sandbox_, stripe_;
  std::map<NotificationId, std::int64_t> mails_;  // how often SES took each
  std::int64_t looked_until_ = 0;                 // an entry's number in the journal
  bool missed_ = false;
  std::vector<std::string> differences_;
};

}  // namespace acme::faults
