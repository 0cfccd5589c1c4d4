#pragma once
// Pages for people. Whatever is not a literal is escaped.
#include <string>
#include <string_view>

#include "platform/http/message.hpp"

namespace acme::sandbox {

/// HTML in the making: text() escapes, raw() takes literals alone.
class Html {
 public:
  template <std::size_t N>
  Html& raw(const char (&literal)[N]) {
    out_ += literal;
    return *this;
  }
  Html& text(std::string_view value);
  Html& add(const Html& part) {
    out_ += part.out_;
    return *this;
  }
  const std::string& str() const { return out_; }

 private:
  std::string out_;
};

/// A whole page that runs no script and loads nothing.
http::Response page(int status, std::string_view title, const Html& body);

}  // namespace acme::sandbox
