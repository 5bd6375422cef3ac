#include "transfer/registry_source.h"

#include <gtest/gtest.h>

#include "oci/reference.h"
#include "support/expect_error.h"
#include "support/fake_registry.h"
#include "support/temp_directory.h"

namespace bundle::transfer {
namespace {

using namespace std::chrono_literals;
using oci::media_type::kIndex;
using oci::media_type::kManifest;
using testing::expect_error;
using testing::FakeRegistry;
using testing::ReceivedRequest;
using testing::ScriptedReply;
using testing::TempDirectory;

class RegistrySourceTest : public ::testing::Test {
 protected:
  std::shared_ptr<RegistryClient> client(bool insecure = true) {
    RegistryOptions options;
    options.auth_file = auth_file_;
    if (insecure) options.insecure_registries = {registry_.server().host()};
    options.http.stall_timeout = 2s;
    options.http.backoff_base = 5ms;
    options.http.max_attempts = 3;
    return std::make_shared<RegistryClient>(posix_file_system(), options);
  }
  std::shared_ptr<oci::ContentSource> open(const std::string& name) {
    return open_registry_source(client(), registry_.reference(name));
  }
  static std::string blob_text(oci::ContentSource& source, const oci::Descriptor& descriptor) {
    const Bytes bytes = read_all(*source.open_blob(descriptor), 1 << 26, "blob");
    return std::string(as_text(bytes));
  }
  static oci::Descriptor blob(const Digest& digest, std::uint64_t size) {
    oci::Descriptor descriptor;
    descriptor.digest = digest;
    descriptor.size = size;
    return descriptor;
  }
  void set_auth_file(const std::string& json) { auth_file_ = temp_.write("auth.json", json); }

  TempDirectory temp_;
  Path auth_file_ = temp_.write("none.json", "{}");
  FakeRegistry registry_;
};

TEST_F(RegistrySourceTest, ByTagDigestAndBoth) {
  const oci::Descriptor image = registry_.add_image("layer one", "1.0");
  for (const std::string& name :
       {std::string(":1.0"), "@" + image.digest.text(), ":some-label@" + image.digest.text()}) {
    const auto source = open(name);
    EXPECT_EQ(source->root().descriptor.digest, image.digest);
    EXPECT_EQ(source->root().descriptor.media_type, kManifest);
    EXPECT_EQ(source->root().descriptor.size, image.size);
    EXPECT_EQ(source->name(), registry_.reference(name));
  }
  // One request each: pulls are counted by registries.
  EXPECT_EQ(registry_.server().requests().size(), 3U);
  const std::string accept = registry_.server().requests().at(0).header("accept");
  for (const std::string_view type :
       {kIndex, kManifest, oci::media_type::kDockerList, oci::media_type::kDockerManifest}) {
    EXPECT_NE(accept.find(type), std::string::npos) << type;
  }
}

TEST_F(RegistrySourceTest, WhatDoesNotExist) {
  const Error error = expect_error(ErrorCode::not_found, [&] { open(":none"); });
  EXPECT_NE(error.message().find("team/app:none"), std::string::npos);
  const oci::Descriptor image = registry_.add_image("layer", "1");
  const auto source = open(":1");
  const Digest other = sha256(as_bytes("other"));
  EXPECT_FALSE(source->document(blob(other, 5)));
  const Error blob_error =
      expect_error(ErrorCode::not_found, [&] { source->open_blob(blob(other, 5)); });
  EXPECT_NE(blob_error.message().find("nothing here"), std::string::npos);
  EXPECT_EQ(source->document(image)->descriptor.digest, image.digest);
}

TEST_F(RegistrySourceTest, BadReferences) {
  for (const char* bad : {"", "docker://", "oci:x", "registry.example.com/a:1",
                          "docker://registry.example.com/A:1", "docker://h.example.com/a:b:c",
                          "docker://h.example.com/a@sha256:12", "docker://u:p@h.example.com/a:1",
                          "docker://h.example.com/../x:1", "docker://h.example.com/a:1?x=y"}) {
    EXPECT_EQ(testing::error_of([&] { open_registry_source(client(), bad); })->code(),
              ErrorCode::usage)
        << bad;
  }
}

TEST_F(RegistrySourceTest, UntrueManifestsAreRefused) {
  const oci::Descriptor image = registry_.add_image("layer", "1");
  const auto with = [&](const FakeRegistry::Bend& bend, const std::string& name, ErrorCode code) {
    registry_.bend = bend;
    expect_error(code, [&] { open(name); });
  };
  const auto other_bytes = [](const ReceivedRequest&, ScriptedReply& reply) { reply.body += " "; };
  with(other_bytes, ":1", ErrorCode::blob_mismatch);  // Docker-Content-Digest disagrees
  with(
      [](const ReceivedRequest&, ScriptedReply& reply) {
        reply.body += " ";
        reply.headers.pop_back();
      },
      "@" + image.digest.text(), ErrorCode::blob_mismatch);
  with([](const ReceivedRequest&,
          ScriptedReply& reply) { reply.headers = {"Content-Type: " + std::string(kIndex)}; },
       ":1", ErrorCode::oci_invalid);  // body says manifest
  with(
      [](const ReceivedRequest&, ScriptedReply& reply) {
        reply.headers = {"Content-Type: text/html"};
        reply.body = "<html>Log in</html>";
      },
      ":1", ErrorCode::oci_invalid);
  with(
      [](const ReceivedRequest&, ScriptedReply& reply) { reply.body.assign(5 * 1024 * 1024, ' '); },
      ":1", ErrorCode::limit);
  with(
      [](const ReceivedRequest&, ScriptedReply& reply) {
        reply.endless = true;
        reply.headers.pop_back();
      },
      ":1", ErrorCode::limit);
}

TEST_F(RegistrySourceTest, TypeIsReadFromTheBytesWhenTheHeaderIsUseless) {
  registry_.add_image("layer", "1");
  registry_.bend = [](const ReceivedRequest&, ScriptedReply& reply) {
    reply.headers = {"Content-Type: application/json; charset=utf-8"};
  };
  EXPECT_EQ(open(":1")->root().descriptor.media_type, kManifest);
}

TEST_F(RegistrySourceTest, DocumentsMustBeWhatTheirDescriptorSays) {
  const oci::Descriptor child = registry_.add_image("layer");
  registry_.add_manifest(R"({"schemaVersion":2,"manifests":[]})", kIndex, "index");
  const auto source = open(":index");
  EXPECT_EQ(source->document(child)->bytes.size(), child.size);
  oci::Descriptor wrong = child;
  wrong.size += 1;
  expect_error(ErrorCode::blob_mismatch, [&] { source->document(wrong); });
  wrong.size = 64ULL << 20;
  expect_error(ErrorCode::limit, [&] { source->document(wrong); });
  registry_.blobs["/manifests/" + child.digest.text()].bytes += "x";
  expect_error(ErrorCode::blob_mismatch, [&] { source->document(child); });
}

TEST_F(RegistrySourceTest, BlobsAreCheckedAndResumed) {
  const std::string layer(700'000, 'L');
  const Digest digest = registry_.add_blob(layer);
  registry_.add_image("x", "1");
  const auto source = open(":1");
  int cuts = 0;
  registry_.bend = [&](const ReceivedRequest& request, ScriptedReply& reply) {
    if (request.path().find("/blobs/") != std::string::npos && ++cuts < 4)
      reply.cut_after = 150'000;
  };
  EXPECT_TRUE(blob_text(*source, blob(digest, layer.size())) == layer);
  EXPECT_EQ(cuts, 4);
  registry_.bend = [](const ReceivedRequest&, ScriptedReply& reply) {
    if (!reply.body.empty()) reply.body.back() ^= 1;
  };
  const Error error = expect_error(ErrorCode::blob_mismatch,
                                   [&] { blob_text(*source, blob(digest, layer.size())); });
  EXPECT_NE(error.message().find(digest.text()), std::string::npos);
  registry_.bend = [](const ReceivedRequest&, ScriptedReply&) {};
  expect_error(ErrorCode::blob_mismatch,
               [&] { blob_text(*source, blob(digest, layer.size() - 1)); });
  EXPECT_EQ(blob_text(*source, blob(registry_.add_blob(""), 0)), "");
}

TEST_F(RegistrySourceTest, BlobsFromAnotherHostGetNoCredentials) {
  const std::string layer(10'000, 'L');
  const Digest digest = registry_.add_blob(layer);
  registry_.add_image("x", "1");
  int cdn_status = 200;
  testing::ScriptedServer cdn([&](const ReceivedRequest&) {
    ScriptedReply reply;
    reply.status = cdn_status;
    reply.body = layer;
    reply.headers = {"WWW-Authenticate: Basic realm=\"cdn\""};
    return reply;
  });
  set_auth_file(R"({"auths":{")" + registry_.server().host() +
                R"(":{"username":"u","password":"p"}}})");
  registry_.authorization = "Basic dTpw";
  registry_.challenge = {"WWW-Authenticate: Basic realm=\"r\""};
  registry_.bend = [&](const ReceivedRequest& request, ScriptedReply& reply) {
    if (reply.status != 200 || request.path().find("/blobs/") == std::string::npos) return;
    reply.status = 307;
    reply.headers = {"Location: " + cdn.url("/signed?X-Signature=secret")};
  };
  const auto source = open(":1");
  EXPECT_TRUE(blob_text(*source, blob(digest, layer.size())) == layer);
  EXPECT_EQ(cdn.requests().at(0).header("authorization"), "");
  cdn_status = 401;
  const Error error =
      expect_error(ErrorCode::auth_failed, [&] { source->open_blob(blob(digest, layer.size())); });
  EXPECT_EQ(error.message().find("secret"), std::string::npos);
  for (const ReceivedRequest& request : cdn.requests()) {
    EXPECT_EQ(request.header("authorization"), "");
  }
}

TEST_F(RegistrySourceTest, PlainHttpOnlyWhereListed) {
  registry_.add_image("x", "1");
  expect_error(ErrorCode::tls_failed,
               [&] { open_registry_source(client(false), registry_.reference(":1")); });
  EXPECT_TRUE(registry_.server().requests().empty());
}

TEST_F(RegistrySourceTest, ResolvesTagsByHead) {
  const oci::Descriptor image = registry_.add_image("x", "1");
  EXPECT_EQ(resolve_registry_tag(*client(), registry_.reference(":1")), image.digest);
  EXPECT_EQ(registry_.server().requests().at(0).method, "HEAD");
  EXPECT_EQ(registry_.server().requests().size(), 1U);
  EXPECT_FALSE(resolve_registry_tag(*client(), registry_.reference(":2")));
  registry_.bend = [](const ReceivedRequest&, ScriptedReply& reply) { reply.headers.pop_back(); };
  EXPECT_EQ(resolve_registry_tag(*client(), registry_.reference(":1")), image.digest);
}

TEST_F(RegistrySourceTest, OpenerDispatches) {
  const oci::Descriptor image = registry_.add_image("x", "1");
  RegistryOptions options;
  options.auth_file = temp_ / "broken.json";
  options.insecure_registries = {"127.0.0.1"};
  temp_.write("broken.json", "{");
  const oci::SourceOpener opener = make_source_opener(posix_file_system(), temp_.path(), options);
  // A local reference never looks at credentials.
  expect_error(ErrorCode::oci_invalid, [&] { opener("oci:missing:1"); });
  expect_error(ErrorCode::config_invalid, [&] { opener(registry_.reference(":1")); });
  temp_.write("broken.json", "{}");
  EXPECT_EQ(opener(registry_.reference(":1"))->root().descriptor.digest, image.digest);
}

// ---- referrers

class RegistryReferrersTest : public RegistrySourceTest {
 protected:
  static std::string index_of(const std::vector<oci::Descriptor>& list) {
    std::string text =
        R"({"schemaVersion":2,"mediaType":")" + std::string(kIndex) + R"(","manifests":[)";
    for (std::size_t i = 0; i < list.size(); ++i) {
      text += (i == 0 ? "" : ",") +
              (R"({"mediaType":")" + list[i].media_type + R"(","digest":")" +
               list[i].digest.text() + R"(","size":)" + std::to_string(list[i].size) +
               R"(,"artifactType":"application/spdx+json"})");
    }
    return text + "]}";
  }
  void add_api(const Digest& digest, const std::vector<oci::Descriptor>& list) {
    registry_.blobs["/referrers/" + digest.text()] = {index_of(list), std::string(kIndex)};
  }

  oci::Descriptor image_ = registry_.add_image("x", "1");
  oci::Descriptor sbom_ = registry_.add_image("sbom");
  oci::Descriptor proof_ = registry_.add_image("proof");
};

TEST_F(RegistryReferrersTest, ByApi) {
  add_api(image_.digest, {sbom_, proof_});
  const auto found = open(":1")->referrers(image_.digest);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].digest, sbom_.digest);
  EXPECT_EQ(found[0].artifact_type, "application/spdx+json");
  EXPECT_EQ(found[1].digest, proof_.digest);
}

TEST_F(RegistryReferrersTest, ByPages) {
  add_api(image_.digest, {sbom_});
  registry_.blobs["/next"] = {index_of({proof_}), std::string(kIndex)};
  registry_.bend = [](const ReceivedRequest& request, ScriptedReply& reply) {
    if (request.path().find("/referrers/") != std::string::npos) {
      reply.headers.emplace_back("Link: </v2/team/app/next?n=1>; rel=\"next\"");
    }
  };
  EXPECT_EQ(open(":1")->referrers(image_.digest).size(), 2U);
}

TEST_F(RegistryReferrersTest, PagesMustEndAndStayHere) {
  add_api(image_.digest, {sbom_});
  std::string link;
  registry_.bend = [&](const ReceivedRequest& request, ScriptedReply& reply) {
    if (request.path().find("/referrers/") != std::string::npos) reply.headers.push_back(link);
  };
  const auto source = open(":1");
  link = "Link: <?again>; rel=\"next\"";
  expect_error(ErrorCode::limit, [&] { source->referrers(image_.digest); });
  link = "Link: <http://registry.example.com/x>; rel=\"next\"";
  expect_error(ErrorCode::http_status, [&] { source->referrers(image_.digest); });
}

TEST_F(RegistryReferrersTest, ByFallbackTag) {
  registry_.add_manifest(index_of({sbom_}), kIndex, oci::digest_tag(image_.digest));
  const auto source = open(":1");
  EXPECT_EQ(source->referrers(image_.digest).at(0).digest, sbom_.digest);
  // An ordinary image under such a tag is no list; a front end's page is no list either.
  registry_.add_image("someone's", oci::digest_tag(image_.digest));
  EXPECT_TRUE(source->referrers(image_.digest).empty());
  registry_.blobs["/referrers/" + image_.digest.text()] = {"<html>", "text/html"};
  EXPECT_TRUE(source->referrers(image_.digest).empty());
}

TEST_F(RegistryReferrersTest, CosignTags) {
  for (const char* suffix : {".sig", ".att", ".sbom"}) {
    registry_.add_image(suffix, oci::digest_tag(image_.digest, suffix));
  }
  // The same manifest in the list of the API is not told twice.
  const oci::Descriptor sig = registry_.add_image(".sig");
  add_api(image_.digest, {sig, proof_});
  const auto source = open(":1");
  const auto found = source->referrers(image_.digest);
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found[0].digest, sig.digest);
  EXPECT_EQ(found[0].annotations.at("org.opencontainers.image.ref.name"),
            oci::digest_tag(image_.digest, ".sig"));
  for (const oci::Descriptor& descriptor : found) EXPECT_TRUE(source->document(descriptor));
}

TEST_F(RegistryReferrersTest, ErrorsAreNotTakenForAnEmptyList) {
  const auto source = open(":1");
  registry_.bend = [](const ReceivedRequest& request, ScriptedReply& reply) {
    if (request.path().find("/referrers/") != std::string::npos) reply.status = 500;
  };
  expect_error(ErrorCode::http_status, [&] { source->referrers(image_.digest); });
  registry_.bend = [](const ReceivedRequest& request, ScriptedReply& reply) {
    if (request.path().ends_with(".sig")) reply.status = 403;
  };
  expect_error(ErrorCode::auth_failed, [&] { source->referrers(image_.digest); });
}

// ---- logging in

class RegistryAuthTest : public RegistrySourceTest {
 protected:
  RegistryAuthTest()
      : tokens_([this](const ReceivedRequest& request) { return token_answer(request); }) {
    registry_.add_image("x", "1");
    registry_.authorization = "Bearer t1";
    registry_.challenge = {"WWW-Authenticate: Bearer realm=\"" + tokens_.url("/token?a=b") +
                           "\",service=\"the registry\",scope=\"repository:team/app:pull\""};
  }
  void log_in(const std::string& entry) {
    set_auth_file(R"({"auths":{")" + registry_.server().host() + R"(":)" + entry + "}}");
  }
  ScriptedReply token_answer(const ReceivedRequest& request) {
    ScriptedReply reply;
    reply.status = token_status_;
    reply.body = token_body_;
    last_ = request;
    return reply;
  }

  int token_status_ = 200;
  std::string token_body_ = R"({"token":"t1","expires_in":300})";
  ReceivedRequest last_;
  testing::ScriptedServer tokens_;
};

TEST_F(RegistryAuthTest, AnonymousToken) {
  const auto source = open(":1");
  EXPECT_EQ(last_.method, "GET");
  EXPECT_EQ(last_.target, "/token?a=b&service=the%20registry&scope=repository%3Ateam%2Fapp%3Apull");
  EXPECT_EQ(last_.header("authorization"), "");
  // The token serves all further requests.
  source->referrers(sha256(as_bytes("")));
  EXPECT_EQ(tokens_.requests().size(), 1U);
}

TEST_F(RegistryAuthTest, TokenForAUser) {
  log_in(R"({"username":"ann","password":"p:w"})");
  token_body_ = R"({"access_token":"t1"})";
  open(":1");
  EXPECT_EQ(last_.header("authorization"), "Basic " + to_base64(as_bytes("ann:p:w")));
  EXPECT_NE(last_.target.find("&account=ann"), std::string::npos);
}

TEST_F(RegistryAuthTest, TokenForARefreshToken) {
  log_in(R"({"identitytoken":"re+fresh"})");
  open(":1");
  EXPECT_EQ(last_.method, "POST");
  EXPECT_EQ(last_.header("authorization"), "");
  EXPECT_NE(last_.body.find("grant_type=refresh_token"), std::string::npos);
  EXPECT_NE(last_.body.find("refresh_token=re%2Bfresh"), std::string::npos);
  EXPECT_NE(last_.body.find("scope=repository%3Ateam%2Fapp%3Apull"), std::string::npos);
}

TEST_F(RegistryAuthTest, AnOldTokenIsRenewed) {
  const auto source = open(":1");
  registry_.authorization = "Bearer t2";  // the registry forgets t1
  token_body_ = R"({"token":"t2","expires_in":0})";
  const Digest digest = registry_.add_blob("b");
  EXPECT_EQ(blob_text(*source, blob(digest, 1)), "b");
  EXPECT_EQ(tokens_.requests().size(), 2U);
  // t2 ran out at once, so the next request asks first instead of meeting a 401.
  const std::size_t before = registry_.server().requests().size();
  EXPECT_EQ(blob_text(*source, blob(digest, 1)), "b");
  EXPECT_EQ(tokens_.requests().size(), 3U);
  EXPECT_EQ(registry_.server().requests().size(), before + 1);
}

TEST_F(RegistryAuthTest, ATokenThatDoesNotHelpIsAskedForOnce) {
  token_body_ = R"({"token":"wrong"})";
  const Error error = expect_error(ErrorCode::auth_failed, [&] { open(":1"); });
  EXPECT_NE(error.message().find("who are you"), std::string::npos);
  EXPECT_EQ(tokens_.requests().size(), 1U);
  EXPECT_EQ(registry_.server().requests().size(), 2U);
}

TEST_F(RegistryAuthTest, TheTokenServiceRefuses) {
  log_in(R"({"username":"ann","password":"topsecret"})");
  token_status_ = 401;
  token_body_ = R"({"details":"incorrect username or password"})";
  const Error error = expect_error(ErrorCode::auth_failed, [&] { open(":1"); });
  EXPECT_NE(error.message().find("incorrect username"), std::string::npos);
  EXPECT_EQ(error.message().find("topsecret"), std::string::npos);
}

TEST_F(RegistryAuthTest, UselessTokens) {
  for (const std::string body : {"", "{}", R"({"token":""})", R"({"token":"a\r\nX: y"})",
                                 R"({"token":"a b"})", "<html>", R"({"token":5})"}) {
    token_body_ = body;
    const auto error = testing::error_of([&] { open(":1"); });
    ASSERT_TRUE(error) << body;
    EXPECT_TRUE(error->code() == ErrorCode::auth_failed) << body << " " << error->message();
  }
  token_body_ = R"({"token":")" + std::string(100'000, 'x') + R"("})";
  EXPECT_TRUE(testing::error_of([&] { open(":1"); }));
}

TEST_F(RegistryAuthTest, UselessChallenges) {
  for (const char* line : {"X-None: 1", "WWW-Authenticate: Negotiate", "WWW-Authenticate: Bearer",
                           "WWW-Authenticate: Bearer realm=\"/token\"",
                           "WWW-Authenticate: Bearer realm=\"file:///etc/passwd\"",
                           "WWW-Authenticate: Bearer realm=\"http://u:p@127.0.0.1/\""}) {
    registry_.challenge = {line};
    expect_error(ErrorCode::auth_failed, [&] { open(":1"); });
  }
  EXPECT_TRUE(tokens_.requests().empty());
}

TEST_F(RegistryAuthTest, Basic) {
  registry_.authorization = "Basic " + to_base64(as_bytes("ann:pw"));
  registry_.challenge = {"WWW-Authenticate: Negotiate", "WWW-Authenticate: Basic realm=\"r\""};
  const Error none = expect_error(ErrorCode::auth_failed, [&] { open(":1"); });
  EXPECT_NE(none.hint().find("skopeo login"), std::string::npos);
  log_in(R"({"auth":")" + to_base64(as_bytes("ann:pw")) + R"("})");
  EXPECT_NO_THROW(open(":1"));
  log_in(R"({"auth":")" + to_base64(as_bytes("ann:wrong")) + R"("})");
  expect_error(ErrorCode::auth_failed, [&] { open(":1"); });
}

}  // namespace
}  // namespace bundle::transfer
