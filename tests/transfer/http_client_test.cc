// The client against a server that does what servers and networks really do wrong.
#include "transfer/http_client.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/expect_error.h"
#include "support/scripted_server.h"
#include "transfer/http_error.h"

namespace bundle::transfer {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing::expect_error;
using testing::ReceivedRequest;
using testing::ScriptedReply;
using testing::ScriptedServer;

HttpOptions quick() {
  HttpOptions options;
  options.connect_timeout = 2s;
  options.stall_timeout = 400ms;
  options.backoff_base = 10ms;
  options.backoff_max = 40ms;
  options.retry_after_max = 300ms;
  options.max_attempts = 3;
  return options;
}

HttpRequest get(const std::string& url) {
  HttpRequest request;
  request.url = url;
  return request;
}

std::string body_of(HttpResponse& response) {
  const Bytes bytes = read_all(response, 64 * 1024 * 1024, "body");
  return std::string(as_text(bytes));
}

ScriptedReply text(int status, std::string body) {
  ScriptedReply reply;
  reply.status = status;
  reply.body = std::move(body);
  return reply;
}

ScriptedReply redirect(const std::string& to, int status = 307) {
  ScriptedReply reply = text(status, "moved");
  reply.headers = {"Location: " + to};
  return reply;
}

TEST(HttpClient, GetsBodyAndHeaders) {
  ScriptedServer server([](const ReceivedRequest&) {
    ScriptedReply reply = text(200, "hello");
    reply.headers = {"X-One: 1", "x-one: 2", "Content-Type: text/plain"};
    return reply;
  });
  HttpClient client(quick());
  HttpRequest request = get(server.url("/a?b=c"));
  request.headers.add("X-Mine", "yes");
  const auto response = client.send(request);
  EXPECT_EQ(response->status(), 200);
  EXPECT_EQ(response->headers().find("content-TYPE"), "text/plain");
  EXPECT_EQ(response->headers().find_all("X-ONE").size(), 2U);
  EXPECT_EQ(response->content_length(), 5U);
  EXPECT_EQ(body_of(*response), "hello");
  EXPECT_EQ(server.requests().at(0).target, "/a?b=c");
  EXPECT_EQ(server.requests().at(0).header("x-mine"), "yes");
}

TEST(HttpClient, StreamsALargeBodyToASlowReader) {
  std::string big(3'000'000, '\0');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 7 + i / 251);
  ScriptedServer server([&](const ReceivedRequest&) { return text(200, big); });
  HttpClient client(quick());
  const auto response = client.send(get(server.url("/")));
  std::string have;
  Bytes buffer(100'003);
  while (const std::size_t count = response->read(buffer)) {
    have.append(as_text(ByteView(buffer).first(count)));
    // The reader pauses longer than the stall limit once: that is not the server's fault.
    if (have.size() == count) std::this_thread::sleep_for(600ms);
  }
  EXPECT_TRUE(have == big);
}

TEST(HttpClient, HeadHasNoBody) {
  ScriptedServer server([](const ReceivedRequest&) {
    ScriptedReply reply;
    reply.headers = {"Content-Length: 1234"};
    return reply;
  });
  HttpClient client(quick());
  HttpRequest request = get(server.url("/"));
  request.method = "HEAD";
  const auto response = client.send(request);
  EXPECT_EQ(response->content_length(), 1234U);
  EXPECT_EQ(body_of(*response), "");
}

TEST(HttpClient, SendsBodies) {
  ScriptedServer server([](const ReceivedRequest& request) { return text(201, request.body); });
  HttpClient client(quick());
  for (const char* method : {"PUT", "POST", "PATCH"}) {
    HttpRequest request = get(server.url("/"));
    request.method = method;
    request.body = HttpBody::text(std::string(100'000, 'p'));
    const auto response = client.send(request);
    EXPECT_EQ(response->status(), 201);
    EXPECT_EQ(body_of(*response).size(), 100'000U);
    EXPECT_EQ(server.requests().back().method, method);
  }
  HttpRequest request = get(server.url("/"));
  request.method = "POST";
  EXPECT_EQ(client.send(request)->status(), 201);
  EXPECT_EQ(server.requests().back().header("content-length"), "0");
  request.method = "DELETE";
  EXPECT_EQ(client.send(request)->status(), 201);
  EXPECT_EQ(server.requests().back().method, "DELETE");
}

TEST(HttpClient, SendsABodyAgainAfterARefusal) {
  std::atomic<int> calls{0};
  ScriptedServer server([&](const ReceivedRequest& request) {
    return ++calls == 1 ? text(503, "") : text(200, request.body);
  });
  HttpClient client(quick());
  HttpRequest request = get(server.url("/"));
  request.method = "PUT";
  request.body = HttpBody::text("all of it");
  EXPECT_EQ(body_of(*client.send(request)), "all of it");
}

TEST(HttpClient, PassesOnAnErrorOfTheBody) {
  ScriptedServer server([](const ReceivedRequest&) { return text(200, ""); });
  struct Broken final : Source {
    std::size_t read(std::span<std::uint8_t>) override {
      throw Error(ErrorCode::media_unreadable, "stick is gone", "Plug it in.");
    }
  };
  HttpClient client(quick());
  HttpRequest request = get(server.url("/"));
  request.method = "PUT";
  request.body = HttpBody{10, [] { return std::make_unique<Broken>(); }};
  expect_error(ErrorCode::media_unreadable, [&] { client.send(request); });
}

TEST(HttpClient, ReusesConnections) {
  ScriptedServer server([](const ReceivedRequest&) { return text(200, "x"); });
  HttpClient client(quick());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(body_of(*client.send(get(server.url("/")))), "x");
  EXPECT_EQ(server.connections(), 1U);
}

TEST(HttpClient, ServesManyThreads) {
  ScriptedServer server([](const ReceivedRequest& request) { return text(200, request.target); });
  HttpClient client(quick());
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const std::string target = "/" + std::to_string(t) + "/" + std::to_string(i);
        if (body_of(*client.send(get(server.url(target)))) == target) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 160);
}

TEST(HttpClient, RetriesWhatMayPass) {
  for (const int status : {429, 502, 503, 504}) {
    std::atomic<int> calls{0};
    ScriptedServer server([&](const ReceivedRequest&) {
      return ++calls < 3 ? text(status, "busy") : text(200, "done");
    });
    HttpClient client(quick());
    EXPECT_EQ(body_of(*client.send(get(server.url("/")))), "done") << status;
    EXPECT_EQ(calls, 3);
  }
}

TEST(HttpClient, ReturnsTheStatusWhenAttemptsAreUsedUp) {
  ScriptedServer server([](const ReceivedRequest&) {
    return text(429, R"({"errors":[{"code":"TOOMANYREQUESTS","message":"pull limit"}]})");
  });
  HttpClient client(quick());
  const auto response = client.send(get(server.url("/v2/x?token=secret")));
  EXPECT_EQ(response->status(), 429);
  EXPECT_EQ(server.requests().size(), 3U);
  const Error error =
      expect_error(ErrorCode::http_status, [&] { throw_status(*response, "get the thing"); });
  EXPECT_NE(error.message().find("TOOMANYREQUESTS: pull limit"), std::string::npos);
  EXPECT_NE(error.message().find("get the thing"), std::string::npos);
  EXPECT_EQ(error.message().find("secret"), std::string::npos);
}

TEST(HttpClient, DoesNotRetryWhatWillNotPass) {
  for (const int status : {400, 401, 403, 404, 500, 501}) {
    ScriptedServer server([&](const ReceivedRequest&) { return text(status, ""); });
    HttpClient client(quick());
    EXPECT_EQ(client.send(get(server.url("/")))->status(), status);
    EXPECT_EQ(server.requests().size(), 1U);
  }
}

TEST(HttpClient, PostIsNotRepeatedAfterABadGateway) {
  ScriptedServer server([](const ReceivedRequest&) { return text(502, ""); });
  HttpClient client(quick());
  HttpRequest request = get(server.url("/"));
  request.method = "POST";
  EXPECT_EQ(client.send(request)->status(), 502);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(HttpClient, HonoursRetryAfterUpToTheCap) {
  std::atomic<int> calls{0};
  ScriptedServer server([&](const ReceivedRequest&) {
    if (++calls > 1) return text(200, "done");
    ScriptedReply reply = text(429, "");
    reply.headers = {"Retry-After: 3600"};
    return reply;
  });
  HttpOptions options = quick();
  std::string told;
  options.on_wait = [&](const std::string& what) { told = what; };
  HttpClient client(options);
  const auto start = steady_clock::now();
  EXPECT_EQ(body_of(*client.send(get(server.url("/")))), "done");
  EXPECT_GE(steady_clock::now() - start, 300ms);  // the cap of quick(), not an hour
  EXPECT_LT(steady_clock::now() - start, 5s);
  EXPECT_NE(told.find("429"), std::string::npos);
}

TEST(HttpClient, RetryAfterHoldsBackOtherRequestsToo) {
  std::atomic<int> calls{0};
  ScriptedServer server([&](const ReceivedRequest&) {
    if (++calls > 1) return text(200, "done");
    ScriptedReply reply = text(429, "");
    reply.headers = {"Retry-After: 1"};
    return reply;
  });
  HttpOptions options = quick();
  options.retry_after_max = 500ms;
  HttpClient client(options);
  std::thread first([&] { client.send(get(server.url("/first"))); });
  while (calls == 0) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(50ms);
  const auto start = steady_clock::now();
  EXPECT_EQ(client.send(get(server.url("/second")))->status(), 200);
  EXPECT_GE(steady_clock::now() - start, 300ms);
  first.join();
}

TEST(HttpClient, RetriesACutHeader) {
  std::atomic<int> calls{0};
  ScriptedServer server([&](const ReceivedRequest&) {
    if (++calls > 2) return text(200, "done");
    ScriptedReply reply;
    reply.raw = calls == 1 ? "HTTP/1.1 200 OK\r\nContent-Le" : "HTTP/1.1 ";
    return reply;
  });
  HttpClient client(quick());
  EXPECT_EQ(body_of(*client.send(get(server.url("/")))), "done");
}

TEST(HttpClient, RefusedConnectionIsANetworkError) {
  std::uint16_t port = 0;
  {
    const ScriptedServer gone([](const ReceivedRequest&) { return ScriptedReply{}; });
    port = gone.port();
  }
  HttpClient client(quick());
  const Error error = expect_error(ErrorCode::network, [&] {
    client.send(get("http://127.0.0.1:" + std::to_string(port) + "/x?sig=secret"));
  });
  EXPECT_NE(error.message().find("http://127.0.0.1:"), std::string::npos);
  EXPECT_EQ(error.message().find("secret"), std::string::npos);
}

TEST(HttpClient, CutBodyIsANetworkError) {
  ScriptedServer server([](const ReceivedRequest&) {
    ScriptedReply reply = text(200, std::string(1000, 'x'));
    reply.cut_after = 500;
    return reply;
  });
  HttpClient client(quick());
  const auto response = client.send(get(server.url("/")));
  expect_error(ErrorCode::network, [&] { body_of(*response); });
}

TEST(HttpClient, StallIsATimeout) {
  for (const std::size_t after : {std::size_t{0}, std::size_t{500}}) {
    ScriptedServer server([after](const ReceivedRequest&) {
      ScriptedReply reply = text(200, std::string(1000, 'x'));
      reply.stall_after = after;
      return reply;
    });
    HttpClient client(quick());
    const auto response = client.send(get(server.url("/")));
    const auto start = steady_clock::now();
    expect_error(ErrorCode::timeout, [&] { body_of(*response); });
    EXPECT_LT(steady_clock::now() - start, 5s);
  }
}

TEST(HttpClient, SlowButSteadyIsNoTimeout) {
  ScriptedServer server([](const ReceivedRequest& request) {
    if (request.target == "/") std::this_thread::sleep_for(250ms);
    return text(200, "x");
  });
  HttpClient client(quick());
  const auto start = steady_clock::now();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(body_of(*client.send(get(server.url("/")))), "x");
  EXPECT_GT(steady_clock::now() - start, 400ms);  // longer than the stall limit in total
}

TEST(HttpClient, CancelEndsAWait) {
  ScriptedServer server([](const ReceivedRequest&) {
    ScriptedReply reply = text(200, "1234");
    reply.stall_after = 1;
    return reply;
  });
  Cancel cancel;
  HttpOptions options = quick();
  options.stall_timeout = 60s;
  options.cancel = &cancel;
  HttpClient client(options);
  const auto response = client.send(get(server.url("/")));
  std::thread later([&] {
    std::this_thread::sleep_for(100ms);
    cancel.request();
  });
  const auto error = testing::error_of([&] { body_of(*response); });
  later.join();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::cancelled);
}

TEST(HttpClient, EndlessBodyMeetsTheLimit) {
  ScriptedServer server([](const ReceivedRequest&) {
    ScriptedReply reply = text(200, std::string(50'000, 'x'));
    reply.endless = true;
    return reply;
  });
  HttpClient client(quick());
  HttpRequest request = get(server.url("/"));
  request.max_response_bytes = 1'000'000;
  const auto response = client.send(request);
  expect_error(ErrorCode::limit, [&] { body_of(*response); });
}

TEST(HttpClient, EndlessHeadersMeetTheLimit) {
  for (const bool many : {true, false}) {
    ScriptedServer server([many](const ReceivedRequest&) {
      ScriptedReply reply;
      reply.raw = "HTTP/1.1 200 OK\r\n";
      const std::string line = "X: " + std::string(many ? 1 : 5000, 'x') + "\r\n";
      for (int i = 0; i < (many ? 1000 : 30); ++i) reply.raw += line;
      return reply;
    });
    HttpClient client(quick());
    expect_error(ErrorCode::limit, [&] { client.send(get(server.url("/"))); });
  }
}

TEST(HttpClient, NoHttpAtAll) {
  ScriptedServer server([](const ReceivedRequest&) {
    ScriptedReply reply;
    reply.raw = "SSH-2.0-OpenSSH_9.2\r\n";
    return reply;
  });
  HttpClient client(quick());
  expect_error(ErrorCode::network, [&] { client.send(get(server.url("/"))); });
}

TEST(HttpClient, AHeaderCannotBeSmuggledIn) {
  HttpClient client(quick());
  HttpRequest request = get("http://127.0.0.1:1/");
  request.headers.add("X", "a\r\nAuthorization: b");
  expect_error(ErrorCode::usage, [&] { client.send(request); });
}

// ---- redirects

TEST(HttpRedirect, KeepsCredentialsWithinTheOrigin) {
  ScriptedServer server([](const ReceivedRequest& request) {
    return request.target == "/a" ? redirect("/b") : text(200, request.header("authorization"));
  });
  HttpClient client(quick());
  HttpRequest request = get(server.url("/a"));
  request.headers.add("Authorization", "Basic c2VjcmV0");
  const auto response = client.send(request);
  EXPECT_EQ(response->url().path(), "/b");
  EXPECT_EQ(body_of(*response), "Basic c2VjcmV0");
}

TEST(HttpRedirect, DropsCredentialsForAnotherOriginForGood) {
  ScriptedServer* origin_ptr = nullptr;
  ScriptedServer other(
      [&](const ReceivedRequest&) { return redirect(origin_ptr->url("/back"), 302); });
  ScriptedServer origin([&](const ReceivedRequest& request) {
    return request.target == "/a" ? redirect(other.url("/x")) : text(200, "end");
  });
  origin_ptr = &origin;
  HttpClient client(quick());
  HttpRequest request = get(origin.url("/a"));
  request.headers.add("authorization", "Bearer t");
  request.headers.add("Cookie", "c=1");
  request.headers.add("Accept", "text/plain");
  EXPECT_EQ(body_of(*client.send(request)), "end");
  EXPECT_EQ(origin.requests().at(0).header("authorization"), "Bearer t");
  EXPECT_EQ(other.requests().at(0).header("authorization"), "");
  EXPECT_EQ(other.requests().at(0).header("cookie"), "");
  EXPECT_EQ(other.requests().at(0).header("accept"), "text/plain");
  EXPECT_EQ(origin.requests().at(1).header("authorization"), "");
}

TEST(HttpRedirect, LoopsEnd) {
  ScriptedServer server([](const ReceivedRequest&) { return redirect("/again"); });
  HttpClient client(quick());
  expect_error(ErrorCode::http_status, [&] { client.send(get(server.url("/"))); });
  EXPECT_EQ(server.requests().size(), 6U);  // the first and five redirects
}

TEST(HttpRedirect, OtherSchemesAndPasswordsAreRefused) {
  for (const char* to : {"file:///etc/passwd", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/",
                         "http://127.0.0.1:99999/", "gopher://127.0.0.1:70/_x"}) {
    ScriptedServer server([to](const ReceivedRequest&) { return redirect(to); });
    HttpClient client(quick());
    expect_error(ErrorCode::http_status, [&] { client.send(get(server.url("/"))); });
  }
}

TEST(HttpRedirect, OnlyGetAndHeadFollow) {
  ScriptedServer server([](const ReceivedRequest&) { return redirect("/b"); });
  HttpClient client(quick());
  HttpRequest request = get(server.url("/a"));
  request.method = "PUT";
  request.body = HttpBody::text("x");
  EXPECT_EQ(client.send(request)->status(), 307);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(HttpRedirect, WithoutLocationIsAnAnswer) {
  ScriptedServer server([](const ReceivedRequest&) { return text(302, "?"); });
  HttpClient client(quick());
  EXPECT_EQ(client.send(get(server.url("/")))->status(), 302);
}

}  // namespace
}  // namespace bundle::transfer
