# One folder of libbundle/src = one object library = one layer. DEPS names the layers that its files
# may include; tests/arch checks the includes against the same table (libbundle/layers.txt).
# UNITY: with BUNDLE_UNITY several files of the room are compiled as one, which takes a third of the
# time. Names in its unnamed namespaces are then unique in the room.
function(bundle_module name)
  cmake_parse_arguments(ARG "UNITY" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_library(bundle_${name} OBJECT ${ARG_SOURCES})
  target_include_directories(bundle_${name} PRIVATE ${PROJECT_SOURCE_DIR}/libbundle/src
                                                    ${PROJECT_SOURCE_DIR}/libbundle/include)
  target_link_libraries(bundle_${name} PRIVATE bundle_flags fmt::fmt ${ARG_LIBS})
  if(ARG_UNITY AND BUNDLE_UNITY)
    set_target_properties(bundle_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  endif()
  set_property(GLOBAL APPEND PROPERTY BUNDLE_MODULES bundle_${name})
  set_property(GLOBAL APPEND PROPERTY BUNDLE_MODULE_LIBS ${ARG_LIBS})
endfunction()

# One GoogleTest binary per tests/<module> folder.
function(bundle_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/libbundle/src
                                             ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE
    BUNDLE_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data"
    BUNDLE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE bundle_flags libbundle fmt::fmt GTest::gtest_main ${ARG_LIBS})
  add_test(NAME ${name} COMMAND ${name})
endfunction()
