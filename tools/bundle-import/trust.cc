#include "bundle-import/trust.h"

#include <fmt/format.h>

#include "bundle/json_report.h"
#include "bundle/trust.h"
#include "common/print_trust.h"

namespace bundle::tools {
namespace {

auto string_value() {
  return cxxopts::value<std::string>();
}

void add_store(cxxopts::OptionAdder& add) {
  add("store", "folder of the site store", string_value());
}

void print_time(const SiteTrust& trust) {
  fmt::print("site id: {}\n", trust.site_id);
  fmt::print("clock: {}; expiry dates are compared with {}\n", trust.clock, trust.effective_time);
  if (trust.clock_corrected) {
    fmt::print("  corrected by a time statement until the clock shows {}\n",
               trust.correction_until);
  }
  if (trust.clock_behind) {
    fmt::print("  THE CLOCK IS WRONG: something signed on {} has been accepted here\n",
               trust.latest_signed);
  }
}

void print_site(const SiteTrust& trust) {
  print_root(trust.root);
  print_time(trust);
  for (const auto& [product, mark] : trust.highest) {
    fmt::print("{}: highest release accepted is {} (release number {})\n", product, mark.first,
               mark.second);
  }
  for (const SiteChannel& channel : trust.channels) {
    fmt::print("{} channel {}: {} (sequence {}), {} {}{}\n", channel.product, channel.channel,
               channel.version, channel.sequence, channel.fresh ? "holds until" : "OLD NEWS since",
               channel.expires, channel.in_store ? "" : "; not in this store");
  }
  for (const SiteRevocations& list : trust.revocations) {
    fmt::print("{} revocation list {} of {}: {} releases, {} keys\n", list.product, list.sequence,
               list.created, list.releases.size(), list.keys.size());
    for (const auto& [version, reason] : list.releases) {
      fmt::print("  {}{}{}\n", version, reason.empty() ? "" : ": ", reason);
    }
  }
}

void show_site(const Invocation& call, const SiteTrust& trust) {
  if (call.json) {
    fmt::print("{}\n", to_json(trust));
  } else {
    print_site(trust);
  }
}

void show(const Invocation& call) {
  show_site(call, site_trust(call.required("store")));
}

void pin(const Invocation& call) {
  show_site(call, pin_site_trust(call.required("store"), call.only_argument("root or public key"),
                                 call.text("fingerprint")));
}

void update(const Invocation& call) {
  if (call.arguments.empty()) call.only_argument("source (a folder or bundle)");
  const auto report =
      update_site_trust(call.required("store"), {call.arguments.begin(), call.arguments.end()});
  if (call.json) {
    fmt::print("{}\n", to_json(report));
    return;
  }
  for (const auto& line : report.learned) fmt::print("learned: {}\n", line);
  if (report.learned.empty()) fmt::print("nothing new\n");
}

}  // namespace

std::vector<Command> trust_commands() {
  return {
      {"trust show", "--store DIR", "whom this site trusts and what it remembers", "", add_store,
       show},
      {"trust pin", "ROOT|PUB --store DIR", "trust the vendor's root or key from now on",
       "  bundle-import trust pin 1.root.json --store /var/lib/bundle --fingerprint 'c2de 9101 "
       "...'\n",
       [](auto& add) {
         add_store(add);
         add("fingerprint", "what the vendor told you; the file must have it", string_value());
       },
       pin},
      {"trust update", "SRC... --store DIR",
       "take in roots, revocations, channel pointers and the time",
       "  bundle-import trust update /media/stick/trust --store /var/lib/bundle\n", add_store,
       update},
  };
}

}  // namespace bundle::tools
