#include <gtest/gtest.h>

#include "support/sample_release.h"

int main(int argc, char** argv) {
  bundle::testing::keep_temporary_files_in_memory();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
