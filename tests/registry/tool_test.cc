// The program itself: exit codes, messages, signals.
#include <gtest/gtest.h>

#include "bundle/error.h"
#include "codec/json.h"
#include "registry/served_store.h"
#include "support/child_process.h"

namespace bundle::testing {
namespace {

const std::string kTool = BUNDLE_REGISTRY_TOOL;

ProgramResult run_tool(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), kTool);
  return run_program(arguments);
}

TEST(RegistryTool, HelpShowsExamples) {
  const auto help = run_tool({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.output.find("--tls-cert"), std::string::npos);
  EXPECT_NE(help.output.find("Examples:"), std::string::npos);
}

TEST(RegistryTool, MistakesHaveAMessageAHintAndACode) {
  const TempDirectory empty;
  const std::string folder = empty.path().string();
  const std::vector<std::pair<std::vector<std::string>, ErrorCode>> cases{
      {{}, ErrorCode::usage},
      {{"push"}, ErrorCode::usage},
      {{"serve"}, ErrorCode::usage},
      {{"serve", "extra", "--store", folder}, ErrorCode::usage},
      {{"serve", "--store", folder, "--no-such-option"}, ErrorCode::usage},
      {{"serve", "--store", folder, "--tls-cert", "x"}, ErrorCode::usage},
      {{"serve", "--store", folder, "--client-timeout", "0"}, ErrorCode::usage},
      {{"serve", "--store", folder}, ErrorCode::store_invalid},
      {{"serve", "--store", folder + "/absent"}, ErrorCode::store_invalid}};
  for (const auto& [arguments, code] : cases) {
    const auto result = run_tool(arguments);
    EXPECT_EQ(result.status, exit_status(code)) << result.output;
    EXPECT_EQ(result.output.rfind("bundle-registry: error: ", 0), 0u) << result.output;
    EXPECT_NE(result.output.find("\n  next: "), std::string::npos) << result.output;
  }
}

TEST(RegistryTool, ServesUntilSigtermAndReadsTheCertificateOnSighup) {
  const TestStore store;
  fill(store);
  const TempDirectory files;
  const std::string script =
      "cd " + files.path().string() + "\n" + kTool + " serve --store " + store.root().string() +
      " --listen 127.0.0.1:0 --port-file port --json 2>log &\n"
      "pid=$!\n"
      "for i in $(seq 200); do [ -s port ] && break; sleep 0.05; done\n"
      "curl -sS http://127.0.0.1:$(cat port)/v2/\n"
      "kill -HUP $pid\n"
      "for i in $(seq 200); do grep -q 'rules read again' log && break; sleep 0.05; done\n"
      "curl -sS http://127.0.0.1:$(cat port)/v2/\n"
      "kill -TERM $pid; wait $pid; echo \" exit $?\"\n";
  const auto result = run_program({"sh", "-c", script});
  EXPECT_EQ(result.output, "{}{} exit 0\n");
  const std::string log = read_text_file(posix_file_system(), files / "log", 1 << 20);
  std::size_t requests = 0;
  for (std::size_t at = 0; at < log.size();) {
    const std::size_t end = log.find('\n', at);
    const auto line = codec::parse_json(log.substr(at, end - at), "log line");
    requests += line.at("event").as_string() == "request" ? 1 : 0;
    at = end + 1;
  }
  EXPECT_EQ(requests, 2u);
}

}  // namespace
}  // namespace bundle::testing
