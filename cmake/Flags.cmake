# Compile flags of our own code, as one interface target.
add_library(bundle_flags INTERFACE)
target_compile_options(bundle_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast
  -Wswitch-enum -Wundef -fstack-protector-strong)
if(BUNDLE_WERROR)
  target_compile_options(bundle_flags INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_definitions(bundle_flags INTERFACE _FORTIFY_SOURCE=2)
endif()
if(BUNDLE_SANITIZER STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(BUNDLE_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
endif()
