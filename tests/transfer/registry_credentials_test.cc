#include "transfer/registry_credentials.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/bytes.h"
#include "support/expect_error.h"
#include "support/temp_directory.h"
#include "transfer/http_client.h"

namespace bundle::transfer {
namespace {

using namespace std::chrono_literals;
using testing::expect_error;
using testing::TempDirectory;

std::string encoded(const std::string& text) {
  return to_base64(as_bytes(text));
}

// Takes the variables that name credential files out of the environment, and puts PATH back.
class RegistryCredentials : public ::testing::Test {
 protected:
  RegistryCredentials() {
    for (const char* name :
         {"REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG"}) {
      ::unsetenv(name);
    }
    ::setenv("HOME", directory_.path().c_str(), 1);
  }
  ~RegistryCredentials() override { ::setenv("PATH", path_.c_str(), 1); }

  void add_helper(const std::string& name, const std::string& script) {
    const auto file = directory_.write("bin/docker-credential-" + name, "#!/bin/sh\n" + script);
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    ::setenv("PATH", ((directory_ / "bin").string() + ":" + path_).c_str(), 1);
  }
  CredentialStore store_of(const std::string& json) {
    return CredentialStore(posix_file_system(), directory_.write("auth.json", json));
  }

  TempDirectory directory_;
  std::string path_ = std::getenv("PATH");
};

TEST_F(RegistryCredentials, LongestPrefixWins) {
  const CredentialStore store = store_of(R"({"auths":{
    "registry.example.com:5000":      {"auth":")" +
                                         encoded("host:1") + R"("},
    "registry.example.com:5000/a":    {"auth":")" +
                                         encoded("a:2:2") + R"("},
    "registry.example.com:5000/a/b/": {"username":"ab","password":"3"},
    "https://other.example.com/v1/":  {"identitytoken":"tok","auth":")" +
                                         encoded("x:") + R"("}}})");
  EXPECT_EQ(store.find("registry.example.com:5000", "z").username, "host");
  EXPECT_EQ(store.find("registry.example.com:5000", "a").password, "2:2");
  EXPECT_EQ(store.find("registry.example.com:5000", "a/x").username, "a");
  EXPECT_EQ(store.find("registry.example.com:5000", "a/b/c").username, "ab");
  EXPECT_EQ(store.find("registry.example.com:5000", "ab").username, "host");
  EXPECT_EQ(store.find("other.example.com", "x").identity_token, "tok");
  EXPECT_TRUE(store.find("registry.example.com", "a").empty());
  EXPECT_TRUE(store.find("evil-registry.example.com:5000", "a").empty());
}

TEST_F(RegistryCredentials, DockerHubHasSeveralNames) {
  for (const char* key : {"https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"}) {
    const CredentialStore store = store_of(R"({"auths":{")" + std::string(key) + R"(":{"auth":")" +
                                           encoded("u:p") + R"("}}})");
    EXPECT_EQ(store.find("docker.io", "library/redis").username, "u") << key;
  }
}

TEST_F(RegistryCredentials, FilesInTheirOrder) {
  const auto entry = [](const std::string& user) {
    return R"({"auths":{"h.example.com":{"auth":")" + encoded(user + ":p") + R"("}}})";
  };
  const auto user = [](std::optional<Path> file = {}) {
    return CredentialStore(posix_file_system(), file).find("h.example.com", "r").username;
  };
  EXPECT_EQ(user(), "");
  directory_.write(".docker/config.json", entry("home"));
  EXPECT_EQ(user(), "home");
  directory_.write("docker/config.json", entry("docker"));
  ::setenv("DOCKER_CONFIG", (directory_ / "docker").c_str(), 1);
  EXPECT_EQ(user(), "docker");
  directory_.write(".config/containers/auth.json", R"({"auths":{"else.example.com":{}}})");
  EXPECT_EQ(user(), "docker");  // the first that knows the host
  directory_.write("run/containers/auth.json", entry("run"));
  ::setenv("XDG_RUNTIME_DIR", (directory_ / "run").c_str(), 1);
  EXPECT_EQ(user(), "run");
  ::setenv("REGISTRY_AUTH_FILE", directory_.write("env.json", entry("env")).c_str(), 1);
  EXPECT_EQ(user(), "env");
  EXPECT_EQ(user(directory_.write("arg.json", entry("arg"))), "arg");
  expect_error(ErrorCode::not_found, [&] { user(directory_ / "missing.json"); });
}

TEST_F(RegistryCredentials, MalformedFilesAreRefusedAndSecretsNotShown) {
  for (const std::string bad :
       {"", "[]", "{", R"({"auths":[]})", R"({"auths":{"h":5}})",
        R"({"auths":{"h":{"auth":"%%"}}})", R"({"auths":{"h":{"auth":"c2VjcmV0"}}})",
        R"({"auths":{"h":{"auth":7}}})", R"({"auths":{"h":{"password":["secret"]}}})",
        R"({"credHelpers":{"h":"../sh"}})", R"({"credHelpers":{"h":""}})",
        R"({"credsStore":"a b"})", R"({"credsStore":"x/y"})",
        R"({"auths":{"h":{"auth":"secret"}},)", R"({"auths":{},"auths":{}})"}) {
    const Error error =
        expect_error(ErrorCode::config_invalid, [&] { DockerConfig::parse(bad, "auth.json"); });
    EXPECT_NE(error.message().find("auth.json"), std::string::npos);
    EXPECT_EQ(error.message().find("secret"), std::string::npos) << error.message();
  }
  EXPECT_TRUE(DockerConfig::parse("{}", "x").auths.empty());
  EXPECT_TRUE(DockerConfig::parse(R"({"auths":null,"HttpHeaders":{"a":"b"}})", "x").auths.empty());
}

TEST_F(RegistryCredentials, Helpers) {
  add_helper("good",
             R"(read s; echo "{\"ServerURL\":\"$s\",\"Username\":\"$s-$1\",\"Secret\":\"p\"}")");
  add_helper("token", R"(echo '{"Username":"<token>","Secret":"refresh"}')");
  add_helper("none", "echo 'credentials not found in native keychain'; exit 1");
  const CredentialStore store = store_of(R"({
    "auths":{"left.example.com":{}, "kept.example.com":{"auth":")" +
                                         encoded("file:p") + R"("}},
    "credHelpers":{"h.example.com":"token","none.example.com":"none","h.example.com/sub":"none"},
    "credsStore":"good"})");
  EXPECT_EQ(store.find("h.example.com", "r").identity_token, "refresh");
  EXPECT_EQ(store.find("left.example.com", "r").username, "left.example.com-get");
  EXPECT_EQ(store.find("docker.io", "library/x").username, "https://index.docker.io/v1/-get");
  EXPECT_EQ(store.find("kept.example.com", "r").username, "file");
  EXPECT_EQ(store.find("none.example.com", "r").username, "none.example.com-get");
}

TEST_F(RegistryCredentials, BadHelpers) {
  add_helper("fails", "echo 'keyring is locked'; exit 3");
  add_helper("junk", "echo secret-but-no-json");
  add_helper("hangs", "exec sleep 60");
  add_helper("huge", "exec cat /dev/zero");
  const Error failed =
      expect_error(ErrorCode::auth_failed, [] { run_credential_helper("fails", "h", 20s); });
  EXPECT_NE(failed.message().find("keyring is locked"), std::string::npos);
  const Error junk =
      expect_error(ErrorCode::auth_failed, [] { run_credential_helper("junk", "h", 20s); });
  EXPECT_EQ(junk.message().find("secret"), std::string::npos);
  expect_error(ErrorCode::timeout, [] { run_credential_helper("hangs", "h", 300ms); });
  expect_error(ErrorCode::limit, [] { run_credential_helper("huge", "h", 20s); });
  expect_error(ErrorCode::config_invalid, [] { run_credential_helper("missing", "h", 20s); });
}

constexpr const char* kPem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
constexpr const char* kKey = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";

TEST_F(RegistryCredentials, TlsFilesFromFileAndDirectory) {
  FileSystem& fs = posix_file_system();
  EXPECT_EQ(load_tls_files(fs, directory_.write("one.pem", kPem)).ca_pem, std::string(kPem) + "\n");
  directory_.write("certs/a.crt", kPem);
  directory_.write("certs/b.pem", kPem);
  directory_.write("certs/README", "nothing");
  EXPECT_EQ(load_tls_files(fs, directory_ / "certs").ca_pem.size(), 2 * (std::strlen(kPem) + 1));
  directory_.write("certs/client.cert", kPem);
  expect_error(ErrorCode::config_invalid, [&] { load_tls_files(fs, directory_ / "certs"); });
  directory_.write("certs/client.key", kKey);
  EXPECT_FALSE(load_tls_files(fs, directory_ / "certs").client_key_pem.empty());
  std::filesystem::create_directory_symlink(directory_ / "certs", directory_ / "link");
  EXPECT_FALSE(load_tls_files(fs, directory_ / "link").ca_pem.empty());
  directory_.write("certs/second.cert", kPem);
  directory_.write("certs/second.key", kKey);
  expect_error(ErrorCode::config_invalid, [&] { load_tls_files(fs, directory_ / "certs"); });
  std::filesystem::create_directory(directory_ / "empty");
  expect_error(ErrorCode::config_invalid, [&] { load_tls_files(fs, directory_ / "empty"); });
  expect_error(ErrorCode::config_invalid,
               [&] { load_tls_files(fs, directory_.write("no.pem", "hello")); });
  expect_error(ErrorCode::not_found, [&] { load_tls_files(fs, directory_ / "missing"); });
}

}  // namespace
}  // namespace bundle::transfer
