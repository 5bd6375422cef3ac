#include "release/naming.h"

#include <gtest/gtest.h>

#include "oci/reference.h"

namespace bundle::release {
namespace {

TEST(Naming, MakesRepositoryComponents) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"k3s", "k3s"},
      {"appliance.qcow2", "appliance.qcow2"},
      {"k3s-airgap-images-amd64.tar.zst", "k3s-airgap-images-amd64.tar.zst"},
      {"Appliance_1.OVA", "appliance_1.ova"},
      {"a__b", "a__b"},
      {"a--b", "a--b"},
      {"a..b", "a-b"},
      {"a._b", "a-b"},
      {"a___b", "a-b"},
      {"a+b", "a-b"},
      {"a-.b", "a-b"},
      {"tool+", "tool"},
      {"tool.", "tool"},
      {"_tool", "tool"},
  };
  for (const auto& [text, component] : cases) EXPECT_EQ(repository_component(text), component);
}

TEST(Naming, MakesNamesThatRegistriesAccept) {
  for (const std::string_view name :
       {"k3s", "A..B", "x+y+z", "1", "install.sh", "a_._b", "Name-With_Many...Odd+Parts-"}) {
    EXPECT_TRUE(oci::is_valid_repository(file_repository("example-appliance", name))) << name;
    EXPECT_TRUE(oci::is_valid_repository(chart_repository("example-appliance", name))) << name;
  }
  EXPECT_EQ(file_repository("p", "k3s"), "p/files/k3s");
  EXPECT_EQ(chart_repository("p", "app"), "p/charts/app");
  EXPECT_EQ(version_tag("1.4.0-rc.1+build.5"), "1.4.0-rc.1_build.5");
  EXPECT_TRUE(oci::is_valid_tag(version_tag("1.4.0-rc.1+build.5")));
}

}  // namespace
}  // namespace bundle::release
