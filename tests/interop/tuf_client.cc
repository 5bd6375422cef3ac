// The command line that theupdateframework/tuf-conformance drives (its CLIENT-CLI.md), over our
// verifier: init and refresh of trust roots. What stands behind the root in TUF (timestamp,
// snapshot and targets metadata) has no counterpart here and is not fetched.
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "bundle/error.h"
#include "transfer/http_client.h"
#include "trust/limits.h"
#include "trust/trust_root.h"

namespace {

using namespace bundle;

struct Arguments {
  std::map<std::string, std::string> options;
  std::vector<std::string> words;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with("--") && i + 1 < argc) {
      arguments.options[word] = argv[++i];
    } else {
      arguments.words.push_back(word);
    }
  }
  return arguments;
}

// Empty when the server has no such file.
std::string fetch(transfer::HttpClient& client, const std::string& url) {
  transfer::HttpRequest request;
  request.url = url;
  request.max_response_bytes = trust::kMaxRootBytes + 1;
  const auto response = client.send(request);
  if (response->status() != 200) return {};
  std::string body;
  Bytes buffer(64 * 1024);
  while (const std::size_t count = response->read(buffer)) {
    body.append(as_text(ByteView(buffer).first(count)));
  }
  return body;
}

void init(const Path& metadata, const std::string& file) {
  const std::string text = read_text_file(posix_file_system(), file, trust::kMaxRootBytes);
  trust::TrustRoot::parse(text, file);
  write_file_atomically(posix_file_system(), metadata / "root.json", as_bytes(text));
}

void refresh(const Path& metadata, std::string url) {
  if (!url.ends_with('/')) url += '/';
  FileSystem& fs = posix_file_system();
  const Path path = metadata / "root.json";
  auto root =
      trust::TrustRoot::parse(read_text_file(fs, path, trust::kMaxRootBytes), path.string());
  transfer::HttpOptions options;
  options.max_attempts = 1;
  transfer::HttpClient client(options);
  for (;;) {
    const std::string name = std::to_string(root.version() + 1) + ".root.json";
    const std::string next = fetch(client, url + name);
    if (next.empty()) break;
    root = root.update(next, name);
    write_file_atomically(fs, path, as_bytes(root.raw()));
  }
  root.require_unexpired(current_time());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Arguments call = parse(argc, argv);
    const Path metadata = call.options.at("--metadata-dir");
    if (call.words.at(0) == "init") {
      init(metadata, call.words.at(1));
    } else {
      refresh(metadata, call.options.at("--metadata-url"));
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
