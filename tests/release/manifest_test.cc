#include "release/manifest.h"

#include <gtest/gtest.h>

#include <functional>

#include "bundle/error.h"
#include "codec/json.h"
#include "release_samples.h"

namespace bundle::release {
namespace {

using codec::Json;

ErrorCode failure_of(std::string_view text) {
  try {
    parse_manifest(text, "manifest.json");
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("manifest.json"), std::string::npos) << error.message();
    return error.code();
  }
  ADD_FAILURE() << "accepted: " << text.substr(0, 200);
  return ErrorCode::internal;
}

// The sample with one change, in canonical form again.
std::string changed(const std::function<void(Json&)>& change) {
  const std::string text = write_manifest(sample_manifest());
  Json json = codec::parse_json(text, "sample");
  change(json);
  return codec::canonical_json(json) + "\n";
}

Json& member(Json& json, std::string_view key) {
  return json.as_object().find(key)->second;
}
Json& item(Json& json, std::string_view key, std::size_t index) {
  return member(json, key).as_array().at(index);
}

TEST(Manifest, SurvivesWritingAndReading) {
  const std::string text = write_manifest(sample_manifest());
  const Manifest read = parse_manifest(text, "manifest.json");
  EXPECT_EQ(write_manifest(read), text);
  EXPECT_EQ(read.product, "example-appliance");
  EXPECT_EQ(read.release_number, 1000400009000U);
  EXPECT_EQ(read.created, sample_manifest().created);
  EXPECT_EQ(read.images.at(0).registry, "registry.example.com");
  EXPECT_EQ(read.images.at(0).platforms.at(1).text(), "linux/arm64/v8");
  EXPECT_EQ(read.images.at(0).referrers.at(0).subject, read.images.at(0).descriptor.digest);
  EXPECT_TRUE(read.images.at(0).referrers.at(0).tag.ends_with(".sig"));
  EXPECT_EQ(read.images.at(1).tag, "");
  EXPECT_EQ(read.k8s_artifacts.at(0).mode, 0755U);
  EXPECT_EQ(read.k8s_artifacts.at(0).content, digest_of("content of k3s"));
  EXPECT_EQ(read.chart.artifact.repository, "example-appliance/charts/app");
}

TEST(Manifest, HasTheContractsFieldNames) {
  const Json json = codec::parse_json(write_manifest(sample_manifest()), "sample");
  EXPECT_EQ(json.at("releaseVersion").as_string(), "1.4.0");
  EXPECT_EQ(json.at("os").at("base").as_string(), "ubuntu-24.04");
  EXPECT_EQ(json.at("os").at("artifacts").as_array().size(), 1U);
  EXPECT_EQ(json.at("k8s").at("distribution").as_string(), "k3s");
  EXPECT_EQ(json.at("k8s").at("version").as_string(), "v1.31.6+k3s1");
  EXPECT_EQ(json.at("app").at("chartPath").as_string(), "helm/");
  EXPECT_EQ(json.at("app").at("valuesProfile").as_string(), "single-node");
  EXPECT_TRUE(json.at("images").as_array().at(0).at("digest").as_string().starts_with("sha256:"));
  EXPECT_EQ(json.at("upgradeFrom").as_array().at(0).as_string(), "1.3.x");
}

TEST(Manifest, FindsArtifactsAndFilesByName) {
  const Manifest manifest = sample_manifest();
  EXPECT_EQ(manifest.artifacts().size(), 6U);
  EXPECT_EQ(manifest.artifacts().front(), &manifest.images.front());
  EXPECT_EQ(manifest.find_artifact("registry.example.com/app/server:1.4.0"), &manifest.images[0]);
  EXPECT_EQ(manifest.find_artifact("example-appliance/charts/app:1.4.0"), &manifest.chart.artifact);
  EXPECT_EQ(manifest.find_artifact("example-appliance/files/k3s:1.4.0"),
            &manifest.k8s_artifacts[0].artifact);
  EXPECT_EQ(manifest.find_artifact("registry.example.com/app/server"), nullptr);
  EXPECT_EQ(manifest.find_file("install.sh"), &manifest.files[0]);
  EXPECT_EQ(manifest.find_file("appliance.qcow2"), &manifest.os_artifacts[0]);
  EXPECT_EQ(manifest.find_file("nothing"), nullptr);
}

TEST(Manifest, RefusesAnyFormButTheCanonicalOne) {
  const std::string text = write_manifest(sample_manifest());
  EXPECT_EQ(failure_of(text.substr(0, text.size() - 1)), ErrorCode::manifest_invalid);
  EXPECT_EQ(failure_of(text + "\n"), ErrorCode::manifest_invalid);
  EXPECT_EQ(failure_of(" " + text), ErrorCode::manifest_invalid);
  EXPECT_EQ(failure_of(codec::dump_json(codec::parse_json(text, "x"), 1)),
            ErrorCode::manifest_invalid);
  EXPECT_EQ(failure_of("\xEF\xBB\xBF" + text), ErrorCode::manifest_invalid);
}

TEST(Manifest, RefusesEveryTruncation) {
  const std::string text = write_manifest(sample_manifest());
  for (std::size_t length = 0; length < text.size(); length += 7) {
    EXPECT_THROW(parse_manifest(text.substr(0, length), "manifest.json"), Error) << length;
  }
}

TEST(Manifest, RefusesContradictions) {
  const std::function<void(Json&)> changes[] = {
      [](Json& m) { m.set("releaseVersion", "1.4.0.0"); },
      [](Json& m) { m.set("created", "2026-02-30T00:00:00Z"); },
      [](Json& m) { item(m, "upgradeFrom", 0) = "^1.3"; },
      [](Json& m) { member(m, "k8s").set("version", "v1.031.6+k3s1"); },
      [](Json& m) { member(m, "app").set("chartPath", "../helm"); },
      [](Json& m) { member(m, "app").set("chartPath", "/"); },
      [](Json& m) { item(m, "images", 0).set("tag", "1.4.1"); },
      [](Json& m) { item(m, "images", 0).set("registry", "other.example.com"); },
      [](Json& m) { item(m, "images", 0).set("repository", "app/other"); },
      [](Json& m) { item(m, "images", 0).set("name", "app/server:1.4.0"); },
      [](Json& m) { item(m, "images", 0).set("mediaType", "application/octet-stream"); },
      [](Json& m) { item(m, "images", 1).set("digest", digest_of("other").text()); },
      [](Json& m) { member(item(m, "files", 0), "artifact").set("tag", "1.4.1"); },
      [](Json& m) { member(item(m, "files", 0), "artifact").set("repository", "a/b"); },
  };
  for (const auto& change : changes) {
    const std::string text = changed(change);
    EXPECT_EQ(failure_of(text), ErrorCode::manifest_invalid) << text;
  }
}

TEST(Manifest, RefusesWhatTheSchemaRefusesNamingThePlace) {
  try {
    parse_manifest(changed([](Json& m) { item(m, "images", 0).set("digest", "sha256:12"); }), "m");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::manifest_invalid);
    EXPECT_NE(error.message().find("/images/0/digest"), std::string::npos) << error.message();
  }
}

TEST(Manifest, RefusesEqualNames) {
  EXPECT_EQ(failure_of(changed(
                [](Json& m) { member(m, "images").push_back(member(m, "images").as_array()[0]); })),
            ErrorCode::name_collision);
  EXPECT_EQ(failure_of(changed([](Json& m) {
              member(m, "files").push_back(item(member(m, "k8s"), "artifacts", 0));
            })),
            ErrorCode::name_collision);
  // Another artifact, but the same file name.
  EXPECT_EQ(
      failure_of(changed([](Json& m) {
        Json copy = item(m, "files", 0);
        member(copy, "artifact").set("name", "p/files/other:1").set("repository", "p/files/other");
        member(copy, "artifact").set("tag", "1");
        member(m, "files").push_back(copy);
      })),
      ErrorCode::name_collision);
}

TEST(Manifest, RefusesANewerFormatBeforeLookingAtItsContent) {
  EXPECT_EQ(failure_of(changed([](Json& m) {
              m.set("minimumReader", std::uint64_t{Manifest::kReaderVersion} + 1);
              m.set("images", "a form that is yet to be invented");
            })),
            ErrorCode::unsupported);
}

TEST(Manifest, IgnoresMembersOfLaterVersions) {
  const Manifest read = parse_manifest(changed([](Json& m) {
                                         m.set("later", Json::array());
                                         item(m, "images", 0).set("later", 1);
                                       }),
                                       "manifest.json");
  EXPECT_EQ(write_manifest(read), write_manifest(sample_manifest()));
}

TEST(Manifest, HoldsItsLimits) {
  EXPECT_EQ(failure_of(std::string(kMaxManifestBytes + 1, ' ')), ErrorCode::limit);
  EXPECT_EQ(failure_of(std::string(1000, '[')), ErrorCode::limit);
  EXPECT_EQ(failure_of(changed([](Json& m) {
              for (int i = 0; i < 5000; ++i) member(m, "upgradeFrom").push_back("1.3.x");
            })),
            ErrorCode::manifest_invalid);
}

// Any one byte changed gives an error or, at most, another well-formed manifest; never a crash.
TEST(Manifest, SurvivesEveryChangedByte) {
  const std::string text = write_manifest(sample_manifest());
  std::size_t refused = 0;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    try {
      const std::string written = write_manifest(parse_manifest(damaged, "manifest.json"));
      EXPECT_EQ(write_manifest(parse_manifest(written, "written")), written);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, text.size() / 6);
}

}  // namespace
}  // namespace bundle::release
