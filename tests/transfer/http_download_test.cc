// Downloads over connections that break.
#include "transfer/http_download.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/scripted_server.h"

namespace bundle::transfer {
namespace {

using namespace std::chrono_literals;
using testing::expect_error;
using testing::ReceivedRequest;
using testing::ScriptedReply;
using testing::ScriptedServer;

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 253);
  return text;
}

// A server of one content; `bend` changes the answer to the n-th request (from 1).
class RangeServer {
 public:
  using Bend = std::function<void(int, const ReceivedRequest&, ScriptedReply&)>;

  RangeServer(std::string content, Bend bend)
      : content_(std::move(content)),
        bend_(std::move(bend)),
        server_([this](const ReceivedRequest& request) { return answer(request); }) {}

  std::string content_;
  ScriptedServer& server() { return server_; }

  std::unique_ptr<Source> download(bool digest_follows, std::optional<std::uint64_t> size = {},
                                   int max_cuts = 5) {
    DownloadOptions options;
    options.request.url = server_.url("/blob");
    options.send = [this](const HttpRequest& request) { return client_.send(request); };
    options.what = "blob x";
    options.size = size;
    options.digest_follows = digest_follows;
    options.max_cuts = max_cuts;
    options.backoff_base = 5ms;
    auto first = options.send(options.request);
    return resume_download(std::move(options), std::move(first));
  }

  std::string read(bool digest_follows, std::optional<std::uint64_t> size = {}, int max_cuts = 5) {
    const Bytes bytes = read_all(*download(digest_follows, size, max_cuts), 1 << 26, "blob");
    return std::string(as_text(bytes));
  }

 private:
  static HttpOptions quick() {
    HttpOptions options;
    options.stall_timeout = 300ms;
    options.backoff_base = 5ms;
    options.max_attempts = 2;
    return options;
  }

  ScriptedReply answer(const ReceivedRequest& request) {
    ScriptedReply reply;
    reply.headers = {"ETag: \"v1\""};
    reply.body = content_;
    const std::string range = request.header("range");
    if (range.starts_with("bytes=")) {
      const std::size_t first = std::stoul(range.substr(6));
      reply.status = first < content_.size() ? 206 : 416;
      reply.body = first < content_.size() ? content_.substr(first) : "";
      reply.headers.push_back("Content-Range: bytes " + std::to_string(first) + "-" +
                              std::to_string(content_.size() - 1) + "/" +
                              std::to_string(content_.size()));
    }
    bend_(++calls_, request, reply);
    return reply;
  }

  Bend bend_;
  std::atomic<int> calls_{0};
  HttpClient client_{quick()};
  ScriptedServer server_;
};

void ignore_range(ScriptedReply& reply, const std::string& content) {
  reply.status = 200;
  reply.body = content;
  reply.headers = {"ETag: \"v1\""};
}

TEST(HttpDownload, ContinuesAfterCuts) {
  RangeServer server(pattern(1'000'000),
                     [](int call, const ReceivedRequest&, ScriptedReply& reply) {
                       if (call < 8) reply.cut_after = 100'000;
                     });
  EXPECT_TRUE(server.read(false) == server.content_);
  const auto requests = server.server().requests();
  ASSERT_EQ(requests.size(), 8U);
  EXPECT_EQ(requests.at(0).header("range"), "");
  EXPECT_EQ(requests.at(1).header("range"), "bytes=100000-");
  EXPECT_EQ(requests.at(1).header("if-range"), "\"v1\"");
  EXPECT_EQ(requests.at(7).header("range"), "bytes=700000-");
}

TEST(HttpDownload, ContinuesAfterAStall) {
  RangeServer server(pattern(300'000), [](int call, const ReceivedRequest&, ScriptedReply& reply) {
    if (call == 1) reply.stall_after = 150'000;
  });
  EXPECT_TRUE(server.read(true, 300'000) == server.content_);
}

TEST(HttpDownload, ContinuesAfterAnErrorOnTheWay) {
  RangeServer server(pattern(200'000), [](int call, const ReceivedRequest&, ScriptedReply& reply) {
    if (call == 1) reply.cut_after = 90'000;
    if (call == 2) reply = ScriptedReply{.status = 503, .headers = {}, .body = ""};
  });
  EXPECT_TRUE(server.read(true, 200'000) == server.content_);
}

TEST(HttpDownload, StartsAgainWhenRangeIsIgnored) {
  std::string content = pattern(400'000);
  RangeServer server(content, [&](int call, const ReceivedRequest&, ScriptedReply& reply) {
    ignore_range(reply, content);
    if (call == 1) reply.cut_after = 150'000;
    if (call == 2) reply.cut_after = 100'000;  // cut again within the part that is known
    if (call == 3) reply.cut_after = 300'000;
  });
  EXPECT_TRUE(server.read(false) == content);
}

TEST(HttpDownload, ShortPartsAreContinued) {
  const std::string content = pattern(300'000);
  RangeServer server(content, [&](int call, const ReceivedRequest&, ScriptedReply& reply) {
    if (call == 1) reply.cut_after = 100'000;
    if (call == 2) {  // a proper 206 that ends early
      reply.body.resize(100'000);
      reply.headers = {"ETag: \"v1\"", "Content-Range: bytes 100000-199999/300000"};
    }
  });
  EXPECT_TRUE(server.read(false) == content);
  EXPECT_EQ(server.server().requests().back().header("range"), "bytes=200000-");
}

TEST(HttpDownload, AStrongerPromiseIsNeededWithoutADigest) {
  for (const char* tag : {"", "ETag: W/\"v1\"", "ETag: v1"}) {
    const auto bend = [tag](int call, const ReceivedRequest&, ScriptedReply& reply) {
      reply.headers.erase(reply.headers.begin());
      if (*tag != '\0') reply.headers.emplace_back(tag);
      if (call == 1) reply.cut_after = 100'000;
    };
    RangeServer without(pattern(200'000), bend);
    expect_error(ErrorCode::network, [&] { without.read(false); });
    RangeServer with(pattern(200'000), bend);
    EXPECT_TRUE(with.read(true, 200'000) == with.content_);
    EXPECT_EQ(with.server().requests().at(1).header("if-range"), "");
  }
}

TEST(HttpDownload, ChangedContentIsNeverMixed) {
  // By If-Range: the server answers 200 with new content.
  RangeServer whole(pattern(200'000), [](int call, const ReceivedRequest&, ScriptedReply& reply) {
    if (call == 1) reply.cut_after = 100'000;
    if (call == 2) {
      reply = ScriptedReply{.status = 200, .headers = {"ETag: \"v2\""}, .body = pattern(200'000)};
    }
  });
  expect_error(ErrorCode::blob_mismatch, [&] { whole.read(false); });
  // Against the rules: 206 with another tag, or of another size.
  for (const int kind : {0, 1, 2}) {
    RangeServer part(pattern(200'000), [&](int call, const ReceivedRequest&, ScriptedReply& reply) {
      if (call == 1) reply.cut_after = 100'000;
      if (call != 2) return;
      if (kind == 0) reply.headers.at(0) = "ETag: \"v2\"";
      if (kind == 1) reply.headers.at(1) = "Content-Range: bytes 100000-299999/300000";
      if (kind == 2) reply.headers.at(1) = "Content-Range: bytes 100000-299999/*";
    });
    expect_error(ErrorCode::blob_mismatch, [&] { part.read(false); });
  }
  // The content got shorter: 416.
  RangeServer gone(pattern(200'000), [](int call, const ReceivedRequest&, ScriptedReply& reply) {
    if (call == 1) reply.cut_after = 100'000;
    if (call == 2) reply = ScriptedReply{.status = 416, .headers = {}, .body = ""};
  });
  expect_error(ErrorCode::blob_mismatch, [&] { gone.read(true, 200'000); });
}

TEST(HttpDownload, WrongPartIsRefused) {
  for (const char* range :
       {"bytes 0-199999/200000", "bytes 100001-199999/200000", "nonsense", ""}) {
    RangeServer server(pattern(200'000),
                       [range](int call, const ReceivedRequest&, ScriptedReply& reply) {
                         if (call == 1) reply.cut_after = 100'000;
                         if (call == 2) reply.headers = {std::string("Content-Range: ") + range};
                       });
    expect_error(ErrorCode::http_status, [&] { server.read(true, 200'000); });
  }
}

TEST(HttpDownload, GivesUpWithoutProgress) {
  RangeServer server(pattern(200'000), [](int, const ReceivedRequest&, ScriptedReply& reply) {
    reply.cut_after = 10;
  });
  expect_error(ErrorCode::network, [&] { server.read(true, 200'000, 4); });
  EXPECT_EQ(server.server().requests().size(), 4U);
}

TEST(HttpDownload, LiesAboutTheLength) {
  RangeServer server(pattern(100'000), [](int, const ReceivedRequest&, ScriptedReply&) {});
  expect_error(ErrorCode::blob_mismatch, [&] { server.read(true, 99'999); });
  expect_error(ErrorCode::blob_mismatch, [&] { server.read(true, 100'001); });
  // No Content-Length at all, and more bytes than the descriptor says.
  RangeServer open_end(pattern(100'000), [](int, const ReceivedRequest&, ScriptedReply& reply) {
    reply.length_header = false;
  });
  expect_error(ErrorCode::blob_mismatch, [&] { open_end.read(true, 99'999); });
  EXPECT_TRUE(open_end.read(true, 100'000) == open_end.content_);
  EXPECT_TRUE(open_end.read(false) == open_end.content_);
  // Announces more than it sends, again and again.
  RangeServer liar(pattern(1'000), [](int, const ReceivedRequest& request, ScriptedReply& reply) {
    if (request.header("range").empty()) reply.headers.emplace_back("Content-Length: 5000");
    reply.cut_after = 1'000;
  });
  expect_error(ErrorCode::blob_mismatch, [&] { liar.read(true, 5'000); });
}

TEST(HttpDownload, EndlessBodyStopsAtTheSize) {
  RangeServer server(pattern(100'000), [](int, const ReceivedRequest&, ScriptedReply& reply) {
    reply.endless = true;
  });
  expect_error(ErrorCode::blob_mismatch, [&] { server.read(true, 250'000); });
}

TEST(HttpDownload, AnErrorStatusEndsIt) {
  RangeServer server(pattern(200'000), [](int call, const ReceivedRequest&, ScriptedReply& reply) {
    if (call == 1) reply.cut_after = 100'000;
    if (call == 2) reply = ScriptedReply{.status = 403, .headers = {}, .body = ""};
  });
  expect_error(ErrorCode::auth_failed, [&] { server.read(true, 200'000); });
}

TEST(HttpDownload, EmptyContent) {
  RangeServer server("", [](int, const ReceivedRequest&, ScriptedReply&) {});
  EXPECT_EQ(server.read(true, 0), "");
}

}  // namespace
}  // namespace bundle::transfer
