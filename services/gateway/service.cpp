// The gateway: one door for every client. It keeps nothing; its rules stand in domain.cpp, its counts in limits.cpp,
// and edge.cpp puts them in order.
#include "services/gateway/service.hpp"

#include "platform/embedded.hpp"
#include "services/gateway/domain.hpp"

namespace acme::gateway {

namespace {

/// Made once, when first asked for.
const std::string& openapi() {
  static const std::string joined = [] {
    constexpr std::string_view folder = "contracts/openapi/";
    std::vector<std::pair<std::string, std::string_view>> documents;
    for (auto& [path, content] : embedded_files())
      if (path.starts_with(folder)) {
        const auto file = path.substr(folder.size());
        documents.emplace_back(file.substr(0, file.find('.')), content);
      }
    return joined_openapi(documents);
  }();
  return joined;
}

Task<Result<http::Response>> show_openapi(Call&) {
  http::Response response;
  response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "public, max-age=300"}};
  response.body = openapi();
  co_return response;
}

}  // namespace

Service service(const config::Config&) {
  Service gateway{"gateway"};
  gateway.get("/openapi.json", show_openapi).open();
  return gateway;
}

}  // namespace acme::gateway
