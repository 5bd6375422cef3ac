// What a hostile server can do; docs/threat-model.md, "On the network".
#include <gtest/gtest.h>

#include <functional>

#include "support/attack_table.h"
#include "support/expect_error.h"
#include "support/scripted_server.h"
#include "transfer/http_download.h"

namespace bundle::transfer {
namespace {

using namespace std::chrono_literals;
using testing::ReceivedRequest;
using testing::ScriptedReply;
using testing::ScriptedServer;

// Reads a blob of 1000 bytes from a server that answers with `reply`.
void fetch_blob(const std::function<ScriptedReply(const ReceivedRequest&)>& reply) {
  ScriptedServer server(reply);
  HttpOptions http;
  http.stall_timeout = 300ms;
  http.backoff_base = 5ms;
  http.max_attempts = 2;
  HttpClient client(http);
  DownloadOptions options;
  options.request.url = server.url("/blob");
  options.send = [&](const HttpRequest& request) { return client.send(request); };
  options.what = "blob x";
  options.size = 1000;
  options.digest_follows = true;
  options.max_cuts = 2;
  options.backoff_base = 5ms;
  auto first = options.send(options.request);
  read_all(*resume_download(std::move(options), std::move(first)), 1000, "blob x");
}

ScriptedReply text(std::string body) {
  ScriptedReply reply;
  reply.body = std::move(body);
  return reply;
}

struct Attack {
  std::string_view name;
  ErrorCode answer;
  std::function<ScriptedReply(const ReceivedRequest&)> reply;
};

const std::vector<Attack>& attacks() {
  using enum ErrorCode;
  static const std::vector<Attack> table = {
      {"endless data: more than the blob has", blob_mismatch,
       [](const ReceivedRequest&) {
         ScriptedReply reply = text(std::string(1 << 16, 'x'));
         reply.endless = true;
         return reply;
       }},
      {"endless data: headers without end", limit,
       [](const ReceivedRequest&) {
         ScriptedReply reply;
         reply.raw = "HTTP/1.1 200 OK\r\n";
         for (int i = 0; i < 5000; ++i) reply.raw += "X-" + std::to_string(i) + ": y\r\n";
         return reply;
       }},
      {"slow retrieval: a server that falls silent", timeout,
       [](const ReceivedRequest&) {
         ScriptedReply reply = text(std::string(1000, 'x'));
         reply.stall_after = 10;
         return reply;
       }},
      {"slow retrieval: a server that drips", timeout,
       [](const ReceivedRequest&) {
         ScriptedReply reply = text(std::string(1000, 'x'));
         reply.drip = true;
         return reply;
       }},
      {"redirects without end", http_status,
       [](const ReceivedRequest&) {
         ScriptedReply reply;
         reply.status = 302;
         reply.headers = {"Location: /blob"};
         return reply;
       }},
  };
  return table;
}

TEST(NetworkAttack, EachIsRefusedWithItsCode) {
  for (const Attack& attack : attacks()) {
    SCOPED_TRACE(attack.name);
    const auto start = std::chrono::steady_clock::now();
    const Error error = testing::expect_error(attack.answer, [&] { fetch_blob(attack.reply); });
    EXPECT_FALSE(error.hint().empty()) << error.message();
    EXPECT_LT(std::chrono::steady_clock::now() - start, 20s);
  }
}

// The same steps let an honest server through.
TEST(NetworkAttack, AnHonestServerPasses) {
  fetch_blob([](const ReceivedRequest&) { return text(std::string(1000, 'x')); });
}

TEST(NetworkAttack, TableInTheDocumentIsThisTable) {
  std::vector<std::string> tested;
  for (const Attack& attack : attacks())
    tested.push_back(testing::attack_row(attack.name, attack.answer));
  EXPECT_EQ(testing::documented_attacks("network"), tested);
}

}  // namespace
}  // namespace bundle::transfer
