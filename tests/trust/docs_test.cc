// The examples of docs/trust-model.md are read by our code, its commands run by a shell.
#include <map>

#include "codec/json.h"
#include "trust_support.h"

namespace bundle::trust {
namespace {

using bundle::test::has_tool;
using bundle::test::run_shell;
using bundle::test::write_text;
using test::kNow;

// "<!-- KIND: NAME -->" and the fenced block after it, by name.
std::map<std::string, std::string> blocks(const std::string& kind) {
  const std::string text = bundle::test::read_text(Path(BUNDLE_SOURCE_DIR) / "docs/trust-model.md");
  const std::string mark = "<!-- " + kind + ": ";
  std::map<std::string, std::string> found;
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
    const std::size_t name = at + mark.size();
    const std::size_t fence = text.find("```", name);
    const std::size_t start = text.find('\n', fence) + 1;
    const std::size_t end = text.find("```", start);
    found[text.substr(name, text.find(' ', name) - name)] = text.substr(start, end - start);
  }
  return found;
}

// Canonical documents end with their last brace.
std::string without_line_end(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

class TrustModelDocument : public testing::Test {
 protected:
  void SetUp() override {
    files_ = blocks("file");
    for (auto& [name, content] : files_) {
      if (name.ends_with(".json") && name != "1.root.json") content = without_line_end(content);
      write_text(dir_ / name, content);
    }
  }
  int run(const std::string& commands) const {
    return run_shell("cd '" + dir_.path().string() + "' && set -e\n" + commands);
  }
  std::vector<SignatureFile> signatures() const {
    const std::string name = "statement.0B0B0B0B0B0B0B0B.minisig";
    return {{name, files_.at(name)}};
  }

  test::ScratchDirectory dir_;
  std::map<std::string, std::string> files_;
};

TEST_F(TrustModelDocument, DocumentsAreInOurSpelling) {
  const auto& statement = files_.at("statement.json");
  EXPECT_EQ(encode_statement(parse_statement(statement, "s")), statement);
  const auto& carrier = files_.at("carrier.json");
  EXPECT_EQ(encode_carrier(parse_carrier(carrier, "c")), carrier);
  const auto& pointer = files_.at("stable.json");
  EXPECT_EQ(encode_pointer(parse_pointer(pointer, "p")), pointer);
  const auto& list = files_.at("revocations.json");
  EXPECT_EQ(encode_revocations(parse_revocations(list, "r")), list);
  const auto& time = files_.at("time.json");
  EXPECT_EQ(encode_time(parse_time_statement(time, "t")), time);
  EXPECT_EQ(MinisignPublicKey::parse(files_.at("vendor.pub"), "k").text(), files_.at("vendor.pub"));
}

TEST_F(TrustModelDocument, ExamplesBelongTogether) {
  const auto bare = TrustRoot::from_public_key(files_.at("vendor.pub"), "vendor.pub");
  const auto root = TrustRoot::parse(files_.at("1.root.json"), "1.root.json");
  const auto release = root.verify_release(files_.at("statement.json"), signatures(), kNow);
  EXPECT_EQ(bare.verify_release(files_.at("statement.json"), signatures(), kNow).digest(),
            release.digest());
  EXPECT_EQ(parse_carrier(files_.at("carrier.json"), "c").statement_digest, release.digest());
  EXPECT_EQ(parse_pointer(files_.at("stable.json"), "p").statement_digest, release.digest());
}

TEST_F(TrustModelDocument, CommandsWorkAndNoticeAChange) {
  const auto commands = blocks("run");
  ASSERT_EQ(commands.size(), 4U);
  const std::map<std::string, std::string> original = files_;
  for (const auto& [tool, text] : commands) {
    if (!has_tool(tool)) {
      std::cout << "not installed, not run: " << tool << "\n";
      continue;
    }
    EXPECT_EQ(run(text), 0) << tool;
    const std::string victim = tool == "python3" ? "1.root.json" : "statement.json";
    std::string changed = original.at(victim);
    const std::size_t at = changed.find("2028");
    changed[at + 3] = '9';
    write_text(dir_ / victim, changed);
    EXPECT_NE(run(text), 0) << tool;
    write_text(dir_ / victim, original.at(victim));
  }
}

}  // namespace
}  // namespace bundle::trust
