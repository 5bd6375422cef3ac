#include "bundle-import/support.h"

#include <fmt/format.h>

#include "bundle/json_report.h"
#include "bundle/site_support.h"

namespace bundle::tools {
namespace {

auto string_value() {
  return cxxopts::value<std::string>();
}

void extract(const Invocation& call) {
  const auto report = extract_file(call.required("store"), call.text("release"),
                                   call.only_argument("name of a file"), call.required("out"));
  if (call.json) {
    fmt::print("{}\n", to_json(report));
    return;
  }
  fmt::print("{}: {} of release {}, SHA-256 {}\n", report.file.string(), format_size(report.bytes),
             report.release, report.sha256);
}

void support_bundle(const Invocation& call) {
  SupportBundleOptions options;
  options.store = call.required("store");
  options.out = call.required("out");
  options.site = call.text("site");
  if (call.has("unit")) options.units = call.options["unit"].as<std::vector<std::string>>();
  options.log_lines = call.options["log-lines"].as<unsigned>();
  options.audit = !call.has("no-audit");
  options.tool_version = BUNDLE_VERSION;
  const auto report = write_support_bundle(options, call.progress, call.cancel);
  if (call.json) {
    fmt::print("{}\n", to_json(report));
    return;
  }
  for (const auto& note : report.notes) fmt::print("note: {}\n", note);
  fmt::print("{}: {}, {} parts; {} secrets were taken out of it\n", report.file.string(),
             format_size(report.bytes), report.entries.size(), report.removed);
}

}  // namespace

std::vector<Command> support_commands() {
  return {
      {"extract", "NAME --store DIR --out FILE|DIR",
       "write a file of a release (k3s, install.sh), with its digest compared",
       "  bundle-import extract install.sh --store /var/lib/bundle --out /media/stick/\n",
       [](auto& add) {
         add("store", "folder of the site store", string_value());
         add("release", "version (default: the live one)", string_value());
         add("out", "file, or folder that gets it", string_value());
       },
       extract},
      {"support-bundle", "--store DIR --out FILE",
       "write an archive that says how this site is, without its secrets",
       "  bundle-import support-bundle --store /var/lib/bundle --out /media/stick/site-7.tar.gz\n",
       [](auto& add) {
         add("store", "folder of the site store", string_value());
         add("out", "the archive, a .tar.gz", string_value());
         add("site", "the site's configuration (default: STORE/site.yaml)", string_value());
         add("unit", "systemd unit whose log goes in; may be repeated",
             cxxopts::value<std::vector<std::string>>());
         add("log-lines", "newest lines of each log",
             cxxopts::value<unsigned>()->default_value("2000"));
         add("no-audit", "do not read every blob of the store");
       },
       support_bundle},
  };
}

}  // namespace bundle::tools
