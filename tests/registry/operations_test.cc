// Live switch, health, metrics, status page, damage, hostile clients.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "bundle/error.h"
#include "codec/json.h"
#include "registry/served_store.h"
#include "support/expect_error.h"
#include "trust/news.h"
#include "trust/pointer.h"

namespace bundle::testing {
namespace {

using std::chrono::milliseconds;

const std::string kServer = "/v2/registry.example.com/app/server";

class OperationsTest : public RegistryTest {
 protected:
  std::string blob_target(const oci::Descriptor& blob) {
    return kServer + "/blobs/" + blob.digest.text();
  }
  // Changes one byte in place and puts the modification time back, as a thief or a bad disk does.
  void flip_byte(const Digest& digest) {
    const Path path = store.blob_path(digest);
    const auto time = std::filesystem::last_write_time(path);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const int byte = file.get();
    file.seekp(0);
    file.put(static_cast<char>(byte ^ 1));
    file.close();
    std::filesystem::last_write_time(path, time);
  }
};

TEST_F(OperationsTest, ActivationSwitchesTagsWithoutARestart) {
  EXPECT_EQ(tag_digest("app/server", "latest"), has.server_index.digest.text());
  store.activate("1.1.0");
  EXPECT_TRUE(eventually(
      [&] { return tag_digest("app/server", "latest") == has.server_new.digest.text(); }));
  EXPECT_EQ(tag_digest("library/redis", "7.2"), has.redis_new.digest.text());
  store.activate("1.0.0");
  EXPECT_TRUE(eventually(
      [&] { return tag_digest("app/server", "latest") == has.server_index.digest.text(); }));
}

TEST_F(OperationsTest, ASwitchIsNeverHalfSeen) {
  start();
  // Two tags of one catalog are asked for in turn: once the first one has changed, the other has.
  for (int round = 0; round < 40; ++round) {
    const bool forward = round % 2 == 0;
    store.activate(forward ? "1.1.0" : "1.0.0");
    const oci::Descriptor& tool = forward ? has.server_new : has.server_index;
    const oci::Descriptor& cache = forward ? has.redis_new : has.redis_old;
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    bool seen = false;
    while (!seen && std::chrono::steady_clock::now() < patience) {
      seen = tag_digest("app/server", "latest") == tool.digest.text();
      const std::string other = tag_digest("library/redis", "7.2");
      EXPECT_TRUE(!seen || other == cache.digest.text()) << other;
    }
    EXPECT_TRUE(seen) << round;
  }
}

TEST_F(OperationsTest, ImportAndRemovalOfReleasesAreFollowed) {
  EXPECT_EQ(tag_digest("team/tool", "1"), "");
  ReleaseDraft third = store.draft();
  const auto image = third.image({third.blob("tool", oci::media_type::kLayerTarGzip)});
  third.name("registry.example.com", "team/tool", "1", image);
  store.publish(std::move(third), "1.2.0", 3);
  EXPECT_TRUE(eventually([&] { return tag_digest("team/tool", "1") == image.digest.text(); }));
  store.remove_release("1.2.0");
  EXPECT_TRUE(eventually([&] { return tag_digest("team/tool", "1").empty(); }));
}

TEST_F(OperationsTest, WithNoActiveReleaseTheNewestLeads) {
  std::filesystem::remove(store.root() / "active");
  EXPECT_EQ(tag_digest("app/server", "latest"), has.server_new.digest.text());
  EXPECT_EQ(get(port(), "/readyz").status, 200);
  EXPECT_NE(get(port(), "/readyz").body.find("\"active\":false"), std::string::npos);
}

TEST_F(OperationsTest, AnEmptyStoreIsAliveAndNotReady) {
  store.remove_release("1.0.0");
  store.remove_release("1.1.0");
  std::filesystem::remove(store.root() / "active");
  EXPECT_EQ(get(port(), "/v2/").status, 200);
  EXPECT_EQ(get(port(), "/healthz").status, 200);
  const RawReply ready = get(port(), "/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_NE(ready.body.find("no release has been imported"), std::string::npos);
}

TEST_F(OperationsTest, TheStoreMayVanishAndComeBack) {
  EXPECT_EQ(get(port(), "/readyz").status, 200);
  const Path aside = store.root().string() + ".aside";
  std::filesystem::rename(store.root(), aside);
  EXPECT_TRUE(eventually([&] { return get(port(), "/readyz").status == 503; }));
  EXPECT_EQ(get(port(), kServer + "/manifests/latest").status, 200);  // from memory
  EXPECT_EQ(get(port(), blob_target(has.large)).status, 404);
  EXPECT_EQ(get(port(), "/healthz").status, 200);
  std::filesystem::rename(aside, store.root());
  EXPECT_TRUE(eventually([&] { return get(port(), "/readyz").status == 200; }));
  EXPECT_EQ(get(port(), blob_target(has.large)).body, has.large_layer);
}

TEST_F(OperationsTest, AChangedBlobIsHashedAndRefused) {
  EXPECT_EQ(get(port(), blob_target(has.large)).status, 200);
  flip_byte(has.large.digest);
  const RawReply damaged = get(port(), blob_target(has.large));
  EXPECT_EQ(damaged.status, 500);
  EXPECT_NE(damaged.body.find(has.large.digest.text()), std::string::npos);
  EXPECT_EQ(get(port(), blob_target(has.large)).status, 500);
  EXPECT_TRUE(eventually([&] {
    const RawReply ready = get(port(), "/readyz");
    return ready.status == 503 && ready.body.find(has.large.digest.text()) != std::string::npos;
  }));
  EXPECT_EQ(get(port(), blob_target(has.small)).status, 200);
  flip_byte(has.large.digest);  // repaired
  EXPECT_EQ(get(port(), blob_target(has.large)).body, has.large_layer);
  EXPECT_TRUE(eventually([&] { return get(port(), "/readyz").status == 200; }));
}

TEST_F(OperationsTest, ABlobThatWasChangedBeforeTheStartIsHashedToo) {
  flip_byte(has.large.digest);
  EXPECT_EQ(get(port(), blob_target(has.large)).status, 500);
}

TEST_F(OperationsTest, ATouchedButRightBlobIsServedAfterOneHash) {
  std::filesystem::last_write_time(store.blob_path(has.large.digest),
                                   std::filesystem::file_time_type::clock::now());
  EXPECT_EQ(get(port(), blob_target(has.large)).body, has.large_layer);
  EXPECT_NE(get(port(), "/metrics").body.find("bundle_registry_blob_verifications_total 1\n"),
            std::string::npos);
  EXPECT_EQ(get(port(), blob_target(has.large)).body, has.large_layer);
  EXPECT_NE(get(port(), "/metrics").body.find("bundle_registry_blob_verifications_total 1\n"),
            std::string::npos);
}

TEST_F(OperationsTest, ManyClientsMayWaitForOneHash) {
  std::filesystem::last_write_time(store.blob_path(has.large.digest),
                                   std::filesystem::file_time_type::clock::now());
  start();
  std::atomic<int> good{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&] {
      if (get(port(), blob_target(has.large)).body == has.large_layer) ++good;
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(good, 16);
}

TEST_F(OperationsTest, ATruncatedBlobIsNeverPadded) {
  start();
  std::filesystem::resize_file(store.blob_path(has.large.digest), 1000);
  EXPECT_EQ(get(port(), blob_target(has.large)).status, 500);
  std::filesystem::remove(store.blob_path(has.small.digest));
  EXPECT_EQ(get(port(), blob_target(has.small)).status, 404);
}

TEST_F(OperationsTest, ABlobThatIsNoRegularFileIsNotServed) {
  const Path path = store.blob_path(has.small.digest);
  std::filesystem::remove(path);
  std::filesystem::create_symlink("/etc/hostname", path);
  EXPECT_EQ(get(port(), blob_target(has.small)).status, 404);
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_EQ(get(port(), blob_target(has.small)).status, 500);
}

TEST_F(OperationsTest, ADamagedManifestIsAProblemAndNotServed) {
  flip_byte(has.server_new.digest);
  EXPECT_EQ(tag_digest("app/server", "1.1.0"), "");
  EXPECT_EQ(tag_digest("app/server", "1.0.0"), has.server_index.digest.text());
  const RawReply ready = get(port(), "/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_NE(ready.body.find(has.server_new.digest.text()), std::string::npos);
}

TEST_F(OperationsTest, TheScrubFindsRotThatLeftNoTrace) {
  // Rotten before its release was published: nothing about the file tells that it changed.
  ReleaseDraft third = store.draft();
  const auto rotten = third.blob("will rot", oci::media_type::kLayerTarGzip);
  third.name("registry.example.com", "app/server", "rot", third.image({rotten}));
  flip_byte(rotten.digest);
  store.publish(std::move(third), "1.2.0", 3);
  auto options = quick_options();
  options.scrub_period = milliseconds(0);
  start(options);
  EXPECT_EQ(get(port(), "/readyz").status, 200);
  EXPECT_EQ(get(port(), blob_target(rotten)).status, 200);
  options.scrub_period = milliseconds(300);
  start(options);
  EXPECT_TRUE(eventually([&] {
    const RawReply ready = get(port(), "/readyz");
    return ready.status == 503 && ready.body.find(rotten.digest.text()) != std::string::npos;
  }));
  EXPECT_EQ(get(port(), blob_target(rotten)).status, 500);
  EXPECT_EQ(get(port(), blob_target(has.large)).body, has.large_layer);
  EXPECT_TRUE(eventually([&] {
    for (const auto& line : lines.lines()) {
      if (line.find("scrub: blob " + rotten.digest.text()) != std::string::npos) return true;
    }
    return false;
  }));
  // Gone with its release: no reason to be unready for ever.
  store.remove_release("1.2.0");
  EXPECT_TRUE(eventually([&] { return get(port(), "/readyz").status == 200; }));
}

TEST_F(OperationsTest, WithoutFileDescriptorsItAnswers503AndRecovers) {
  start();
  RawConnection client(port());  // has its own already
  client.send("GET /healthz HTTP/1.1\r\nHost: r\r\n\r\n");
  EXPECT_EQ(client.read_reply().status, 200);
  std::vector<UniqueFd> taken;
  for (;;) {
    UniqueFd one(::dup(0));
    if (!one) break;
    taken.push_back(std::move(one));
  }
  client.send("GET " + blob_target(has.large) + " HTTP/1.1\r\nHost: r\r\n\r\n");
  const RawReply without = client.read_reply();
  taken.clear();
  EXPECT_EQ(without.status, 503);
  EXPECT_EQ(without.header("retry-after"), "1");
  EXPECT_EQ(get(port(), blob_target(has.large)).body, has.large_layer);
}

TEST_F(OperationsTest, MetricsCountWhatHappened) {
  get(port(), kServer + "/manifests/1.0.0");
  get(port(), kServer + "/manifests/nothing");
  get(port(), blob_target(has.small));
  const RawReply metrics = get(port(), "/metrics");
  EXPECT_EQ(metrics.status, 200);
  for (const char* line :
       {"bundle_registry_requests_total{route=\"manifest\",status=\"2xx\"} 1\n",
        "bundle_registry_requests_total{route=\"manifest\",status=\"4xx\"} 1\n",
        "bundle_registry_response_bytes_total{route=\"blob\"} 13\n", "bundle_registry_ready 1\n",
        "bundle_registry_release_info{version=\"1.0.0\",active=\"true\"} 1\n"}) {
    EXPECT_NE(metrics.body.find(line), std::string::npos) << line << "\n" << metrics.body;
  }
}

TEST_F(OperationsTest, TheStatusPageShowsReleasesAndImages) {
  const RawReply page = get(port(), "/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.header("content-type"), "text/html; charset=utf-8");
  for (const char* text : {"1.0.0", "1.1.0", "docker.io/library/redis:7.2", ">active<", ">ready<",
                           "<dt>Damaged blobs</dt><dd>none</dd>"}) {
    EXPECT_NE(page.body.find(text), std::string::npos) << text;
  }
  EXPECT_EQ(page.body.find("<script"), std::string::npos);
  EXPECT_EQ(page.body.find("http://"), std::string::npos);
}

TEST_F(OperationsTest, TheStatusPageShowsTheNewestPointerOfEachChannel) {
  EXPECT_EQ(get(port(), "/").body.find("<h2>Channels"), std::string::npos);
  trust::ChannelPointer pointer;
  pointer.product = "example-appliance";
  pointer.created = 1'800'000'000;
  pointer.expires = 1'800'086'400;
  const auto put = [&](const std::string& channel, std::uint64_t sequence,
                       const std::string& version) {
    pointer.channel = channel;
    pointer.sequence = sequence;
    pointer.release_version = version;
    const Path folder = store.root() / "channels" / pointer.product;
    std::filesystem::create_directories(folder);
    std::ofstream(folder / trust::pointer_name(pointer)) << trust::encode_pointer(pointer);
  };
  put("stable", 3, "1.0.0");
  put("stable", 12, "1.1.0");
  put("candidate", 4, "7.0.0");
  std::ofstream(store.root() / "channels/example-appliance/13.stable.channel.json") << "{}";
  const std::string page = get(port(), "/").body;
  for (const char* text : {"<td>1.1.0</td><td class=n>12</td><td>2027-01-16T08:00:00Z</td>",
                           "<td>7.0.0</td><td class=n>4</td>", "<td>not in the store</td>"}) {
    EXPECT_NE(page.find(text), std::string::npos) << text << page;
  }
  EXPECT_EQ(page.find("<td class=n>3</td>"), std::string::npos);
}

TEST_F(OperationsTest, TheAccessLogIsOneJsonLineARequest) {
  get(port(), kServer + "/manifests/1.0.0", {"User-Agent: probe\"\x01"});
  std::string line;
  EXPECT_TRUE(eventually([&] {
    for (const auto& candidate : lines.lines()) {
      if (candidate.find("\"event\":\"request\"") != std::string::npos) line = candidate;
    }
    return !line.empty();
  }));
  const auto json = codec::parse_json(line, "log line");
  EXPECT_EQ(json.at("method").as_string(), "GET");
  EXPECT_EQ(json.at("target").as_string(), kServer + "/manifests/1.0.0");
  EXPECT_EQ(json.at("status").as_int(), 200);
  EXPECT_EQ(json.at("bytes").as_size(), has.server_index.size);
  EXPECT_EQ(json.at("userAgent").as_string(), "probe\\x22\\x01");
  EXPECT_TRUE(json.at("complete").as_bool());
}

TEST_F(OperationsTest, RequestsThatCouldSmuggleEndTheConnection) {
  const std::string inner = "GET /healthz HTTP/1.1\r\nHost: r\r\n\r\n";
  const std::string length = std::to_string(inner.size());
  for (const std::string& headers :
       {"Content-Length: " + length, std::string("Transfer-Encoding: chunked"),
        "Content-Length: " + length + "\r\nTransfer-Encoding: chunked",
        "Content-Length: 0\r\nContent-Length: " + length,
        std::string("Transfer-Encoding: xchunked"), std::string("Content-Length: +0"),
        std::string("Content-Length: 0x5"), std::string("Content-Length: 99999999999999999999"),
        std::string("Host: other")}) {
    RawConnection connection(port());
    connection.send("GET /v2/ HTTP/1.1\r\nHost: r\r\n" + headers + "\r\n\r\n" + inner);
    const std::string all = connection.read_to_end(milliseconds(5000));
    EXPECT_EQ(all.substr(0, 10), "HTTP/1.1 4") << headers << "\n" << all;
    EXPECT_EQ(all.find("alive"), std::string::npos) << headers << "\n" << all;
  }
}

TEST_F(OperationsTest, GarbageGetsA4xxOrACloseAndTheServerStaysUp) {
  using std::string_literals::operator""s;
  const std::string nul = "GET /v2/\0/manifests HTTP/1.1\r\nHost: r\r\n\r\n"s;
  for (const std::string& bytes :
       {std::string("\r\n\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET /v2/\r\n\r\n"),
        std::string("GET /v2/ HTTP/9.9\r\n\r\n"), std::string("GET /v2/ HTTP/1.1\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), nul,
        std::string("GET /v2/ HTTP/1.1\nHost r\n\n"), std::string(100'000, 'A'),
        "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\nHost: r\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: r\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n"}) {
    RawConnection connection(port());
    connection.send(bytes);
    ::shutdown(connection.socket(), SHUT_WR);
    const std::string all = connection.read_to_end(milliseconds(5000));
    if (!all.empty()) {
      EXPECT_TRUE(all[9] == '4' || all[9] == '5' || bytes == nul) << bytes.substr(0, 40) << all;
    }
  }
  EXPECT_EQ(get(port(), "/healthz").status, 200);
}

TEST_F(OperationsTest, ALongTargetIs414) {
  EXPECT_EQ(get(port(), "/v2/" + std::string(5000, 'a')).status, 414);
}

TEST_F(OperationsTest, PipelinedRequestsAreAnsweredInOrder) {
  RawConnection connection(port());
  connection.send("GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\nGET " + blob_target(has.large) +
                  " HTTP/1.1\r\nHost: r\r\n\r\nGET /healthz HTTP/1.1\r\nHost: r\r\n\r\n");
  EXPECT_EQ(connection.read_reply().body, "{}");
  EXPECT_EQ(connection.read_reply().body, has.large_layer);
  EXPECT_EQ(connection.read_reply().body, "{\"alive\":true}\n");
}

TEST_F(OperationsTest, SlowAndIdleClientsAreCut) {
  auto options = quick_options();
  options.patience.request = milliseconds(400);
  start(options);
  RawConnection idle(port());
  RawConnection slow(port());
  std::atomic<bool> done{false};
  std::thread dripping([&] {
    slow.send("GET /v2/ HTTP/1.1\r\nHost: r\r\nX: ");
    while (!done) {
      slow.send("a");
      std::this_thread::sleep_for(milliseconds(50));
    }
  });
  EXPECT_TRUE(idle.closed_within(milliseconds(5000)));
  EXPECT_TRUE(slow.closed_within(milliseconds(5000)));
  done = true;
  dripping.join();
  EXPECT_NE(get(port(), "/metrics").body.find("bundle_registry_slow_clients_total 2\n"),
            std::string::npos);
}

TEST_F(OperationsTest, AClientThatDoesNotReadIsCut) {
  ReleaseDraft third = store.draft();
  const auto big = third.blob(std::string(32 << 20, 'z'), oci::media_type::kLayerTarGzip);
  third.name("registry.example.com", "app/server", "big", third.image({big}));
  store.publish(std::move(third), "1.2.0", 3);
  auto options = quick_options();
  options.patience.window = milliseconds(1000);
  start(options);
  RawConnection reader(port());
  reader.send("GET " + blob_target(big) + " HTTP/1.1\r\nHost: r\r\n\r\n");
  // First the reader's connection beside the one that asks, then that one alone.
  for (const auto* held : {"bundle_registry_connections 2\n", "bundle_registry_connections 1\n"}) {
    EXPECT_TRUE(eventually([&] {
      return get(port(), "/metrics").body.find(held) != std::string::npos;
    })) << held;
  }
  EXPECT_LT(reader.read_to_end(milliseconds(1000)).size(), big.size);
}

TEST_F(OperationsTest, OnePeerGetsOnlySoManyConnections) {
  auto options = quick_options();
  options.max_connections_per_peer = 3;
  start(options);
  std::vector<std::unique_ptr<RawConnection>> held;
  for (int i = 0; i < 3; ++i) {
    held.push_back(std::make_unique<RawConnection>(port()));
    held.back()->send("GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n");
    EXPECT_EQ(held.back()->read_reply().status, 200);
  }
  RawConnection fourth(port());
  fourth.send("GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n");
  EXPECT_EQ(fourth.read_reply().status, 0);
  held.clear();
  EXPECT_TRUE(eventually([&] { return get(port(), "/v2/").status == 200; }));
}

TEST_F(OperationsTest, LargeBlobsAreSentWholeAndInParts) {
  std::string content;
  for (int i = 0; content.size() < (9 << 20); ++i) content += std::to_string(i * 7919) + ";";
  ReleaseDraft third = store.draft();
  const auto big = third.blob(content, oci::media_type::kLayerTarGzip);
  third.name("registry.example.com", "app/server", "big", third.image({big}));
  store.publish(std::move(third), "1.2.0", 3);
  const RawReply whole = get(port(), blob_target(big));
  EXPECT_EQ(whole.status, 200);
  EXPECT_TRUE(whole.whole);
  EXPECT_EQ(sha256(as_bytes(whole.body)), big.digest);
  EXPECT_EQ(whole.header("connection"), "");
  EXPECT_EQ(whole.header("docker-content-digest"), big.digest.text());
  EXPECT_EQ(whole.header("accept-ranges"), "bytes");
  EXPECT_EQ(whole.header("docker-distribution-api-version"), "registry/2.0");
  EXPECT_EQ(whole.header("date").substr(whole.header("date").size() - 4), " GMT");
  const RawReply part = get(port(), blob_target(big), {"Range: bytes=1000001-8000000"});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, content.substr(1'000'001, 7'000'000));
  EXPECT_EQ(part.header("content-range"),
            "bytes 1000001-8000000/" + std::to_string(content.size()));
  EXPECT_EQ(request(port(), "HEAD", blob_target(big)).header("content-length"),
            std::to_string(content.size()));

  // The client that says more than one request loses nothing of the first answer, and is told that
  // the rest is not answered.
  RawConnection talkative(port());
  talkative.send("GET " + blob_target(big) + " HTTP/1.1\r\nHost: r\r\n\r\n" +
                 "GET /healthz HTTP/1.1\r\nHost: r\r\n\r\n");
  const RawReply first = talkative.read_reply();
  EXPECT_EQ(sha256(as_bytes(first.body)), big.digest);
  EXPECT_EQ(first.header("connection"), "close");
  EXPECT_TRUE(talkative.closed_within(milliseconds(10'000)));
  RawConnection old(port());
  old.send("GET " + blob_target(big) + " HTTP/1.0\r\nHost: r\r\n\r\n");
  EXPECT_EQ(sha256(as_bytes(old.read_reply().body)), big.digest);
  EXPECT_TRUE(old.closed_within(milliseconds(10'000)));

  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&] {
      if (get(port(), blob_target(big)).body == content) ++good;
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(good, 16);
  // A client that leaves, and a server that leaves.
  for (int i = 0; i < 4; ++i) {
    RawConnection leaving(port());
    leaving.send("GET " + blob_target(big) + " HTTP/1.1\r\nHost: r\r\n\r\n");
  }
  EXPECT_TRUE(eventually([&] {
    return get(port(), "/metrics").body.find("bundle_registry_requests_in_flight 1\n") !=
           std::string::npos;
  }));
  RawConnection held(port());
  held.send("GET " + blob_target(big) + " HTTP/1.1\r\nHost: r\r\n\r\n");
  std::this_thread::sleep_for(milliseconds(50));
  server.reset();
}

TEST_F(OperationsTest, AConnectionGoesOnAfterLargeBlobs) {
  ReleaseDraft third = store.draft();
  const auto big = third.blob(std::string(5 << 20, 'z'), oci::media_type::kLayerTarGzip);
  third.name("registry.example.com", "app/server", "big", third.image({big}));
  store.publish(std::move(third), "1.2.0", 3);
  RawConnection connection(port());
  const auto ask = [&](const std::string& method, const std::string& target) {
    connection.send(method + " " + target + " HTTP/1.1\r\nHost: r\r\nX-Padding: " +
                    std::string(target.size() % 7, 'p') + "\r\n\r\n");
  };
  for (int round = 0; round < 20; ++round) {
    ask("GET", blob_target(big));
    // The next request is there before the answer has gone out.
    ::usleep(static_cast<useconds_t>(round) * 500);
    if (round % 2 == 1) ask("GET", blob_target(has.large));
    const RawReply reply = connection.read_reply();
    ASSERT_EQ(reply.status, 200) << round;
    EXPECT_EQ(reply.header("connection"), "");
    ASSERT_EQ(sha256(as_bytes(reply.body)), big.digest) << round;
    if (round % 2 == 0) ask("GET", blob_target(has.large));
    ASSERT_EQ(connection.read_reply().body, has.large_layer) << round;
    ask("HEAD", blob_target(big));
    ASSERT_EQ(connection.read_reply(/*has_body=*/false).status, 200);
  }
  // One client, whatever the number of connections behind it.
  EXPECT_TRUE(eventually([&] {
    return get(port(), "/metrics").body.find("bundle_registry_connections 2\n") !=
           std::string::npos;
  }));
  // A pause longer than nothing, then on; and the end of the client is seen.
  std::this_thread::sleep_for(milliseconds(300));
  ask("GET", "/healthz");
  EXPECT_EQ(connection.read_reply().status, 200);
}

TEST_F(OperationsTest, DrainingLetsARunningDownloadEnd) {
  ReleaseDraft third = store.draft();
  const auto big = third.blob(std::string(32 << 20, 'z'), oci::media_type::kLayerTarGzip);
  third.name("registry.example.com", "app/server", "big", third.image({big}));
  store.publish(std::move(third), "1.2.0", 3);
  start();
  const std::uint16_t old_port = port();
  RawConnection reader(old_port);
  reader.send("GET " + blob_target(big) + " HTTP/1.1\r\nHost: r\r\n\r\n");
  ASSERT_TRUE(eventually([&] {
    return get(old_port, "/metrics").body.find("bundle_registry_requests_in_flight 2\n") !=
           std::string::npos;
  }));
  bool drained = false;
  std::thread drain([&] { drained = server->drain(milliseconds(20'000)); });
  std::this_thread::sleep_for(milliseconds(100));
  const RawReply reply = reader.read_reply();
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body.size(), big.size);
  drain.join();
  EXPECT_TRUE(drained);
  EXPECT_THROW(RawConnection{old_port}, std::runtime_error);
}

TEST_F(OperationsTest, BadListenAddressesAreRefused) {
  for (const char* address : {"", "5000", ":5000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
                              "127.0.0.1:70000", "::1:5000", "[::1:5000", "no such host:1"}) {
    auto options = quick_options();
    options.listen = address;
    expect_error(ErrorCode::usage, [&] { start(options); });
  }
  auto options = quick_options();
  options.listen = "127.0.0.1:" + std::to_string(port());
  const auto running = std::move(server);
  expect_error(ErrorCode::network, [&] { start(options); });
}

}  // namespace
}  // namespace bundle::testing
