// Pushing over a real socket: what a site adds beside its releases.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "bundle/error.h"
#include "bundle/site.h"
#include "codec/json.h"
#include "registry/served_store.h"
#include "store/pushed_store.h"
#include "store/store_writer.h"

namespace bundle::testing {
namespace {

const std::string kConfig = R"({"architecture":"amd64","os":"linux"})";

std::string digest_of(const std::string& bytes) {
  return sha256(as_bytes(bytes)).text();
}

std::string manifest_of(const std::string& layer, const std::string& more = {}) {
  return fmt::format(
      R"({{"schemaVersion":2,"mediaType":"{}",{}"config":{{"mediaType":"{}","digest":"{}","size":{}}},)"
      R"("layers":[{{"mediaType":"{}","digest":"{}","size":{}}}]}})",
      oci::media_type::kManifest, more, oci::media_type::kConfig, digest_of(kConfig),
      kConfig.size(), oci::media_type::kLayerTar, digest_of(layer), layer.size());
}

std::string error_code_of(const RawReply& reply) {
  return codec::parse_json(reply.body, "error")
      .at("errors")
      .as_array()
      .at(0)
      .at("code")
      .as_string();
}

class PushTest : public RegistryTest {
 protected:
  PushTest() {
    options.push.emplace();
    options.push->keep_free = 0;
    start(options);
  }

  // One request with a body on a connection of its own.
  RawReply send(const std::string& method, const std::string& target, const std::string& body = {},
                const std::vector<std::string>& headers = {}) {
    RawConnection connection(port());
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: r\r\n";
    for (const std::string& header : headers) text += header + "\r\n";
    connection.send(text + fmt::format("Content-Length: {}\r\n\r\n", body.size()) + body);
    return connection.read_reply();
  }
  std::string begin_upload(const std::string& name) {
    const RawReply reply = send("POST", "/v2/" + name + "/blobs/uploads/");
    EXPECT_EQ(reply.status, 202) << reply.body;
    return reply.header("location");
  }
  RawReply push_blob(const std::string& name, const std::string& bytes) {
    return send("PUT", begin_upload(name) + "?digest=" + digest_of(bytes), bytes);
  }
  RawReply push_manifest(const std::string& name, const std::string& reference,
                         const std::string& manifest) {
    return send("PUT", "/v2/" + name + "/manifests/" + reference, manifest,
                {"Content-Type: " + std::string(oci::media_type::kManifest)});
  }
  std::string push_image(const std::string& name, const std::string& tag,
                         const std::string& layer) {
    EXPECT_EQ(push_blob(name, kConfig).status, 201);
    EXPECT_EQ(push_blob(name, layer).status, 201);
    const std::string manifest = manifest_of(layer);
    const RawReply reply = push_manifest(name, tag, manifest);
    EXPECT_EQ(reply.status, 201) << reply.body;
    EXPECT_EQ(reply.header("docker-content-digest"), digest_of(manifest));
    return manifest;
  }
  bool pulls(const std::string& name, const std::string& layer) {
    const RawReply reply = get(port(), "/v2/" + name + "/blobs/" + digest_of(layer));
    return reply.status == 200 && reply.body == layer;
  }

  registry::ServerOptions options = quick_options();
};

TEST_F(PushTest, AnImageIsPushedPulledAndThereAfterARestart) {
  const std::string layer(300'000, 'l');
  const std::string manifest = push_image("team/app", "1", layer);
  for (const bool writable : {true, false}) {
    const RawReply reply = get(port(), "/v2/team/app/manifests/1");
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, manifest);
    EXPECT_EQ(reply.header("content-type"), oci::media_type::kManifest);
    EXPECT_TRUE(pulls("team/app", layer));
    EXPECT_EQ(get(port(), "/v2/team/app/tags/list").body,
              "{\"name\":\"team/app\",\"tags\":[\"1\"]}\n");
    server.reset();
    options.push = writable ? std::nullopt : options.push;
    start(options);
  }
  EXPECT_EQ(send("POST", "/v2/team/app/blobs/uploads/").status, 405);
}

TEST_F(PushTest, ChunksMustFollowOneAnother) {
  const std::string place = begin_upload("team/app");
  RawReply reply = send("PATCH", place, "hello ", {"Content-Range: 0-5"});
  EXPECT_EQ(reply.status, 202);
  EXPECT_EQ(reply.header("range"), "0-5");
  for (const char* range : {"0-5", "7-12", "5-10"}) {
    reply = send("PATCH", place, "wrong!", {std::string("Content-Range: ") + range});
    EXPECT_EQ(reply.status, 416) << range;
    EXPECT_EQ(reply.header("range"), "0-5");
  }
  EXPECT_EQ(send("PATCH", place, "123", {"Content-Range: 6-11"}).status, 400);
  EXPECT_EQ(send("PATCH", place, "123", {"Content-Range: six"}).status, 400);
  reply = get(port(), place);
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.header("range"), "0-5");
  // The last chunk comes with the PUT; the first wrong digest ends the upload.
  EXPECT_EQ(
      send("PUT", place + "?digest=" + digest_of("hello world"), "world", {"Content-Range: 6-10"})
          .status,
      201);
  EXPECT_TRUE(pulls("team/app", "hello world"));
  EXPECT_EQ(send("PATCH", place, "x").status, 404);
  const std::string other = begin_upload("team/app");
  const RawReply wrong = send("PUT", other + "?digest=" + digest_of("a"), "b");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(error_code_of(wrong), "DIGEST_INVALID");
  EXPECT_EQ(get(port(), other).status, 404);
}

TEST_F(PushTest, ABodyInHttpChunksOfUnknownLengthIsTaken) {
  RawConnection connection(port());
  connection.send("PATCH " + begin_upload("team/app") +
                  " HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
  const RawReply reply = connection.read_reply();
  EXPECT_EQ(reply.status, 202);
  EXPECT_EQ(reply.header("range"), "0-10");
  // The connection goes on.
  connection.send("PUT " + reply.header("location") + "?digest=" + digest_of("hello world") +
                  " HTTP/1.1\r\nHost: r\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(connection.read_reply().status, 201);
}

TEST_F(PushTest, ABodyOfDoubtfulLengthIsRefusedAndTheConnectionClosed) {
  const std::string place = begin_upload("team/app");
  for (const std::string& headers :
       {std::string("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        std::string("Transfer-Encoding: gzip, chunked\r\n"),
        std::string("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        std::string("Content-Length: 5\r\nContent-Length: 6\r\n")}) {
    RawConnection connection(port());
    connection.send("PATCH " + place + " HTTP/1.1\r\nHost: r\r\n" + headers +
                    "\r\n0\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n");
    const std::string all = connection.read_to_end();
    EXPECT_TRUE(all.empty() || all.starts_with("HTTP/1.1 400")) << headers << all;
    EXPECT_EQ(all.find("HTTP/1.1 200"), std::string::npos) << headers;
  }
  EXPECT_EQ(get(port(), place).header("range"), "0-0");
}

TEST_F(PushTest, OneRequestUploadsAndMounts) {
  const std::string bytes = "one request";
  const RawReply whole =
      send("POST", "/v2/team/app/blobs/uploads/?digest=" + digest_of(bytes), bytes);
  EXPECT_EQ(whole.status, 201);
  EXPECT_EQ(whole.header("location"), "/v2/team/app/blobs/" + digest_of(bytes));
  // From another pushed repository, and from a release.
  EXPECT_EQ(
      send("POST", "/v2/team/other/blobs/uploads/?from=team/app&mount=" + digest_of(bytes)).status,
      201);
  EXPECT_TRUE(pulls("team/other", bytes));
  EXPECT_EQ(send("POST", "/v2/team/other/blobs/uploads/?from=library/redis&mount=" +
                             has.small.digest.text())
                .status,
            201);
  EXPECT_TRUE(pulls("team/other", has.small_layer));
  // What is not there is uploaded instead.
  const RawReply fallback =
      send("POST", "/v2/team/other/blobs/uploads/?from=team/app&mount=" + digest_of("absent"));
  EXPECT_EQ(fallback.status, 202);
  EXPECT_NE(fallback.header("location"), "");
}

TEST_F(PushTest, ReleasesNeverChange) {
  const std::string before = get(port(), "/v2/library/redis/manifests/7.2").body;
  for (const char* name : {"library/redis", "docker.io/library/redis", "app/server",
                           "registry.example.com/app/server"}) {
    for (const auto& [method, rest] :
         {std::pair{"POST", "/blobs/uploads/"}, std::pair{"PUT", "/manifests/7.2"},
          std::pair{"DELETE", "/manifests/7.2"}}) {
      const RawReply reply = send(method, std::string("/v2/") + name + rest);
      EXPECT_EQ(reply.status, 403) << name << method;
      EXPECT_EQ(error_code_of(reply), "DENIED");
    }
    EXPECT_EQ(
        send("DELETE", std::string("/v2/") + name + "/blobs/" + has.small.digest.text()).status,
        403);
  }
  EXPECT_EQ(send("POST", "/v2/library/redis/blobs/uploads/?ns=docker.io").status, 403);
  EXPECT_EQ(get(port(), "/v2/library/redis/manifests/7.2").body, before);
}

TEST_F(PushTest, ARepositoryThatAReleaseBringsLaterIsHiddenAndNotLost) {
  push_image("r.example.com/team/app", "1", "pushed layer");
  ReleaseDraft later = store.draft();
  const auto image = later.image({later.blob("layer", oci::media_type::kLayerTarGzip)});
  later.name("r.example.com", "team/app", "1", image);
  store.publish(std::move(later), "1.2.0", 3);
  EXPECT_TRUE(
      eventually([&] { return tag_digest("r.example.com/team/app", "1") == image.digest.text(); }));
  EXPECT_FALSE(pulls("r.example.com/team/app", "pushed layer"));
  EXPECT_EQ(send("DELETE", "/v2/r.example.com/team/app/manifests/1").status, 403);
  store.remove_release("1.2.0");
  EXPECT_TRUE(eventually([&] { return pulls("r.example.com/team/app", "pushed layer"); }));
}

TEST_F(PushTest, PushedRepositoriesOfAHostAnswerToItsMirrors) {
  push_image("quay.io/team/app", "1", "a layer");
  push_image("team/local", "1", "a layer");
  EXPECT_EQ(get(port(), "/v2/team/app/manifests/1?ns=quay.io").status, 200);
  EXPECT_EQ(get(port(), "/v2/team/app/manifests/1").status, 404);
  // Nobody's push stands for another registry's repository.
  EXPECT_EQ(get(port(), "/v2/team/local/manifests/1?ns=quay.io").status, 404);
}

TEST_F(PushTest, ManifestsAreCheckedBeforeTheyAreTaken) {
  const std::string name = "team/app";
  const std::string manifest = manifest_of("a layer");
  RawReply reply = push_manifest(name, "1", manifest);
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(error_code_of(reply), "MANIFEST_BLOB_UNKNOWN");
  push_image(name, "1", "a layer");
  reply = push_manifest(name, digest_of("something else"), manifest);
  EXPECT_EQ(error_code_of(reply), "DIGEST_INVALID");
  for (const std::string& bad : {std::string("{}"), std::string("no json"), std::string()}) {
    EXPECT_EQ(error_code_of(push_manifest(name, "2", bad)), "MANIFEST_INVALID") << bad;
  }
  EXPECT_EQ(error_code_of(push_manifest(name, "-bad-tag-", manifest)), "MANIFEST_INVALID");
  EXPECT_EQ(error_code_of(send("PUT", "/v2/team/app/manifests/1", manifest,
                               {"Content-Type: " + std::string(oci::media_type::kIndex)})),
            "MANIFEST_INVALID");
  EXPECT_EQ(push_manifest(name, "2", std::string(5 << 20, ' ')).status, 413);
  EXPECT_EQ(get(port(), "/v2/team/app/tags/list").body,
            "{\"name\":\"team/app\",\"tags\":[\"1\"]}\n");
}

TEST_F(PushTest, ReferrersAreListedAndTheSubjectConfirmed) {
  const std::string image = push_image("team/app", "1", "a layer");
  const std::string about = manifest_of(
      "a layer", fmt::format(R"("artifactType":"application/x.sbom","subject":{{"mediaType":"{}",)"
                             R"("digest":"{}","size":{}}},)",
                             oci::media_type::kManifest, digest_of(image), image.size()));
  const RawReply reply = push_manifest("team/app", digest_of(about), about);
  EXPECT_EQ(reply.status, 201) << reply.body;
  EXPECT_EQ(reply.header("oci-subject"), digest_of(image));
  const auto list =
      codec::parse_json(get(port(), "/v2/team/app/referrers/" + digest_of(image)).body, "list");
  ASSERT_EQ(list.at("manifests").as_array().size(), 1u);
  EXPECT_EQ(list.at("manifests").as_array()[0].at("digest").as_string(), digest_of(about));
}

TEST_F(PushTest, WhatIsDeletedIsGoneAlsoFromTheDisk) {
  const std::string manifest = push_image("team/app", "1", "a layer");
  push_image("team/other", "1", "a layer");
  const std::string blob = "/v2/team/app/blobs/" + digest_of("a layer");
  EXPECT_EQ(send("DELETE", blob).status, 403);  // in use
  EXPECT_EQ(send("DELETE", "/v2/team/app/manifests/1").status, 202);
  EXPECT_EQ(get(port(), "/v2/team/app/manifests/1").status, 404);
  EXPECT_EQ(get(port(), "/v2/team/app/manifests/" + digest_of(manifest)).status, 200);
  EXPECT_EQ(send("DELETE", "/v2/team/app/manifests/" + digest_of(manifest)).status, 202);
  EXPECT_EQ(send("DELETE", blob).status, 202);
  EXPECT_EQ(send("DELETE", blob).status, 404);
  const Path file = store::pushed_blob_path(store.root(), sha256(as_bytes("a layer")));
  EXPECT_TRUE(posix_file_system().status(file));  // team/other has it
  EXPECT_EQ(send("DELETE", "/v2/team/other/manifests/" + digest_of(manifest)).status, 202);
  EXPECT_EQ(send("DELETE", "/v2/team/other/blobs/" + digest_of("a layer")).status, 202);
  EXPECT_FALSE(posix_file_system().status(file));
}

TEST_F(PushTest, ImportGcAndAuditLeavePushedContentAlone) {
  push_image("team/app", "1", "a layer");
  {
    store::StoreWriter writer(store.open());  // the lock of imports is another one
    writer.collect({"1.1.0"}, true, false);
  }
  EXPECT_TRUE(pulls("team/app", "a layer"));
  EXPECT_EQ(get(port(), "/v2/team/app/manifests/1").status, 200);
}

TEST_F(PushTest, TheAuditReadsPushedBlobsToo) {
  push_image("team/app", "1", "a layer");
  const auto problems = [&] {
    std::size_t count = 0;
    for (const auto& problem : audit_store(store.root(), 1, silent_progress(), Cancel()).problems) {
      count += problem.digest == digest_of("a layer") ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(problems(), 0u);
  const Path file = store::pushed_blob_path(store.root(), sha256(as_bytes("a layer")));
  posix_file_system().open_writable(file)->write_at(2, as_bytes("X"));
  EXPECT_EQ(problems(), 1u);
  // It is not served, readiness names it, and another push repairs it.
  EXPECT_EQ(get(port(), "/v2/team/app/blobs/" + digest_of("a layer")).status, 500);
  EXPECT_TRUE(eventually(
      [&] { return get(port(), "/readyz").body.find(digest_of("a layer")) != std::string::npos; }));
  EXPECT_EQ(push_blob("team/app", "a layer").status, 201);
  EXPECT_TRUE(pulls("team/app", "a layer"));
}

TEST_F(PushTest, AFullDiskAndTooLargeABlobAreSaid) {
  options.push->keep_free = std::uint64_t{1} << 60;
  start(options);
  const RawReply full = send("POST", "/v2/team/app/blobs/uploads/");
  EXPECT_EQ(full.status, 507);
  options.push->keep_free = 0;
  options.push->max_upload = 10;
  start(options);
  const RawReply large = send(
      "PUT", begin_upload("team/app") + "?digest=" + digest_of("more than ten"), "more than ten");
  EXPECT_EQ(large.status, 413);
  EXPECT_EQ(error_code_of(large), "SIZE_INVALID");
  EXPECT_EQ(push_blob("team/app", "up to ten!").status, 201);
}

TEST_F(PushTest, OneWriterAtATimeAndNoOpenDoor) {
  EXPECT_THROW(registry::HttpServer(options, store.open(), log), Error);  // the lock
  server.reset();
  options.listen = "0.0.0.0:0";
  try {
    start(options);
    FAIL() << "everybody could push";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::usage);
  }
}

TEST_F(PushTest, OnlyWhomTheRulesNamePushesAndOnlyThere) {
  const TempDirectory files;
  write_file_atomically(
      posix_file_system(), files / "tokens",
      as_bytes("ci:" + digest_of("ci-secret") + "\nnode:" + digest_of("node-secret") + "\n"));
  write_file_atomically(
      posix_file_system(), files / "access.yaml",
      as_bytes("apiVersion: bundle/v1\nkind: RegistryAccess\ntokens: tokens\nrules:\n"
               "- {prefix: \"\", pull: [authenticated]}\n"
               "- {prefix: team/, pull: [authenticated], push: [ci]}\n"));
  options.access_file = files / "access.yaml";
  start(options);
  const std::string target = "/v2/team/app/blobs/uploads/";
  const std::vector<std::string> ci{"Authorization: Bearer ci-secret"};
  const std::vector<std::string> node{"Authorization: Bearer node-secret"};
  EXPECT_EQ(send("POST", target).status, 401);
  EXPECT_EQ(send("POST", target, "", node).status, 403);
  const RawReply mine = send("POST", target, "", ci);
  EXPECT_EQ(mine.status, 202);
  EXPECT_EQ(send("POST", "/v2/other/app/blobs/uploads/", "", ci).status, 403);
  // An upload belongs to who began it.
  EXPECT_EQ(send("PATCH", mine.header("location"), "x", node).status, 403);
  EXPECT_EQ(send("PATCH", mine.header("location"), "x", ci).status, 202);
}

TEST(PushedRecord, ComesBackAsItWas) {
  store::PushedRepository repository;
  repository.name = "team/app";
  const Digest digest = sha256(as_bytes("manifest"));
  repository.blobs[digest] = {8, 1'700'000'000'123'456'789, 1'700'000'000};
  repository.manifests.insert(digest);
  repository.tags["1"] = digest;
  const std::string text = store::write_pushed_record(repository);
  EXPECT_EQ(store::parse_pushed_record(text, "record"), repository);
  for (const std::string& bad :
       {std::string("{}"), text.substr(0, text.size() / 2), std::string("[]"),
        std::string(
            R"({"version":1,"name":"a","blobs":[],"manifests":[],"tags":{"1":"sha256:00"}})")}) {
    EXPECT_THROW(store::parse_pushed_record(bad, "record"), Error) << bad;
  }
}

TEST(PushedStore, ARecordThatCannotBeReadLosesNothing) {
  const TestStore store;
  FileSystem& fs = posix_file_system();
  const Digest digest = sha256(as_bytes("bytes"));
  {
    store::PushedWriter writer(fs, store.root());
    const auto file = writer.create_file();
    file->write(as_bytes("bytes"));
    store::PushedWriter::NewBlob blob{digest, *file, false};
    writer.change(
        "team/app", [](store::PushedRepository&) {}, &blob);
  }
  const Path records = store::pushed_dir(store.root()) / "repositories";
  write_file_atomically(fs, records / fs.list(records).at(0), as_bytes("{"));
  store::PushedWriter writer(fs, store.root());
  EXPECT_EQ(writer.found().problems.size(), 1u);
  EXPECT_TRUE(fs.status(store::pushed_blob_path(store.root(), digest)));
  EXPECT_THROW(writer.change("team/app", [](store::PushedRepository&) {}), Error);
}

}  // namespace
}  // namespace bundle::testing
