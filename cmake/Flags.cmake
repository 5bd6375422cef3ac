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
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 at -O3 sees overlapping copies inside std::string where there are none (GCC bug 105651).
    target_compile_options(bundle_flags INTERFACE -Wno-restrict)
  endif()
endif()
if(BUNDLE_SANITIZER AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # With sanitizers GCC takes members of standard containers for uninitialised.
  target_compile_options(bundle_flags INTERFACE -Wno-maybe-uninitialized)
endif()
# A program loads the libraries that it uses, not all that libbundle knows: a site's importer needs no
# SQLite, which only bundle-make reads packages with.
add_link_options(-Wl,--as-needed)
if(BUNDLE_SANITIZER STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(BUNDLE_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
endif()
if(BUNDLE_BUILD_FUZZ AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
