# contracts/ and migrations/ are part of the program: embedded, so that it runs from anywhere.
# contracts/openapi/*.yaml become JSON on the way (app/tools/embed.cpp).
add_executable(embed app/tools/embed.cpp)
target_link_libraries(embed PRIVATE acme_options yaml-cpp)

file(GLOB_RECURSE embedded CONFIGURE_DEPENDS
  ${CMAKE_SOURCE_DIR}/contracts/*.yaml ${CMAKE_SOURCE_DIR}/contracts/*.json
  ${CMAKE_SOURCE_DIR}/platform/migrations/*.sql ${CMAKE_SOURCE_DIR}/services/*/migrations/*.sql
  ${CMAKE_SOURCE_DIR}/services/notifications/templates/*)
add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/generated/embedded.cpp
  COMMAND embed ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated/embedded.cpp ${embedded}
  DEPENDS embed ${embedded}
  COMMENT "Embedding contracts and migrations")
add_library(contracts STATIC ${CMAKE_BINARY_DIR}/generated/embedded.cpp)
target_link_libraries(contracts PUBLIC acme_options)
target_link_libraries(platform PUBLIC contracts)
