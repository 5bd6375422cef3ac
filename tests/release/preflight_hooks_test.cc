// Hooks as real programs: scripts with the shell that every site has.
#include "release/preflight_hooks.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "bundle/error.h"
#include "release_samples.h"
#include "support/expect_error.h"

namespace bundle::release {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Hooks : public ::testing::Test {
 protected:
  Hooks() {
    std::filesystem::create_directory(hooks_);
    ::chmod(hooks_.c_str(), 0755);
  }
  Path add(const std::string& name, const std::string& script, unsigned mode = 0755) {
    const Path path = folder_.write("hooks/" + name, "#!/bin/sh\n" + script);
    ::chmod(path.c_str(), mode);
    return path;
  }
  std::vector<Hook> find() const { return find_hooks(posix_file_system(), hooks_); }
  HookResult run(const std::string& script, seconds limit = seconds(30),
                 const Cancel& cancel = Cancel()) {
    add("50-hook", script);
    return run_hook(find().at(0), {folder_.path(), "1.3.2", "1.4.0", limit, {}}, cancel);
  }
  void expect_refused(std::string_view message) const {
    try {
      find();
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::config_invalid);
      EXPECT_NE(error.message().find(message), std::string::npos) << error.message();
      EXPECT_FALSE(error.hint().empty());
    }
  }
  // Whether the process with the number in this file still runs; waits for the file.
  bool runs(const Path& pid_file) const {
    std::string text;
    for (int i = 0; i < 200 && !text.ends_with('\n'); ++i) {
      std::this_thread::sleep_for(milliseconds(10));
      if (std::filesystem::exists(pid_file)) {
        text = read_text_file(posix_file_system(), pid_file, 100);
      }
    }
    const int pid = std::stoi(text);
    // A killed process stays a zombie until its new parent takes note.
    for (int i = 0; i < 200 && is_alive(pid); ++i) std::this_thread::sleep_for(milliseconds(10));
    return is_alive(pid);
  }
  static bool is_alive(int pid) {
    const Path stat = Path("/proc") / std::to_string(pid) / "stat";
    try {
      const std::string text = read_text_file(posix_file_system(), stat, 4096);
      return text.empty() || text.at(text.rfind(')') + 2) != 'Z';
    } catch (const Error&) {
      return false;
    }
  }

  ScratchFolder folder_;
  Path hooks_ = folder_.path() / "hooks";
};

TEST_F(Hooks, AreFoundInTheOrderOfTheirNames) {
  add("50-backup.sh", "");
  add("10-health", "");
  add(".hidden", "", 0644);
  const auto hooks = find();
  ASSERT_EQ(hooks.size(), 2U);
  EXPECT_EQ(hooks[0].name, "10-health");
  EXPECT_FALSE(hooks[0].is_backup());
  EXPECT_EQ(hooks[1].name, "50-backup.sh");
  EXPECT_TRUE(hooks[1].is_backup());
}

TEST_F(Hooks, OfWhichOneTakesTheBackup) {
  for (const char* name : {"backup", "50-backup", "backup.sh", "01-backup.py"}) {
    EXPECT_TRUE((Hook{name, {}}.is_backup())) << name;
  }
  for (const char* name :
       {"no-backup", "backup-old", "a-backup", "50", "50-", "-backup", "mybackup"}) {
    EXPECT_FALSE((Hook{name, {}}.is_backup())) << name;
  }
}

TEST_F(Hooks, ThatOthersCouldChangeAreRefused) {
  const Path hook = add("10-health", "");
  EXPECT_EQ(find().size(), 1U);
  ::chmod(hook.c_str(), 0757);
  expect_refused("10-health can be changed by other users");
  ::chmod(hook.c_str(), 0775);
  expect_refused("10-health can be changed by other users");
  ::chmod(hook.c_str(), 0755);
  ::chmod(hooks_.c_str(), 0777);
  expect_refused("hooks can be changed by other users");
  ::chmod(hooks_.c_str(), 01777);  // sticky does not stop a newcomer
  expect_refused("hooks can be changed by other users");
  ::chmod(hooks_.c_str(), 0755);
  ::chmod(folder_.path().c_str(), 0777);
  expect_refused("can be changed by everybody, and the hooks lie below it");
  ::chmod(folder_.path().c_str(), 01777);
  EXPECT_EQ(find().size(), 1U);
}

TEST_F(Hooks, OfAnotherUserAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  const Path hook = add("10-health", "");
  ASSERT_EQ(::chown(hook.c_str(), 4242, 4242), 0);
  expect_refused("10-health belongs to user 4242");
  ASSERT_EQ(::chown(hook.c_str(), 0, 0), 0);
  ASSERT_EQ(::chown(hooks_.c_str(), 4242, 4242), 0);
  expect_refused("hooks belongs to user 4242");
}

TEST_F(Hooks, AreExecutablePlainFiles) {
  const Path hook = add("10-health", "", 0644);
  expect_refused("10-health is not executable");
  std::filesystem::remove(hook);
  std::filesystem::create_symlink("/bin/true", hook);
  expect_refused("10-health is not a plain file");
  std::filesystem::remove(hook);
  std::filesystem::create_directory(hook);
  expect_refused("10-health is not a plain file");
  std::filesystem::remove(hook);
  EXPECT_TRUE(find().empty());
  // The folder itself may be reached by a link: what it leads to counts.
  std::filesystem::create_directory_symlink(hooks_, folder_.path() / "link");
  EXPECT_TRUE(find_hooks(posix_file_system(), folder_.path() / "link").empty());
  testing::expect_error(ErrorCode::not_found,
                        [&] { find_hooks(posix_file_system(), folder_.path() / "absent"); });
  testing::expect_error(ErrorCode::config_invalid,
                        [&] { find_hooks(posix_file_system(), folder_.write("file", "")); });
}

TEST_F(Hooks, AreToldWhatIsGoingOnAndNothingElse) {
  ::setenv("SECRET_OF_THE_CALLER", "x", 1);
  const HookResult result = run("env | sort; pwd; cat; echo to-stderr >&2");
  ::unsetenv("SECRET_OF_THE_CALLER");
  EXPECT_EQ(result.state, HookState::passed);
  EXPECT_EQ(result.reason, "");
  const std::string store = folder_.path().string();
  EXPECT_EQ(result.output,
            "BUNDLE_FROM=1.3.2\nBUNDLE_HOOK=50-hook\nBUNDLE_STORE=" + store +
                "\nBUNDLE_TO=1.4.0\nLANG=C.UTF-8\n"
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\n/\n"
                "to-stderr\n");
}

TEST_F(Hooks, ThatFailSaySo) {
  const HookResult status = run("echo 'etcd has no quorum'; exit 7");
  EXPECT_EQ(status.state, HookState::failed);
  EXPECT_EQ(status.reason, "ended with status 7; it said: etcd has no quorum");
  const HookResult killed = run("kill -TERM $$");
  EXPECT_EQ(killed.state, HookState::failed);
  EXPECT_EQ(killed.reason, "was ended by signal 15");
  folder_.write("hooks/50-hook", "#!/no/such/interpreter\n");
  ::chmod((hooks_ / "50-hook").c_str(), 0755);
  const HookResult unstarted =
      run_hook(find().at(0), {folder_.path(), "1", "2", seconds(30), {}}, Cancel());
  EXPECT_EQ(unstarted.state, HookState::failed);
  EXPECT_NE(unstarted.reason.find("cannot start"), std::string::npos) << unstarted.reason;
}

TEST_F(Hooks, AreEndedAtTheTimeLimitWithAllThatTheyStarted) {
  const auto start = std::chrono::steady_clock::now();
  const HookResult result = run("echo begun; trap '' TERM INT HUP; sleep 300 & echo $! > " +
                                    (folder_.path() / "pid").string() + "; wait; sleep 300",
                                seconds(1));
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(60));
  EXPECT_EQ(result.state, HookState::timed_out);
  EXPECT_EQ(result.reason, "did not end within 1 s; it said: begun");
  EXPECT_GE(result.seconds, 1.0);
  EXPECT_FALSE(runs(folder_.path() / "pid"));
}

// It has our output open, and is not waited for.
TEST_F(Hooks, LeaveNothingRunningBehind) {
  const HookResult result =
      run("sleep 300 & echo $! > " + (folder_.path() / "pid").string() + "; echo done");
  EXPECT_EQ(result.state, HookState::passed);
  EXPECT_EQ(result.output, "done\n");
  EXPECT_LT(result.seconds, 60);
  EXPECT_FALSE(runs(folder_.path() / "pid"));
}

TEST_F(Hooks, OutputIsBounded) {
  const HookResult result = run("head -c 5000000 /dev/zero | tr '\\0' 'x'; echo end");
  EXPECT_EQ(result.state, HookState::passed);
  EXPECT_EQ(result.output, std::string(kMaxHookOutput, 'x'));
  EXPECT_TRUE(result.output_cut);
  const HookResult endless = run("yes", seconds(1));
  EXPECT_EQ(endless.state, HookState::timed_out);
  EXPECT_EQ(endless.output.size(), kMaxHookOutput);
}

TEST_F(Hooks, OutputIsMadeFitForTerminalsAndJson) {
  const HookResult result = run("printf 'a\\033[31mb\\001\\377c\\tgr\\303\\274n\\r\\n'; exit 1");
  EXPECT_EQ(result.output, "a?[31mb??c\tgr\u00FCn?\n");
  EXPECT_EQ(result.reason, "ended with status 1; it said: a?[31mb??c\tgr\u00FCn?");
  // The reason ends within its limit, at a whole character.
  const HookResult longer = run("printf '%0600d' 0 | sed 's/0/\u00FC/g'; exit 1");
  EXPECT_LT(longer.reason.size(), 600U);
  EXPECT_EQ(longer.reason.find("it said: \u00FC"), longer.reason.find("it said: "));
}

TEST_F(Hooks, AreEndedWhenTheCallerIsCancelled) {
  Cancel cancel;
  std::thread stopper([&] {
    for (int i = 0; i < 500 && !std::filesystem::exists(folder_.path() / "pid"); ++i) {
      std::this_thread::sleep_for(milliseconds(10));
    }
    cancel.request();
  });
  testing::expect_error(ErrorCode::cancelled, [&] {
    run("sleep 300 & echo $! > " + (folder_.path() / "pid").string() + "; wait", seconds(300),
        cancel);
  });
  stopper.join();
  EXPECT_FALSE(runs(folder_.path() / "pid"));
}

}  // namespace
}  // namespace bundle::release
