#include "bundle-import/push.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "bundle/json_report.h"
#include "bundle/push.h"

namespace bundle::tools {
namespace {

auto string_value() {
  return cxxopts::value<std::string>();
}

void add_options(cxxopts::OptionAdder& add) {
  add("store", "folder of the site store", string_value());
  add("to", "REGISTRY[/PREFIX], like registry.example.com:5000/mirror", string_value());
  add("names", "full: PREFIX/docker.io/library/redis, or repository: PREFIX/library/redis",
      cxxopts::value<std::string>()->default_value("full"));
  add("dry-run", "only ask what the registry lacks");
  add("recheck", "also ask for every blob of what is there");
  add("single-platform", "tag the one carried image where the registry refuses an index with gaps");
  add("authfile", "registry credentials (docker config.json)", string_value());
  add("registry-ca", "PEM file of a private registry's CA", string_value());
  add("insecure-registry", "HOST[:PORT] to speak to without TLS; may be repeated",
      cxxopts::value<std::vector<std::string>>());
  add("limit-rate", "bytes a second, like 500K", string_value());
  add("connections", "to the registry", cxxopts::value<unsigned>()->default_value("4"));
  add("chunk-size", "of an upload in one request, like 16M",
      cxxopts::value<std::string>()->default_value("64M"));
}

PushOptions push_options(const Invocation& call) {
  PushOptions options;
  options.version = call.only_argument("version");
  options.store = call.required("store");
  options.to = call.required("to");
  const std::string names = call.options["names"].as<std::string>();
  if (names != "full" && names != "repository") {
    throw Error(ErrorCode::usage, fmt::format("--names {}", names),
                "Give --names full or --names repository.");
  }
  options.names = names == "full" ? PushNames::full : PushNames::repository;
  options.dry_run = call.has("dry-run");
  options.recheck = call.has("recheck");
  options.single_platform = call.has("single-platform");
  options.access.auth_file = call.text("authfile");
  options.access.ca_file = call.text("registry-ca");
  if (call.has("insecure-registry")) {
    options.access.insecure = call.options["insecure-registry"].as<std::vector<std::string>>();
  }
  if (call.has("limit-rate")) options.bytes_per_second = parse_size(call.text("limit-rate"));
  options.connections = call.options["connections"].as<unsigned>();
  options.chunk_bytes = parse_size(call.options["chunk-size"].as<std::string>());
  return options;
}

void print_report(const PushReport& report) {
  for (const PushedArtifact& artifact : report.artifacts) {
    fmt::print("{:<8} {}\n", artifact.state, artifact.target);
    if (!artifact.note.empty()) fmt::print("  note: {}\n", artifact.note);
    if (artifact.exit_status == 0) continue;
    fmt::print("  error: {}\n  next: {}\n", artifact.message, artifact.hint);
  }
  fmt::print("{} {} to {}: {} blobs {}, {}; {} mounted, {} there already; {:.0f} s\n",
             report.product, report.version, report.to, report.blobs_sent,
             report.dry_run ? "to send" : "sent", format_size(report.bytes_sent),
             report.blobs_mounted, report.blobs_present, report.seconds);
}

void push(const Invocation& call) {
  const PushReport report = push_release(push_options(call), call.progress, call.cancel);
  if (call.json) {
    fmt::print("{}\n", to_json(report));
  } else {
    print_report(report);
  }
  if (report.exit_status() != 0) throw QuietExit{report.exit_status()};
}

}  // namespace

Command push_command() {
  return {"push",
          "VERSION --store DIR --to REGISTRY[/PREFIX]",
          "copy a release into a registry that the site runs; sends what it lacks",
          "  bundle-import push 1.4.0 --store /var/lib/bundle --to registry.example.com/mirror "
          "--dry-run\n"
          "  bundle-import push 1.4.0 --store /var/lib/bundle --to registry.example.com:5000 "
          "--authfile auth.json\n",
          add_options,
          push};
}

}  // namespace bundle::tools
