# What `cmake --install` puts where, besides the programs: library, headers, package files, manual.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/bundle)
install(TARGETS libbundle EXPORT bundle-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/libbundle/include/bundle
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT bundle-targets NAMESPACE bundle:: DESTINATION ${package_dir})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/bundle-config.cmake.in
  ${PROJECT_BINARY_DIR}/bundle-config.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 every minor version may change the API.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/bundle-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/bundle-config.cmake ${PROJECT_BINARY_DIR}/bundle-config-version.cmake
        DESTINATION ${package_dir})

# Found from where the file lies, so that the tree can be moved.
file(RELATIVE_PATH bundle_prefix_from_pc "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(${CMAKE_CURRENT_LIST_DIR}/bundle.pc.in ${PROJECT_BINARY_DIR}/bundle.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/bundle.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.1)
install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

# What an operator reads at a console without a network: the guide, and the table of exit codes.
file(GLOB texts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/*.md)
install(FILES ${texts} DESTINATION ${CMAKE_INSTALL_DOCDIR})
