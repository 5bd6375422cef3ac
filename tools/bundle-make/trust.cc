#include "bundle-make/trust.h"

#include <fmt/format.h>

#include <array>

#include "bundle/error.h"
#include "bundle/json_report.h"
#include "bundle/trust.h"
#include "common/print_trust.h"

namespace bundle::tools {
namespace {

constexpr std::array<const char*, 4> kRoles = {"root", "release", "timestamp", "carrier"};

auto string_value() {
  return cxxopts::value<std::string>();
}
auto strings_value() {
  return cxxopts::value<std::vector<std::string>>();
}
auto number_value(unsigned standard) {
  return string_value()->default_value(std::to_string(standard));
}

// Up to six digits.
unsigned parse_number(const std::string& text) {
  const bool good = !text.empty() && text.size() <= 6 &&
                    text.find_first_not_of("0123456789") == std::string::npos;
  if (!good) throw Error(ErrorCode::usage, fmt::format("'{}' is no number", text), "See --help.");
  return static_cast<unsigned>(std::stoul(text));
}

unsigned number(const Invocation& call, const std::string& option) {
  return parse_number(call.options[option].as<std::string>());
}

std::vector<std::string> texts(const Invocation& call, const std::string& option) {
  if (!call.has(option)) return {};
  return call.options[option].as<std::vector<std::string>>();
}

std::filesystem::path folder(const Invocation& call) {
  return call.only_argument("trust folder");
}

void show_root(const Invocation& call, const TrustRootReport& report) {
  if (call.json) {
    fmt::print("{}\n", to_json(report));
  } else {
    print_root(report);
  }
}

void show_document(const Invocation& call, const SignedDocumentReport& report) {
  if (call.json) {
    fmt::print("{}\n", to_json(report));
    return;
  }
  fmt::print("wrote {}\n", report.file.string());
  for (const auto& name : report.signatures) fmt::print("signed: {}\n", name);
  if (report.signatures.empty()) {
    fmt::print("NOT SIGNED: bundle-make trust sign {} --key KEY\n", report.file.string());
  }
  if (report.volumes > 0) fmt::print("volumes that carry it: {}\n", report.volumes);
}

// ROLE=N
std::pair<std::string, std::uint64_t> parse_threshold(const std::string& text) {
  const std::size_t at = text.find('=');
  if (at == std::string::npos) {
    throw Error(ErrorCode::usage, fmt::format("'{}' is not like root=2", text), "See --help.");
  }
  return {text.substr(0, at), parse_number(text.substr(at + 1))};
}

void init(const Invocation& call) {
  TrustInit options;
  options.folder = folder(call);
  for (const std::string role : kRoles) {
    for (const auto& key : texts(call, fmt::format("{}-key", role)))
      options.keys[role].emplace_back(key);
  }
  for (const auto& text : texts(call, "threshold"))
    options.thresholds.insert(parse_threshold(text));
  options.expires_days = number(call, "expires-days");
  options.from = call.text("from");
  show_root(call, trust_init(options));
}

void rotate(const Invocation& call) {
  show_root(call, trust_rotate(folder(call), number(call, "expires-days")));
}

std::uint64_t threshold(const Invocation& call) {
  return call.has("threshold") ? number(call, "threshold") : 0;
}

void add_key(const Invocation& call) {
  show_root(call, trust_add_key(folder(call), call.required("role"), call.required("pub"),
                                threshold(call)));
}

void remove_key(const Invocation& call) {
  show_root(call, trust_remove_key(folder(call), call.text("role"), call.required("id"),
                                   threshold(call)));
}

void sign(const Invocation& call) {
  const auto report = trust_sign(call.only_argument("trust folder or document"), signing(call));
  if (call.json) {
    fmt::print("{}\n", to_json(report));
    return;
  }
  fmt::print("signed {}: {}\n", report.comment, report.file.string());
  if (!report.root) return;
  fmt::print(
      "signatures that are still needed: {} by its own root keys, {} by those of the root "
      "before\n",
      report.missing_own, report.missing_previous);
}

void merge(const Invocation& call) {
  if (call.arguments.size() < 2) call.only_argument("folder, and folders with signed copies");
  const auto report =
      trust_merge(call.arguments.front(), {call.arguments.begin() + 1, call.arguments.end()});
  if (call.json) {
    fmt::print("{}\n", to_json(report));
    return;
  }
  for (const auto& name : report.files) fmt::print("gained a signature: {}\n", name);
  if (report.files.empty()) fmt::print("nothing new\n");
}

void show(const Invocation& call) {
  show_root(call, trust_show(call.only_argument("trust folder, root or public key")));
}

void revoke(const Invocation& call) {
  TrustRevoke options;
  options.folder = folder(call);
  const auto releases = texts(call, "release");
  options.releases.assign(releases.begin(), releases.end());
  options.keys = texts(call, "id");
  options.product = call.text("product");
  options.reason = call.text("reason");
  options.sign = signing(call);
  show_document(call, trust_revoke(options));
}

void time(const Invocation& call) {
  TrustTime options;
  options.site = call.required("site");
  options.clock = call.required("clock");
  options.days = number(call, "days");
  options.out = call.required("out");
  options.sign = signing(call);
  show_document(call, trust_time(options));
}

void carry(const Invocation& call) {
  const std::size_t volumes =
      carry_trust(call.only_argument("bundle folder"), call.required("trust-dir"));
  if (call.json) {
    fmt::print("{{\"volumes\": {}}}\n", volumes);
  } else {
    fmt::print("volumes that carry the trust folder's news: {}\n", volumes);
  }
}

void promote_bundle(const Invocation& call) {
  PromoteOptions options;
  options.from = call.text("from");
  if (options.from.empty() || !call.arguments.empty()) {
    options.bundle = call.only_argument("bundle folder or volume");
  }
  options.trust = call.text("trust");
  options.stale_base = call.text("stale-base");
  options.folder = call.required("trust-dir");
  options.channel = call.required("channel");
  options.expires_days = number(call, "expires-days");
  options.sign = signing(call);
  show_document(call, promote(options));
}

void add_trust_folder(cxxopts::OptionAdder& add) {
  add("trust-dir", "the vendor's trust folder", string_value());
}

std::vector<Command> root_commands() {
  return {
      {"trust init", "DIR --root-key PUB ... --release-key PUB ...", "begin a chain of trust roots",
       "  bundle-make trust init trust --root-key a.pub --root-key b.pub --root-key c.pub \\\n"
       "    --threshold root=2 --release-key rel.pub --timestamp-key time.pub --carrier-key "
       "ci.pub\n",
       [](auto& add) {
         for (const std::string role : kRoles) {
           add(fmt::format("{}-key", role),
               fmt::format("public key with the role '{}'; may be repeated", role),
               strings_value());
         }
         add("threshold", "ROLE=N keys that must sign (default: 1); may be repeated",
             strings_value());
         add("from", "bare public key that sites are pinned to: it must sign root 1",
             string_value());
         add("expires-days", "how long the root holds", number_value(kDefaultRootDays));
       },
       init},
      {"trust rotate", "DIR", "begin the next root, from the newest one",
       "  bundle-make trust rotate trust && bundle-make trust remove-key trust --id "
       "0123456789ABCDEF\n",
       [](auto& add) { add("expires-days", "how long it holds", number_value(kDefaultRootDays)); },
       rotate},
      {"trust add-key", "DIR --role ROLE --pub PUB",
       "give a role to a key, in a root that nobody signed yet", "",
       [](auto& add) {
         add("role", "root, release, timestamp or carrier", string_value());
         add("pub", "public key file", string_value());
         add("threshold", "new threshold of the role", string_value());
       },
       add_key},
      {"trust remove-key", "DIR --id KEY [--role ROLE]", "take a role, or all, from a key", "",
       [](auto& add) {
         add("id", "key id as 'trust show' prints it, or a public key file", string_value());
         add("role", "only this role", string_value());
         add("threshold", "new threshold of the role", string_value());
       },
       remove_key},
      {"trust sign", "DIR|FILE --key K | --sign-command CMD",
       "sign the newest root, or any one document",
       "  bundle-make trust sign trust --key root-a.key --password-file pw.txt\n"
       "  bundle-make trust sign copy/statement.json --key release-b.key\n",
       add_signing_options, sign},
      {"trust merge", "DIR FROM...", "bring together what was signed on several machines",
       "  bundle-make trust merge trust from-alice from-bob\n", [](auto&) {}, merge},
      {"trust show", "DIR|FILE", "what a root says and which signatures it needs", "", [](auto&) {},
       show},
  };
}

std::vector<Command> news_commands() {
  return {
      {"trust revoke", "DIR --release BUNDLE|STATEMENT [--reason TEXT]",
       "write the next revocation list",
       "  bundle-make trust revoke trust --release out-1.3.1 --reason 'loses data' --key "
       "release.key\n",
       [](auto& add) {
         add("release", "bundle folder or statement.json; may be repeated", strings_value());
         add("id", "key that no longer counts: its id or public key file; may be repeated",
             strings_value());
         add("product", "product of the list, when no release is named", string_value());
         add("reason", "for people", string_value());
         add_signing_options(add);
       },
       revoke},
      {"trust time", "--site ID --clock TIME --out FILE",
       "write a time statement for a site whose clock is wrong",
       "  bundle-make trust time --site 00112233445566778899aabbccddeeff \\\n"
       "    --clock 2035-01-31T08:00:00Z --days 7 --out time.json --key root-a.key\n",
       [](auto& add) {
         add("site", "the site's id (bundle-import trust show)", string_value());
         add("clock", "what the site's clock shows now", string_value());
         add("days", "how long it helps, at most 31", number_value(7));
         add("out", "file to write", string_value());
         add_signing_options(add);
       },
       time},
      {"trust carry", "BUNDLE --trust-dir DIR", "put roots and newest news into a bundle", "",
       add_trust_folder, carry},
      {"promote", "BUNDLE|--from CHANNEL --channel NAME --trust-dir DIR --key K",
       "point a channel to a bundle's release, or to another channel's",
       "  bundle-make promote out --channel candidate --trust-dir trust --key time.key\n"
       "  bundle-make promote --from candidate --channel stable --trust-dir trust --key time.key\n"
       "  bundle-make promote --from stable --channel stable --trust-dir trust --key time.key\n"
       "                               the last one renews a pointer before it expires\n",
       [](auto& add) {
         add_trust_folder(add);
         add("channel", "channel name, like stable", string_value());
         add("from", "channel whose release it goes to; no bundle is needed", string_value());
         add("trust", "with --from: public key or root of the sites (default: the oldest root)",
             string_value());
         add("stale-base", "why a base image older than its policy is taken; is signed along",
             string_value());
         add("expires-days", "until when sites take it for news",
             number_value(kDefaultPointerDays));
         add_signing_options(add);
       },
       promote_bundle},
  };
}

}  // namespace

void add_signing_options(cxxopts::OptionAdder& add) {
  add("key", "minisign secret key file", string_value());
  add("password-file", "file whose first line opens the key", string_value());
  add("password-fd", "open file descriptor with the password", string_value());
  add("sign-command", "shell command that signs: message on stdin, .minisig on stdout",
      string_value());
}

SignWith signing(const Invocation& call) {
  SignWith sign;
  sign.key = call.text("key");
  sign.password_file = call.text("password-file");
  if (call.has("password-fd")) sign.password_fd = static_cast<int>(number(call, "password-fd"));
  sign.command = call.text("sign-command");
  return sign;
}

std::vector<Command> trust_commands() {
  std::vector<Command> commands = root_commands();
  for (Command& command : news_commands()) commands.push_back(std::move(command));
  return commands;
}

}  // namespace bundle::tools
