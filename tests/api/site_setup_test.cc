// Certificates of a site and the files for k3s and Flux, judged by openssl and our own parsers.
#include "bundle/site_setup.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "bundle/error.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "io/file_system.h"
#include "support/child_process.h"
#include "support/expect_error.h"
#include "support/temp_directory.h"

namespace bundle::testing {
namespace {

std::string text_of(const Path& path) {
  return read_text_file(posix_file_system(), path, 1 << 20);
}
unsigned mode_of(const Path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

class CertificateTest : public ::testing::Test {
 protected:
  CertificateReport generate(std::vector<std::string> names, std::string client = {}) {
    CertificateOptions options;
    options.folder = folder / "tls";
    options.names = std::move(names);
    options.client = std::move(client);
    return generate_certificates(options);
  }
  ProgramResult openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "openssl");
    return run_program(arguments);
  }
  bool verifies(const Path& certificate, const std::string& purpose,
                const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{
        "verify", "-x509_strict", "-CAfile", (folder / "tls/ca.pem").string(), "-purpose", purpose};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back(certificate.string());
    return openssl(arguments).status == 0;
  }

  TempDirectory folder;
};

TEST_F(CertificateTest, OpensslVerifiesTheServerByAllItsNames) {
  const auto report = generate({"registry.example.com", "192.0.2.10", "2001:db8::1"});
  EXPECT_TRUE(report.new_authority);
  EXPECT_TRUE(
      verifies(report.certificate, "sslserver", {"-verify_hostname", "registry.example.com"}));
  EXPECT_TRUE(verifies(report.certificate, "sslserver", {"-verify_ip", "192.0.2.10"}));
  EXPECT_TRUE(verifies(report.certificate, "sslserver", {"-verify_ip", "2001:db8::1"}));
  EXPECT_FALSE(verifies(report.certificate, "sslserver", {"-verify_hostname", "example.com"}));
  EXPECT_FALSE(verifies(report.certificate, "sslclient"));
  const auto print =
      openssl({"x509", "-in", report.authority.string(), "-noout", "-fingerprint", "-sha256"});
  EXPECT_NE(print.output.find(report.fingerprint), std::string::npos) << print.output;
}

TEST_F(CertificateTest, KeysAreSecretFromTheFirstMoment) {
  const auto report = generate({"registry.example.com"});
  EXPECT_EQ(mode_of(report.key), 0600u);
  EXPECT_EQ(mode_of(folder / "tls/ca.key"), 0600u);
  std::filesystem::permissions(report.key, std::filesystem::perms::all);
  generate({});
  EXPECT_EQ(mode_of(report.key), 0600u);
}

TEST_F(CertificateTest, RenewalKeepsAuthorityAndNames) {
  const auto first = generate({"registry.example.com", "192.0.2.10"});
  const std::string authority = text_of(first.authority);
  const std::string key = text_of(first.key);
  const auto second = generate({});
  EXPECT_FALSE(second.new_authority);
  EXPECT_EQ(second.names, first.names);
  EXPECT_EQ(text_of(first.authority), authority);
  EXPECT_NE(text_of(first.key), key);
  EXPECT_TRUE(verifies(second.certificate, "sslserver", {"-verify_ip", "192.0.2.10"}));
}

TEST_F(CertificateTest, AClientCertificateIsForClientsOnly) {
  const auto report = generate({}, "node-1");
  EXPECT_TRUE(verifies(report.certificate, "sslclient"));
  EXPECT_FALSE(verifies(report.certificate, "sslserver"));
  EXPECT_EQ(report.certificate.filename(), "node-1.pem");
}

TEST_F(CertificateTest, WhatCannotBeMadeIsRefusedBeforeAnythingIsWritten) {
  for (const std::vector<std::string>& names : {std::vector<std::string>{},
                                                {"https://registry.example.com"},
                                                {"registry.example.com:5000"},
                                                {"a,DNS:b"},
                                                {"-a"},
                                                {""},
                                                {std::string(300, 'a')}}) {
    expect_error(ErrorCode::usage, [&] { generate(names); });
    EXPECT_FALSE(std::filesystem::exists(folder / "tls/server.pem"));
  }
  for (const char* client : {"ca", "server", "../x", "a/b", ".x"}) {
    expect_error(ErrorCode::usage, [&] { generate({}, client); });
  }
  expect_error(ErrorCode::usage, [&] { generate({"registry.example.com"}, "node-1"); });
}

TEST_F(CertificateTest, ADamagedAuthorityIsNeverReplaced) {
  const auto report = generate({"registry.example.com"});
  const std::string other = text_of(report.key);
  std::ofstream(folder / "tls/ca.key") << other;
  expect_error(ErrorCode::key_invalid, [&] { generate({}); });
  std::filesystem::remove(folder / "tls/ca.key");
  EXPECT_TRUE(error_of([&] { generate({}); }).has_value());
  EXPECT_FALSE(std::filesystem::exists(folder / "tls/ca.key"));
}

class ClusterConfigTest : public CertificateTest {
 protected:
  ClusterConfigTest() {
    options.endpoint = "https://registry.example.com:5000";
    options.folder = folder / "k3s";
  }
  codec::Json yaml(const std::string& name) {
    return codec::parse_yaml(text_of(options.folder / name), name, ErrorCode::config_invalid)
        .root();
  }
  ClusterConfigOptions options;
};

TEST_F(ClusterConfigTest, AnOpenRegistryNeedsAMirrorAndNoSecret) {
  options.endpoint = "http://registry.example.com:5000";
  const auto report = write_cluster_config(options);
  EXPECT_EQ(report.files.size(), 2u);
  const auto registries = yaml("registries.yaml");
  EXPECT_EQ(registries.at("mirrors").at("*").at("endpoint").as_array().at(0).as_string(),
            options.endpoint);
  EXPECT_EQ(registries.find("configs"), nullptr);
  EXPECT_TRUE(yaml("config.yaml.d/50-bundle-registry.yaml")
                  .at("disable-default-registry-endpoint")
                  .as_bool());
}

TEST_F(ClusterConfigTest, WithTlsAndUserEveryFileHasItsPart) {
  const auto certificates = generate({"registry.example.com"});
  const std::string password = "p: \"quoted\" # \\ 'x'";
  options.ca_file = certificates.authority;
  options.user = "node";
  options.password_file = folder.write("password", password + "\n");
  write_cluster_config(options);
  const auto config = yaml("registries.yaml").at("configs").at("registry.example.com:5000");
  EXPECT_EQ(config.at("auth").at("username").as_string(), "node");
  EXPECT_EQ(config.at("auth").at("password").as_string(), password);
  EXPECT_EQ(config.at("tls").at("ca_file").as_string(), options.node_ca_path);
  EXPECT_EQ(text_of(options.folder / "bundle-registry-ca.crt"), text_of(certificates.authority));
  EXPECT_EQ(mode_of(options.folder / "registries.yaml"), 0600u);
  EXPECT_EQ(mode_of(options.folder / "flux-secrets.yaml"), 0600u);

  const std::string secrets = text_of(options.folder / "flux-secrets.yaml");
  const std::size_t second = secrets.rfind("---\n");
  const auto login =
      codec::parse_yaml(secrets.substr(second + 4), "b", ErrorCode::config_invalid).root();
  EXPECT_EQ(login.at("type").as_string(), "kubernetes.io/dockerconfigjson");
  EXPECT_EQ(login.at("metadata").at("namespace").as_string(), "flux-system");
  const auto docker = codec::parse_json(login.at("stringData").at(".dockerconfigjson").as_string(),
                                        "docker config");
  EXPECT_EQ(docker.at("auths").at("registry.example.com:5000").at("password").as_string(),
            password);
  const std::size_t first = secrets.find("---\n");
  const auto ca = codec::parse_yaml(secrets.substr(first + 4, second - first - 4), "a",
                                    ErrorCode::config_invalid)
                      .root();
  EXPECT_EQ(ca.at("stringData").at("ca.crt").as_string(), text_of(certificates.authority));
}

TEST_F(ClusterConfigTest, WrongInputsAreRefused) {
  for (const char* endpoint : {"", "registry.example.com", "ftp://a", "https://", "https://a/b",
                               "https://user@host", "https://a b"}) {
    options.endpoint = endpoint;
    expect_error(ErrorCode::usage, [&] { write_cluster_config(options); });
  }
  options.endpoint = "https://registry.example.com";
  options.user = "node";
  expect_error(ErrorCode::usage, [&] { write_cluster_config(options); });
  options.user.clear();
  const auto certificates = generate({"registry.example.com"});
  options.ca_file = certificates.certificate;  // the server's, not the authority's
  expect_error(ErrorCode::key_invalid, [&] { write_cluster_config(options); });
  options.ca_file =
      folder.write("both.pem", text_of(certificates.authority) + text_of(folder / "tls/ca.key"));
  expect_error(ErrorCode::key_invalid, [&] { write_cluster_config(options); });
  EXPECT_FALSE(std::filesystem::exists(options.folder));
}

}  // namespace
}  // namespace bundle::testing
