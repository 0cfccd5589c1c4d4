#pragma once
#include "platform/id.hpp"

namespace acme {

using UserId = Id<"usr">;  // customers, guests and staff
using SessionId = Id<"ses">;
using ProductId = Id<"prd">;
using VariantId = Id<"var">;
using ImportId = Id<"imp">;
using CartId = Id<"crt">;
using OrderId = Id<"ord">;
using PaymentId = Id<"pay">;
using RefundId = Id<"ref">;
using ShipmentId = Id<"shp">;
using ReturnId = Id<"ret">;
using NotificationId = Id<"ntf">;

}  // namespace acme
