#include "services/orders/offers.hpp"

#include "services/orders/store.hpp"

namespace acme::orders {

Task<std::vector<std::shared_ptr<const Offer>>> Offers::find(pg::Session& db, std::vector<std::string> skus) {
  std::vector<std::shared_ptr<const Offer>> found(skus.size());
  std::vector<std::string> missing;
  {
    const std::lock_guard lock{mutex_};
    for (std::size_t i = 0; i < skus.size(); ++i) {
      if (auto known = offers_.find(skus[i]); known != offers_.end())
        found[i] = known->second;
      else
        missing.push_back(skus[i]);
    }
  }
  if (missing.empty()) co_return found;
  const auto read = co_await store::find_offers(db, std::move(missing));
  const std::lock_guard lock{mutex_};
  for (auto& offer : read) {
    for (std::size_t i = 0; i < skus.size(); ++i)
      if (skus[i] == offer->sku) found[i] = offer;
    if (offers_.size() >= limit_) offers_.erase(offers_.begin());  // any one: a miss is cheap
    offers_[offer->sku] = offer;
  }
  co_return found;
}

void Offers::forget(const std::vector<std::string>& skus) {
  const std::lock_guard lock{mutex_};
  for (auto& sku : skus) offers_.erase(sku);
}

}  // namespace acme::orders
