// The pull and discovery API over a real socket.
#include <gtest/gtest.h>

#include "codec/json.h"
#include "registry/served_store.h"

namespace bundle::testing {
namespace {

const std::string kServer = "/v2/registry.example.com/app/server";

std::string read_blob(const TestStore& store, const Digest& digest) {
  return read_text_file(posix_file_system(), store.blob_path(digest), 1 << 24);
}

void expect_error_body(const RawReply& reply, int status, const std::string& code) {
  EXPECT_EQ(reply.status, status) << reply.body;
  EXPECT_EQ(reply.header("content-type"), "application/json");
  const auto json = codec::parse_json(reply.body, "error body");
  ASSERT_EQ(json.at("errors").as_array().size(), 1u);
  EXPECT_EQ(json.at("errors").as_array()[0].at("code").as_string(), code);
  EXPECT_FALSE(json.at("errors").as_array()[0].at("message").as_string().empty());
}

std::vector<std::string> strings(const codec::Json& json) {
  std::vector<std::string> out;
  for (const auto& item : json.as_array()) out.push_back(item.as_string());
  return out;
}

class PullTest : public RegistryTest {};

TEST_F(PullTest, BaseSaysWhichApiThisIs) {
  for (const char* target : {"/v2/", "/v2", "/v2/?ns=docker.io"}) {
    const RawReply reply = get(port(), target);
    EXPECT_EQ(reply.status, 200) << target;
    EXPECT_EQ(reply.header("docker-distribution-api-version"), "registry/2.0");
    EXPECT_EQ(reply.body, "{}");
  }
}

TEST_F(PullTest, ManifestsComeByteForByte) {
  for (const auto& [reference, descriptor] :
       {std::pair<std::string, oci::Descriptor>{"1.0.0", has.server_index},
        {has.server_index.digest.text(), has.server_index},
        {has.server_amd64.digest.text(), has.server_amd64}}) {
    const RawReply reply = get(port(), kServer + "/manifests/" + reference);
    EXPECT_EQ(reply.status, 200) << reference;
    EXPECT_EQ(reply.header("content-type"), descriptor.media_type);
    EXPECT_EQ(reply.header("docker-content-digest"), descriptor.digest.text());
    EXPECT_EQ(reply.header("etag"), "\"" + descriptor.digest.text() + "\"");
    EXPECT_EQ(reply.body, read_blob(store, descriptor.digest));
    const RawReply head = request(port(), "HEAD", kServer + "/manifests/" + reference);
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.header("content-length"), std::to_string(descriptor.size));
    EXPECT_EQ(head.header("content-type"), descriptor.media_type);
    EXPECT_EQ(head.header("docker-content-digest"), descriptor.digest.text());
  }
}

TEST_F(PullTest, HeadSendsNoBodyAndTheConnectionGoesOn) {
  RawConnection connection(port());
  for (int i = 0; i < 3; ++i) {
    connection.send("HEAD " + kServer + "/manifests/1.0.0 HTTP/1.1\r\nHost: r\r\n\r\n");
    EXPECT_EQ(connection.read_reply(false).status, 200);
    connection.send("HEAD " + kServer + "/blobs/" + has.large.digest.text() +
                    " HTTP/1.1\r\nHost: r\r\n\r\n");
    const RawReply head = connection.read_reply(false);
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.header("content-length"), std::to_string(has.large.size));
  }
  connection.send("GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n");
  EXPECT_EQ(connection.read_reply().body, "{}");
}

TEST_F(PullTest, IfNoneMatchSparesTheBody) {
  const std::string etag = "\"" + has.server_index.digest.text() + "\"";
  for (const std::string& header : {etag, "W/" + etag, std::string("*"), "\"x\", " + etag}) {
    const RawReply reply = get(port(), kServer + "/manifests/1.0.0", {"If-None-Match: " + header});
    EXPECT_EQ(reply.status, 304) << header;
    EXPECT_EQ(reply.header("etag"), etag);
    EXPECT_TRUE(reply.body.empty());
  }
  EXPECT_EQ(get(port(), kServer + "/manifests/1.0.0", {"If-None-Match: \"sha256:0\""}).status, 200);
  RawConnection connection(port());
  for (int i = 0; i < 2; ++i) {  // nothing of a 304 is left in the stream
    connection.send("GET " + kServer +
                    "/manifests/1.0.0 HTTP/1.1\r\nHost: r\r\nIf-None-Match: *\r\n\r\n");
    EXPECT_EQ(connection.read_reply().status, 304);
  }
}

TEST_F(PullTest, ASparseIndexIsServedAndItsMissingChildIsUnknown) {
  EXPECT_EQ(get(port(), kServer + "/manifests/" + has.server_index.digest.text()).status, 200);
  expect_error_body(get(port(), kServer + "/manifests/" + has.server_arm64.digest.text()), 404,
                    "MANIFEST_UNKNOWN");
}

TEST_F(PullTest, BlobsComeWholeOrInParts) {
  const std::string target = kServer + "/blobs/" + has.large.digest.text();
  const RawReply whole = get(port(), target);
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.header("accept-ranges"), "bytes");
  EXPECT_EQ(whole.header("docker-content-digest"), has.large.digest.text());
  EXPECT_EQ(whole.body, has.large_layer);

  const RawReply part = get(port(), target, {"Range: bytes=1000-1999"});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.header("content-range"), "bytes 1000-1999/300007");
  EXPECT_EQ(part.header("content-length"), "1000");
  EXPECT_EQ(part.body, has.large_layer.substr(1000, 1000));
  EXPECT_EQ(get(port(), target, {"Range: bytes=299999-"}).body, has.large_layer.substr(299999));
  EXPECT_EQ(get(port(), target, {"Range: bytes=-7"}).body, has.large_layer.substr(300000));

  const RawReply past = get(port(), target, {"Range: bytes=300007-"});
  expect_error_body(past, 416, "RANGE_INVALID");
  EXPECT_EQ(past.header("content-range"), "bytes */300007");
  EXPECT_EQ(get(port(), target, {"Range: bytes=1-2,5-6"}).status, 200);
  EXPECT_EQ(get(port(), target, {"Range: nonsense"}).status, 200);
}

TEST_F(PullTest, IfRangeChoosesBetweenPartAndWhole) {
  const std::string target = kServer + "/blobs/" + has.small.digest.text();
  const std::string etag = "\"" + has.small.digest.text() + "\"";
  EXPECT_EQ(get(port(), target, {"Range: bytes=0-1", "If-Range: " + etag}).status, 206);
  EXPECT_EQ(get(port(), target, {"Range: bytes=0-1", "If-Range: \"other\""}).status, 200);
}

TEST_F(PullTest, ARangeMeansNothingForHead) {
  const RawReply head =
      request(port(), "HEAD", kServer + "/blobs/" + has.small.digest.text(), {"Range: bytes=0-1"});
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-length"), std::to_string(has.small.size));
}

TEST_F(PullTest, EveryWrongFormOfADigestIs400) {
  const std::string hex(64, 'a');
  for (const std::string& digest :
       {"sha256:" + std::string(63, 'a'), "sha256:" + std::string(65, 'a'),
        "sha256:" + std::string(64, 'A'), "sha256:" + std::string(64, 'g'), "SHA256:" + hex,
        std::string("sha256:"), std::string("sha512:") + hex, "md5:" + std::string(32, 'a'),
        ":" + hex, "sha256:" + hex + ":"}) {
    expect_error_body(get(port(), kServer + "/blobs/" + digest), 400, "DIGEST_INVALID");
    expect_error_body(get(port(), kServer + "/manifests/" + digest), 400, "DIGEST_INVALID");
    expect_error_body(get(port(), kServer + "/referrers/" + digest), 400, "DIGEST_INVALID");
  }
  expect_error_body(get(port(), kServer + "/blobs/sha256" + hex), 400, "DIGEST_INVALID");
}

TEST_F(PullTest, UnknownThingsHaveTheirOwnCodes) {
  const std::string unknown = "sha256:" + std::string(64, '0');
  expect_error_body(get(port(), kServer + "/blobs/" + unknown), 404, "BLOB_UNKNOWN");
  expect_error_body(get(port(), kServer + "/blobs/sha512:" + std::string(128, '0')), 404,
                    "BLOB_UNKNOWN");
  expect_error_body(get(port(), kServer + "/manifests/" + unknown), 404, "MANIFEST_UNKNOWN");
  expect_error_body(get(port(), kServer + "/manifests/.INVALID_MANIFEST_NAME"), 404,
                    "MANIFEST_UNKNOWN");
  expect_error_body(get(port(), "/v2/no/such/manifests/1"), 404, "NAME_UNKNOWN");
  expect_error_body(get(port(), "/v2/no/such/tags/list"), 404, "NAME_UNKNOWN");
  expect_error_body(get(port(), "/v2/UPPER/manifests/1"), 400, "NAME_INVALID");
}

TEST_F(PullTest, ARepositoryShowsOnlyWhatItsManifestsReach) {
  // redis of 1.0.0 has the small layer and not the large one.
  const std::string redis = "/v2/docker.io/library/redis";
  EXPECT_EQ(get(port(), redis + "/blobs/" + has.small.digest.text()).status, 200);
  expect_error_body(get(port(), redis + "/blobs/" + has.large.digest.text()), 404, "BLOB_UNKNOWN");
  expect_error_body(get(port(), redis + "/manifests/" + has.server_amd64.digest.text()), 404,
                    "MANIFEST_UNKNOWN");
}

TEST_F(PullTest, NamesWorkInFullShortAndByNamespace) {
  const std::string digest = has.redis_old.digest.text();
  EXPECT_EQ(tag_digest("docker.io/library/redis", "7.2"), digest);
  EXPECT_EQ(tag_digest("library/redis", "7.2"), digest);
  EXPECT_EQ(tag_digest("library/redis", "7.2?ns=docker.io"), digest);
  expect_error_body(get(port(), "/v2/library/redis/manifests/7.2?ns=quay.io"), 404, "NAME_UNKNOWN");
  // The chart lives at the site: its name has no host, and any ns finds it.
  EXPECT_FALSE(tag_digest("example-appliance/charts/app", "1.0.0").empty());
  EXPECT_FALSE(tag_digest("example-appliance/charts/app", "1.0.0?ns=site.example:5000").empty());
}

TEST_F(PullTest, TagsAreThoseOfTheActiveReleaseFirst) {
  EXPECT_EQ(tag_digest("app/server", "latest"), has.server_index.digest.text());
  EXPECT_EQ(tag_digest("library/redis", "7.2"), has.redis_old.digest.text());
  // The other release's own tag and digests answer too.
  EXPECT_EQ(tag_digest("app/server", "1.1.0"), has.server_new.digest.text());
  EXPECT_EQ(tag_digest("library/redis", has.redis_new.digest.text()), has.redis_new.digest.text());
}

TEST_F(PullTest, TagListsComeInPages) {
  const std::string signature_tag = "sha256-" + has.server_index.digest.hex() + ".sig";
  const auto all = codec::parse_json(get(port(), kServer + "/tags/list").body, "tags");
  EXPECT_EQ(all.at("name").as_string(), "registry.example.com/app/server");
  EXPECT_EQ(strings(all.at("tags")),
            (std::vector<std::string>{"1.0.0", "1.1.0", "latest", signature_tag}));

  std::vector<std::string> collected;
  std::string target = kServer + "/tags/list?n=3";
  for (int page = 0; page < 5 && !target.empty(); ++page) {
    const RawReply reply = get(port(), target);
    for (const auto& tag : strings(codec::parse_json(reply.body, "tags").at("tags"))) {
      collected.push_back(tag);
    }
    const std::string link = reply.header("link");
    const std::size_t end = link.find(">; rel=\"next\"");
    target = end == std::string::npos ? "" : link.substr(1, end - 1);
  }
  EXPECT_EQ(collected, strings(all.at("tags")));

  const RawReply none = get(port(), kServer + "/tags/list?n=0");
  EXPECT_TRUE(strings(codec::parse_json(none.body, "tags").at("tags")).empty());
  EXPECT_EQ(none.header("link"), "");
  EXPECT_EQ(get(port(), kServer + "/tags/list?n=4").header("link"), "");
  EXPECT_EQ(
      strings(
          codec::parse_json(get(port(), kServer + "/tags/list?last=1.0.5").body, "tags").at("tags"))
          .front(),
      "1.1.0");
  for (const char* n : {"-1", "x", "", "1x", "0x2"}) {
    expect_error_body(get(port(), kServer + "/tags/list?n=" + n), 400, "PAGINATION_NUMBER_INVALID");
  }
  EXPECT_EQ(get(port(), kServer + "/tags/list?n=99999999999999999999999").status, 200);
  // A page of a mirror request keeps the namespace.
  EXPECT_NE(get(port(), "/v2/app/server/tags/list?n=1&ns=registry.example.com")
                .header("link")
                .find("&ns=registry.example.com"),
            std::string::npos);
}

TEST_F(PullTest, ReferrersAreFoundBySubject) {
  const std::string target = kServer + "/referrers/" + has.server_amd64.digest.text();
  const RawReply reply = get(port(), target);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("content-type"), oci::media_type::kIndex);
  const auto index = codec::parse_json(reply.body, "referrers");
  EXPECT_EQ(index.at("schemaVersion").as_int(), 2);
  EXPECT_EQ(index.at("mediaType").as_string(), oci::media_type::kIndex);
  ASSERT_EQ(index.at("manifests").as_array().size(), 1u);
  const auto& entry = index.at("manifests").as_array()[0];
  EXPECT_EQ(entry.at("digest").as_string(), has.sbom.digest.text());
  EXPECT_EQ(entry.at("size").as_size(), has.sbom.size);
  EXPECT_EQ(entry.at("mediaType").as_string(), has.sbom.media_type);
  EXPECT_EQ(entry.at("artifactType").as_string(), "application/vnd.example.sbom");
  EXPECT_EQ(entry.at("annotations").at("org.example.kind").as_string(), "sbom \"x\"");
  EXPECT_EQ(get(port(), kServer + "/manifests/" + has.sbom.digest.text()).status, 200);

  const RawReply matching = get(port(), target + "?artifactType=application/vnd.example.sbom");
  EXPECT_EQ(matching.header("oci-filters-applied"), "artifactType");
  EXPECT_EQ(codec::parse_json(matching.body, "r").at("manifests").as_array().size(), 1u);
  const RawReply other = get(port(), target + "?artifactType=application/vnd.example.other");
  EXPECT_EQ(other.header("oci-filters-applied"), "artifactType");
  EXPECT_TRUE(codec::parse_json(other.body, "r").at("manifests").as_array().empty());
}

TEST_F(PullTest, AReferrerOfAReferrerIsFoundToo) {
  const auto index = codec::parse_json(
      get(port(), kServer + "/referrers/" + has.sbom.digest.text()).body, "referrers");
  ASSERT_EQ(index.at("manifests").as_array().size(), 1u);
  EXPECT_EQ(index.at("manifests").as_array()[0].at("digest").as_string(),
            has.sbom_signature.digest.text());
}

TEST_F(PullTest, NoReferrersIsAnEmptyIndexAndNever404) {
  for (const std::string& target :
       {kServer + "/referrers/sha256:" + std::string(64, '0'),
        std::string("/v2/no/such/referrers/sha256:") + std::string(64, '0')}) {
    const RawReply reply = get(port(), target);
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(codec::parse_json(reply.body, "r").at("manifests").as_array().empty());
    EXPECT_EQ(reply.header("oci-filters-applied"), "");
  }
}

TEST_F(PullTest, CosignTagsAnswer) {
  EXPECT_EQ(tag_digest("app/server", "sha256-" + has.server_index.digest.hex() + ".sig"),
            has.signature.digest.text());
}

TEST_F(PullTest, OtherMethodsAre405) {
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"}) {
    const RawReply reply = request(port(), method, kServer + "/manifests/1.0.0");
    expect_error_body(reply, 405, "UNSUPPORTED");
    EXPECT_EQ(reply.header("allow"), "GET, HEAD");
  }
  const RawReply upload =
      request(port(), "POST", kServer + "/blobs/uploads/", {"Content-Length: 5"});
  EXPECT_EQ(upload.status, 405);
}

TEST_F(PullTest, TheSameRepositoryAtTwoHostsIsMergedByHostOrder) {
  ReleaseDraft third = store.draft();
  const auto one = third.image({third.blob("one", oci::media_type::kLayerTarGzip)});
  const auto two = third.image({third.blob("two", oci::media_type::kLayerTarGzip)});
  third.name("b.example.com", "team/tool", "1", one);
  third.name("a.example.com", "team/tool", "1", two);
  third.name("b.example.com", "team/tool", "2", one);
  store.publish(std::move(third), "1.2.0", 3);
  EXPECT_EQ(tag_digest("team/tool", "1"), two.digest.text());
  EXPECT_EQ(tag_digest("team/tool", "2"), one.digest.text());
  EXPECT_EQ(tag_digest("team/tool", one.digest.text()), one.digest.text());
  EXPECT_EQ(tag_digest("team/tool", "1?ns=b.example.com"), one.digest.text());
  EXPECT_EQ(tag_digest("b.example.com/team/tool", "1"), one.digest.text());
  expect_error_body(get(port(), "/v2/team/tool/manifests/2?ns=a.example.com"), 404,
                    "MANIFEST_UNKNOWN");
}

}  // namespace
}  // namespace bundle::testing
