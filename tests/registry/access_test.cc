// Users, passwords, tokens and rules; client certificates are in tls_test.cc.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "bundle/error.h"
#include "registry/served_store.h"
#include "support/expect_error.h"

namespace bundle::testing {
namespace {

using registry::AccessPolicy;
using registry::Caller;
using registry::Verb;

// The password "U*U" (a published bcrypt vector, cost 5).
const std::string kPasswordHash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const std::string kToken = "0123456789abcdef0123456789abcdef";

const std::string kRules =
    "apiVersion: bundle/v1\n"
    "kind: RegistryAccess\n"
    "users: users\n"
    "tokens: tokens\n"
    "status: [ops]\n"
    "rules:\n"
    "- {prefix: \"docker.io/\", pull: [anonymous]}\n"
    "- {prefix: registry.example.com/app/, pull: [authenticated]}\n"
    "- {prefix: registry.example.com/app/server, pull: [ops, node]}\n";

class AccessTest : public RegistryTest {
 protected:
  void configure(const std::string& rules = kRules) {
    files.write("users", "# people\nops:" + kPasswordHash + "\r\nguest:" + kPasswordHash + "\n");
    files.write("tokens", "node:" + sha256(as_bytes(kToken)).text() + "\n");
    files.write("access.yaml", rules);
  }
  void start_with_access() {
    auto options = quick_options();
    options.access_file = files / "access.yaml";
    start(options);
  }
  static std::string basic(const std::string& user, const std::string& password) {
    return "Authorization: Basic " + to_base64(as_bytes(user + ":" + password));
  }
  int status(const std::string& target, const std::vector<std::string>& headers = {}) {
    return get(port(), target, headers).status;
  }

  TempDirectory files;
  const std::string server_manifest = "/v2/registry.example.com/app/server/manifests/1.0.0";
};

TEST_F(AccessTest, WithoutAFileEverybodyPullsAndCredentialsAreIgnored) {
  EXPECT_EQ(status(server_manifest), 200);
  EXPECT_EQ(status(server_manifest, {basic("who", "ever")}), 200);
  EXPECT_EQ(status("/"), 200);
}

TEST_F(AccessTest, RulesDecideByTheLongestPrefix) {
  configure();
  start_with_access();
  const std::string redis = "/v2/docker.io/library/redis/manifests/7.2";
  EXPECT_EQ(status(redis), 200);
  const RawReply stranger = get(port(), server_manifest);
  EXPECT_EQ(stranger.status, 401);
  EXPECT_EQ(stranger.header("www-authenticate"), "Basic realm=\"bundle-registry\"");
  EXPECT_NE(stranger.body.find("\"UNAUTHORIZED\""), std::string::npos);
  EXPECT_EQ(status(server_manifest, {basic("ops", "U*U")}), 200);
  const RawReply guest = get(port(), server_manifest, {basic("guest", "U*U")});
  EXPECT_EQ(guest.status, 403);
  EXPECT_NE(guest.body.find("\"DENIED\""), std::string::npos);
  EXPECT_EQ(status("/v2/registry.example.com/app/other/tags/list", {basic("guest", "U*U")}), 404);
  EXPECT_EQ(status("/v2/elsewhere/tags/list", {basic("ops", "U*U")}), 403);
}

TEST_F(AccessTest, NoSpellingOfANameGoesAroundARule) {
  configure();
  start_with_access();
  for (const auto& name :
       {std::string("app/server"), std::string("registry.example.com/app/server")}) {
    for (const std::string& rest :
         {std::string("/manifests/latest"), "/manifests/" + has.server_index.digest.text(),
          "/blobs/" + has.large.digest.text(), std::string("/tags/list"),
          "/referrers/" + has.server_amd64.digest.text()}) {
      EXPECT_EQ(status("/v2/" + name + rest), 401) << name << rest;
      EXPECT_EQ(status("/v2/" + name + rest + "?ns=registry.example.com"), 401) << name << rest;
      EXPECT_EQ(status("/v2/" + name + rest, {basic("ops", "U*U")}), 200) << name << rest;
    }
  }
  // A layer of a closed repository that is in an open one too is open; another one is not.
  EXPECT_EQ(status("/v2/docker.io/library/redis/blobs/" + has.large.digest.text()), 404);
}

TEST_F(AccessTest, AShortNameOfTwoRepositoriesNeedsBoth) {
  ReleaseDraft third = store.draft();
  third.name("quay.io", "library/redis", "8",
             third.image({third.blob("8", oci::media_type::kLayerTarGzip)}));
  store.publish(std::move(third), "1.2.0", 3);
  configure();
  start_with_access();
  EXPECT_EQ(status("/v2/library/redis/manifests/7.2?ns=docker.io"), 200);
  EXPECT_EQ(status("/v2/library/redis/manifests/7.2"), 401);
  EXPECT_EQ(status("/v2/library/redis/manifests/8?ns=quay.io"), 401);
}

TEST_F(AccessTest, WrongCredentialsAre401EvenWhereAnybodyMayPull) {
  configure();
  start_with_access();
  const std::string redis = "/v2/docker.io/library/redis/manifests/7.2";
  for (const std::string& header :
       {basic("ops", "wrong"), basic("nobody", "U*U"), basic("ops", ""), basic("", "U*U"),
        basic("ops", std::string(500, 'x')), std::string("Authorization: Basic"),
        std::string("Authorization: Basic !!!"), std::string("Authorization: Basic b3Bz"),
        std::string("Authorization: Bearer wrong"), std::string("Authorization: Bearer"),
        std::string("Authorization: Digest username=ops"), basic("ops", kToken)}) {
    EXPECT_EQ(status(redis, {header}), 401) << header;
  }
  EXPECT_EQ(status(redis, {basic("", "")}), 200);  // how skopeo says that it has none
  EXPECT_EQ(status(redis, {basic("ops", "U*U"), basic("ops", "U*U")}), 400);
}

TEST_F(AccessTest, ATokenIsABearerTokenOrAPassword) {
  configure();
  start_with_access();
  EXPECT_EQ(status(server_manifest, {"Authorization: Bearer " + kToken}), 200);
  EXPECT_EQ(status(server_manifest, {"authorization: bearer  " + kToken}), 200);
  EXPECT_EQ(status(server_manifest, {basic("node", kToken)}), 200);
  EXPECT_EQ(status(server_manifest, {"Authorization: Bearer " + kToken + "0"}), 401);
}

TEST_F(AccessTest, TheBaseTellsClientsToLogIn) {
  configure();
  start_with_access();
  EXPECT_EQ(status("/v2/"), 401);
  EXPECT_EQ(status("/v2/", {basic("guest", "U*U")}), 200);
  configure(
      "apiVersion: bundle/v1\nkind: RegistryAccess\nusers: users\nrules:\n"
      "- {prefix: \"\", pull: [anonymous]}\n");
  server->reload();
  EXPECT_EQ(status("/v2/"), 200);
  EXPECT_EQ(status(server_manifest), 200);
}

TEST_F(AccessTest, ProbesAreOpenAndPagesWithNamesAreNot) {
  configure();
  start_with_access();
  EXPECT_EQ(status("/healthz"), 200);
  EXPECT_EQ(status("/readyz"), 200);
  EXPECT_EQ(status("/"), 401);
  EXPECT_EQ(status("/metrics"), 401);
  EXPECT_EQ(status("/", {basic("guest", "U*U")}), 403);
  EXPECT_EQ(status("/", {basic("ops", "U*U")}), 200);
}

TEST_F(AccessTest, ReloadTakesNewRulesAndKeepsTheOldOnesWhenTheyAreWrong) {
  configure();
  start_with_access();
  EXPECT_EQ(status(server_manifest, {basic("ops", "U*U")}), 200);
  files.write("users", "guest:" + kPasswordHash + "\n");
  EXPECT_EQ(status(server_manifest, {basic("ops", "U*U")}), 200);
  server->reload();  // ops is gone, and so is the memory of the right password
  EXPECT_EQ(status(server_manifest, {basic("ops", "U*U")}), 401);
  files.write("access.yaml", "rules: []\n");
  expect_error(ErrorCode::config_invalid, [&] { server->reload(); });
  EXPECT_EQ(status(server_manifest), 401);
  EXPECT_EQ(status(server_manifest, {"Authorization: Bearer " + kToken}), 200);
}

TEST_F(AccessTest, TheLogNamesTheUserAndNoSecret) {
  configure();
  start_with_access();
  EXPECT_EQ(status(server_manifest, {basic("ops", "U*U")}), 200);
  EXPECT_TRUE(eventually([&] {
    for (const auto& line : lines.lines()) {
      if (line.find("\"user\":\"ops\"") != std::string::npos) return true;
    }
    return false;
  }));
  for (const auto& line : lines.lines()) EXPECT_EQ(line.find("U*U"), std::string::npos);
}

TEST_F(AccessTest, MistakesInTheFilesNameTheirPlace) {
  const std::string head = "apiVersion: bundle/v1\nkind: RegistryAccess\n";
  const std::string rules = "rules:\n- {prefix: \"\", pull: [anonymous]}\n";
  for (const std::string& text :
       {std::string(), std::string("x"), std::string("- a"), std::string("kind: RegistryAccess\n"),
        head, head + "rules: []\n", head + "rules: [1]\n", head + "rules: [{pull: [a]}]\n",
        head + "rules: [{prefix: a, pull: b}]\n", head + "rules: [{prefix: a, pull: [\"b c\"]}]\n",
        head + "rules: [{prefix: a, pul: [b]}]\n", head + "rules: [{prefix: a}, {prefix: a}]\n",
        head + "rules: [{prefix: a, push: [anonymous]}]\n", head + rules + "more: 1\n",
        head + rules + "status: ops\n", head + rules + "users: 5\n"}) {
    configure(text);
    const Error error = expect_error(ErrorCode::config_invalid, [&] { start_with_access(); });
    EXPECT_NE(error.message().find("access.yaml:"), std::string::npos) << error.message();
  }
  const std::string hash = sha256(as_bytes(kToken)).text();
  for (const auto& [file, text] : std::vector<std::pair<std::string, std::string>>{
           {"users", "ops:plain\n"},
           {"users", "ops\n"},
           {"users", "o s:" + kPasswordHash + "\n"},
           {"users", "anonymous:" + kPasswordHash + "\n"},
           {"users", "ops:" + kPasswordHash + "\nops:" + kPasswordHash + "\n"},
           {"tokens", "node:" + kToken + "\n"},
           {"tokens", "a:" + hash + "\nb:" + hash + "\n"}}) {
    configure();
    files.write(file, "# first line\n" + text);
    const Error error = expect_error(ErrorCode::config_invalid, [&] { start_with_access(); });
    EXPECT_NE(error.message().find("/" + file + ":"), std::string::npos) << error.message();
  }
  configure();
  std::filesystem::remove(files / "users");
  expect_error(ErrorCode::not_found, [&] { start_with_access(); });
}

}  // namespace
}  // namespace bundle::testing
