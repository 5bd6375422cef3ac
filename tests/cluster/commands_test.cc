#include "cluster/commands.h"

#include <gtest/gtest.h>

#include "bundle/error.h"

namespace bundle::cluster {
namespace {

release::K3sSettings settings() {
  release::K3sSettings settings;
  settings.commands = release::default_k3s_commands();
  settings.time_limit = std::chrono::seconds(2);
  return settings;
}

TEST(Commands, PlaceholdersAreFilled) {
  const Cancel cancel;
  const CommandRunner runner(settings(), silent_progress(), cancel);
  const Machine agent{"agent-1", "192.0.2.7", "k3s-agent"};
  EXPECT_EQ(shell_text(runner.line("stop", agent)), "systemctl stop k3s-agent");
  EXPECT_EQ(shell_text(runner.on(agent, runner.line("stop", agent))),
            "ssh -o BatchMode=yes root@192.0.2.7 'systemctl stop k3s-agent'");
  EXPECT_EQ(shell_text(runner.on({"server-1", "", "k3s"}, {"true"})), "true");
}

TEST(Commands, WordsStayWordsForTheOtherShell) {
  EXPECT_EQ(shell_text({"echo", "it's", "", "a b", "$(x)"}), "echo 'it'\\''s' '' 'a b' '$(x)'");
}

TEST(Commands, FailureSaysWhatItSaid) {
  const Cancel cancel;
  CommandRunner runner(settings(), silent_progress(), cancel);
  EXPECT_EQ(runner.run({"echo", "hello"}), "hello\n");
  try {
    runner.run({"sh", "-c", "echo the reason >&2; exit 7"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io_error);
    EXPECT_NE(error.message().find("status 7"), std::string::npos) << error.message();
    EXPECT_NE(error.message().find("the reason"), std::string::npos) << error.message();
  }
  EXPECT_THROW(runner.run({"no-such-program-anywhere"}), Error);
  EXPECT_THROW(runner.run({"sleep", "60"}), Error);
}

}  // namespace
}  // namespace bundle::cluster
