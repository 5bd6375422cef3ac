// bundle-make: builds, signs, cuts and inspects release bundles.
#include <fmt/format.h>

#include <algorithm>

#include "bundle-make/trust.h"
#include "bundle/import.h"
#include "bundle/json_report.h"
#include "bundle/make.h"
#include "bundle/publish.h"
#include "common/cli.h"

namespace {

using bundle::tools::add_signing_options;
using bundle::tools::Command;
using bundle::tools::format_size;
using bundle::tools::Invocation;
using bundle::tools::signing;

auto string_value() {
  return cxxopts::value<std::string>();
}
auto strings_value() {
  return cxxopts::value<std::vector<std::string>>();
}

std::vector<std::filesystem::path> paths(const Invocation& call, const std::string& option) {
  if (!call.has(option)) return {};
  const auto texts = call.options[option].as<std::vector<std::string>>();
  return {texts.begin(), texts.end()};
}

std::vector<std::filesystem::path> sources(const Invocation& call) {
  if (call.arguments.empty()) call.only_argument("bundle folder");
  return {call.arguments.begin(), call.arguments.end()};
}

void add_registry_options(cxxopts::OptionAdder& add) {
  add("authfile", "registry credentials (docker config.json)", string_value());
  add("registry-ca", "PEM file of a private registry's CA", string_value());
  add("insecure-registry", "HOST[:PORT] to speak to without TLS; may be repeated", strings_value());
}

bundle::RegistryAccess registry_access(const Invocation& call) {
  bundle::RegistryAccess access;
  access.auth_file = call.text("authfile");
  access.ca_file = call.text("registry-ca");
  if (call.has("insecure-registry")) {
    access.insecure = call.options["insecure-registry"].as<std::vector<std::string>>();
  }
  return access;
}

void print_closure(const bundle::ClosureReport& report) {
  for (const auto& leak : report.leaks) {
    fmt::print("LEAK {}: {} {}\n", leak.place, leak.image, leak.problem);
  }
  for (const auto& finding : report.excepted) {
    fmt::print("  excepted: {}: {} ({})\n", finding.place, finding.image, finding.reason);
  }
  for (const auto& note : report.notes) fmt::print("  note: {}\n", note);
  fmt::print("  images: {} references looked at", report.references);
  if (!report.rendered.empty()) fmt::print(", rendered by {}", fmt::join(report.rendered, ", "));
  fmt::print("\n");
}

void closure(const Invocation& call) {
  const auto report = bundle::check_release_closure(
      call.only_argument("release.yaml"), registry_access(call), call.progress, call.cancel);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
  } else {
    print_closure(report);
  }
  if (!report.leaks.empty()) {
    throw bundle::tools::QuietExit{bundle::exit_status(bundle::ErrorCode::spec_invalid)};
  }
}

void make(const Invocation& call) {
  bundle::MakeOptions options;
  options.spec = call.only_argument("release.yaml");
  options.out = call.required("out");
  if (call.has("volume-size"))
    options.volume_size = bundle::tools::parse_size(call.text("volume-size"));
  options.level = call.options["level"].as<int>();
  options.fast = call.has("fast");
  options.import_budget = call.options["import-budget"].as<unsigned>();
  options.jobs = call.options["jobs"].as<unsigned>();
  options.sign = signing(call);
  options.registry = registry_access(call);
  options.roots = paths(call, "root");
  options.builder = call.text("builder");
  options.trust_folder = call.text("trust-dir");
  options.require_render = call.has("require-render");
  options.bases = paths(call, "base");
  options.stale_base = call.text("stale-base");
  const bundle::MakeReport report = bundle::make_bundle(options, call.progress, call.cancel);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  fmt::print("made {} {} (release number {}): {} blobs, {}\n", report.product, report.version,
             report.release_number, report.blobs, format_size(report.blob_bytes));
  fmt::print("  gzip stored inflated: {} of {}; unique content: {}\n",
             format_size(report.replayed_bytes), format_size(report.gzip_bytes),
             format_size(report.unique_bytes));
  if (!report.bases.empty()) {
    fmt::print("  delta for a site that has {}: {} blobs left out, {} copied there\n",
               fmt::join(report.bases, " or "), report.omitted_blobs,
               format_size(report.base_bytes));
  }
  for (const auto& volume : report.volumes) fmt::print("  {}\n", volume.string());
  fmt::print("  bundle size: {} ({:.1f} % of the blobs), {:.0f} s\n",
             format_size(report.bundle_bytes),
             100.0 * static_cast<double>(report.bundle_bytes) /
                 static_cast<double>(std::max<std::uint64_t>(report.blob_bytes, 1)),
             report.seconds);
  print_closure(report.closure);
  for (const auto& name : report.signatures) fmt::print("  signed: {}\n", name);
  if (report.signatures.empty()) {
    fmt::print("  NOT SIGNED: no site imports it before 'bundle-make sign {} --key KEY'\n",
               options.out.string());
  }
}

void sign(const Invocation& call) {
  const auto report = bundle::sign_bundle(call.only_argument("bundle folder"), signing(call));
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  for (const auto& name : report.signatures) fmt::print("wrote {}\n", name);
  fmt::print("volumes that carry all signatures of the folder: {}\n", report.volumes);
}

void export_bundle(const Invocation& call) {
  if (call.arguments.size() != 2) {
    throw bundle::Error(bundle::ErrorCode::usage, "export needs a store and a version",
                        "bundle-make export STORE VERSION --out DIR; 'bundle-import list --store "
                        "STORE' tells which versions there are.");
  }
  bundle::ExportOptions options;
  options.store = call.arguments[0];
  options.version = call.arguments[1];
  options.dry_run = call.has("dry-run");
  options.out = options.dry_run ? call.text("out") : call.required("out");
  if (call.has("volume-size"))
    options.volume_size = bundle::tools::parse_size(call.text("volume-size"));
  options.level = call.options["level"].as<int>();
  options.fast = call.has("fast");
  options.jobs = call.options["jobs"].as<unsigned>();
  options.sign = signing(call);
  const auto report = bundle::export_release(options, call.progress, call.cancel);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  fmt::print("{} {} {} (release number {}): {} blobs, {}\n",
             report.dry_run ? "would export" : "exported", report.product, report.version,
             report.release_number, report.blobs, format_size(report.blob_bytes));
  if (report.dry_run) return;
  for (const auto& volume : report.volumes) fmt::print("  {}\n", volume.string());
  fmt::print("  bundle size: {}, {:.0f} s\n", format_size(report.bundle_bytes), report.seconds);
  for (const auto& name : report.signatures) fmt::print("  signed: {}\n", name);
  if (!report.carrier_signed) {
    fmt::print(
        "  CARRIER NOT SIGNED by enough keys: no site imports it before 'bundle-make sign "
        "{} --key KEY'\n",
        options.out.string());
  }
}

void cosign_sign(const Invocation& call) {
  bundle::CosignOptions options;
  options.spec = call.only_argument("release.yaml");
  options.sign = signing(call);
  if (options.sign.empty()) call.required("key");
  options.public_key = call.text("public-key");
  options.classic = call.has("classic");
  options.registry = registry_access(call);
  const auto report = bundle::cosign_release(options, call.progress);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  for (const auto& artifact : report.artifacts) {
    fmt::print("  {:<8} {}\n           {}\n", artifact.state, artifact.name, artifact.digest);
  }
  fmt::print("signatures are in {}: run 'bundle-make make' next\n", report.folder.string());
}

void keygen(const Invocation& call) {
  const std::string name = call.required("out");
  const int fd = call.has("password-fd") ? call.options["password-fd"].as<int>() : -1;
  const std::string id =
      bundle::generate_key(name, call.text("password-file"), fd, call.has("no-password"));
  if (call.json) {
    fmt::print("{{\"key_id\": \"{}\"}}\n", id);
    return;
  }
  fmt::print(
      "key {}\n  {}.key: keep it secret; whoever has it signs releases\n"
      "  {}.pub: give it to your sites (bundle-import import ... --trust {}.pub)\n",
      id, name, name, name);
}

void inspect(const Invocation& call) {
  const auto report = bundle::inspect_bundle(sources(call));
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  fmt::print("{} {} (release number {}), made {}, expires {}\n", report.product, report.version,
             report.release_number, report.created, report.expires);
  fmt::print("bundle {}: volumes {} of {} here, {} packed, {} groups\n", report.bundle_id,
             fmt::join(report.volumes_here, ","), report.volumes_total,
             format_size(report.pack_bytes), report.groups);
  fmt::print("{} blobs, {}; base {}, Kubernetes {}, upgrades from {}\n", report.blobs,
             format_size(report.blob_bytes), report.os_base, report.k8s_version,
             fmt::join(report.upgrade_from, ", "));
  for (const auto& artifact : report.artifacts) {
    fmt::print("  {:<6} {}\n         {}\n", artifact.kind, artifact.name, artifact.digest);
  }
  if (!report.base_built.empty()) {
    fmt::print("base image built {}, may be {} days old when published{}{}\n", report.base_built,
               report.base_max_age_days,
               report.stale_base.empty() ? "" : "; is older because: ", report.stale_base);
  }
  if (!report.bases.empty())
    fmt::print("delta: needs {} at the site\n", fmt::join(report.bases, " or "));
  for (const auto& name : report.signatures) fmt::print("signature (not checked): {}\n", name);
}

void diff(const Invocation& call) {
  if (call.arguments.size() != 2) {
    throw bundle::Error(bundle::ErrorCode::usage, "diff compares two bundles",
                        "Name two folders or volumes: the older one first.");
  }
  const auto diff = bundle::diff_bundles({call.arguments[0]}, {call.arguments[1]});
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(diff));
    return;
  }
  fmt::print("{}: {} to {}\n", diff.product, diff.from, diff.to);
  bundle::tools::print_changes(diff.changes);
  for (const auto& note : diff.notes) fmt::print("note: {}\n", note);
}

void have(const Invocation& call) {
  bundle::tools::print_inventory(call, bundle::bundle_inventory(sources(call)));
}

void verify(const Invocation& call) {
  bundle::VerifyOptions options;
  options.sources = sources(call);
  options.trust = call.text("trust");
  options.trust_fingerprint = call.text("trust-fingerprint");
  options.rebuild = call.has("rebuild");
  options.jobs = call.options["jobs"].as<unsigned>();
  const auto report = bundle::verify_bundle(options, call.progress, call.cancel);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  fmt::print("good: {} {} is signed by a trusted key and all {} of it match\n",
             report.release.product, report.release.version, format_size(report.bytes));
  if (options.rebuild)
    fmt::print("  {} blobs were rebuilt and match their digests\n", report.blobs);
}

void recut(const Invocation& call, std::uint64_t volume_size) {
  const auto volumes = bundle::recut_bundle(sources(call), call.required("out"), volume_size,
                                            call.progress, call.cancel);
  for (const auto& volume : volumes) fmt::print("{}\n", volume.string());
}

void split(const Invocation& call) {
  recut(call, bundle::tools::parse_size(call.required("volume-size")));
}
void join(const Invocation& call) {
  recut(call, 0);
}

void publish(const Invocation& call) {
  bundle::PublishOptions options;
  options.bundles.assign(call.arguments.begin(), call.arguments.end());
  options.origin = call.required("to");
  options.trust_folder = call.required("trust-dir");
  options.trust = call.text("trust");
  if (call.has("volume-size"))
    options.volume_size = bundle::tools::parse_size(call.text("volume-size"));
  options.keep = call.options["keep"].as<std::size_t>();
  options.strand = call.text("strand");
  options.dry_run = call.has("dry-run");
  const auto report = bundle::publish(options, call.progress, call.cancel);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  const char* would = report.dry_run ? "would be " : "";
  for (const auto& bundle : report.bundles) {
    fmt::print("{}{} {}: bundle {}, {}\n", bundle.is_new ? would : "",
               bundle.is_new ? "published" : "was there", bundle.version, bundle.bundle_id,
               format_size(bundle.bytes));
  }
  for (const auto& channel : report.channels) {
    fmt::print("channel {}: {} (sequence {}){}\n", channel.name, channel.version, channel.sequence,
               channel.moved ? "" : ", as before");
  }
  for (const auto& version : report.removed) fmt::print("{}removed {}\n", would, version);
  if (report.dry_run) fmt::print("a dry run: nothing was changed\n");
}

std::vector<Command> commands() {
  return {
      {"keygen", "--out NAME [--password-file F | --no-password]", "make a signing key",
       "  bundle-make keygen --out vendor --password-file pw.txt\n",
       [](auto& add) {
         add("out", "writes NAME.key and NAME.pub (minisign formats)", string_value());
         add("password-file", "file whose first line is the key's password", string_value());
         add("password-fd", "open file descriptor with the password", cxxopts::value<int>());
         add("no-password", "leave the key file unencrypted");
       },
       keygen},
      {"make", "RELEASE.yaml --out DIR [--key K] [--base BUNDLE|INVENTORY ...]",
       "build a bundle from a release specification",
       "  bundle-make make release.yaml --out out --key vendor.key --password-file pw.txt\n"
       "  bundle-make make release.yaml --out out --volume-size 4G --fast\n"
       "  bundle-make make release.yaml --out delta --base ../1.3.0/bundle --key vendor.key\n",
       [](auto& add) {
         add("out", "folder for the bundle", string_value());
         add_signing_options(add);
         add("base",
             "make a delta to this full bundle or inventory; of several any one will do at the "
             "site",
             strings_value());
         add("volume-size", "largest volume, like 650M or 4G (default: just below FAT32's 4 GiB)",
             string_value());
         add("level", "zstd level, 1 to 19", cxxopts::value<int>()->default_value("19"));
         add("import-budget",
             "seconds of one core that a site may spend to make a GB of layers gzip again; slower "
             "layers stay as they are (0: no limit)",
             cxxopts::value<unsigned>()->default_value("0"));
         add("fast", "for CI: level 3, under 256 MiB of memory");
         add("jobs", "compression threads", cxxopts::value<unsigned>()->default_value("2"));
         add("root", "trust root (N.root.json) that travels along; may be repeated",
             strings_value());
         add("trust-dir", "the vendor's trust folder: its roots and newest news travel along",
             string_value());
         add("require-render", "fail where helm or kustomize is missing for the check of images");
         add("builder", "URI of who runs the build, for the provenance", string_value());
         add("stale-base", "why a base image older than its policy is taken; is signed along",
             string_value());
         add_registry_options(add);
       },
       make},
      {"closure", "RELEASE.yaml",
       "check that every image of chart and desired state is in the release, by digest",
       "  bundle-make closure release.yaml --json          make does this, too\n",
       [](auto& add) { add_registry_options(add); }, closure},
      {"cosign-sign", "RELEASE.yaml --key K | --sign-command CMD --public-key PEM",
       "sign what clusters pull, before make",
       "  bundle-make cosign-sign release.yaml --key cosign.key --password-file pw.txt\n"
       "  bundle-make cosign-sign release.yaml --sign-command 'hsm-sign --slot 3' --public-key "
       "cosign.pub\n",
       [](auto& add) {
         add("key", "ECDSA P-256 key: cosign's, or PEM of OpenSSL", string_value());
         add("password-file", "file whose first line opens the key", string_value());
         add("password-fd", "open file descriptor with the password", string_value());
         add("sign-command", "shell command that signs: message on stdin, DER or base64 on stdout",
             string_value());
         add("public-key", "PEM file of the command's key", string_value());
         add("classic", "tags sha256-<hex>.sig, for Flux before 2.8 and cosign before 3");
         add_registry_options(add);
       },
       cosign_sign},
      {"sign", "DIR --key K | --sign-command CMD",
       "sign a bundle, or add signatures copied into DIR",
       "  bundle-make sign out --key vendor.key --password-file pw.txt\n"
       "  bundle-make sign out --sign-command 'hsm-sign --slot 3'\n"
       "  bundle-make sign out          puts signature files copied into out/ into the volumes\n",
       add_signing_options, sign},
      {"export", "STORE VERSION --out DIR [--key K | --sign-command CMD]",
       "a release of a store or mirror as a full bundle, for sites without a network",
       "  bundle-make export /var/lib/bundle 1.4.0 --out out --key carrier.key --password-file "
       "pw.txt\n"
       "  bundle-make export /var/lib/bundle 1.4.0 --dry-run\n",
       [](auto& add) {
         add("out", "folder for the bundle", string_value());
         add_signing_options(add);
         add("volume-size", "largest volume, like 650M or 4G (default: just below FAT32's 4 GiB)",
             string_value());
         add("level", "zstd level, 1 to 19", cxxopts::value<int>()->default_value("19"));
         add("fast", "level 3, under 256 MiB of memory");
         add("jobs", "compression threads", cxxopts::value<unsigned>()->default_value("2"));
         add("dry-run", "verify the release, say what would be exported, write nothing");
       },
       export_bundle},
      {"have", "DIR|VOLUME...", "the inventory of a bundle: its blobs, as a base of a delta",
       "  bundle-make have out > 1.4.0.have\n", [](auto&) {}, have},
      {"inspect", "DIR|VOLUME...", "show what a bundle says about itself (trusts nobody)",
       "  bundle-make inspect out --json\n", [](auto&) {}, inspect},
      {"diff", "OLD NEW", "what changes from one bundle's release to another's (trusts nobody)",
       "  bundle-make diff out-1.3.0 out-1.4.0\n", [](auto&) {}, diff},
      {"verify", "DIR|VOLUME... --trust PUB|ROOT", "check signatures and every byte of a bundle",
       "  bundle-make verify out --trust vendor.pub\n",
       [](auto& add) {
         add("trust", "minisign public key or TUF root", string_value());
         add("trust-fingerprint", "fingerprint of a key that the bundle carries", string_value());
         add("rebuild", "also rebuild every blob and compare its digest");
         add("jobs", "threads (default: one a core)",
             cxxopts::value<unsigned>()->default_value("0"));
       },
       verify},
      {"split", "DIR|VOLUME... --out DIR --volume-size N", "cut a bundle into other volumes",
       "  bundle-make split out --out sticks --volume-size 2G\n",
       [](auto& add) {
         add("out", "folder for the new volumes", string_value());
         add("volume-size", "largest volume", string_value());
       },
       split},
      {"publish", "[BUNDLE...] --to DIR --trust-dir FOLDER",
       "put releases where sites can fetch them: static files for any web server",
       "  bundle-make publish out --to /srv/origin --trust-dir vendor-trust\n"
       "  bundle-make publish full delta --to /srv/origin --trust-dir vendor-trust --keep 4\n"
       "  bundle-make publish --to /srv/origin --trust-dir vendor-trust      after promote\n",
       [](auto& add) {
         add("to", "folder of the origin", string_value());
         add("trust-dir", "the vendor's trust folder, whose pointers sites follow", string_value());
         add("trust", "public key or root that sites are pinned to (default: the oldest root)",
             string_value());
         add("volume-size", "largest file (default: one file a bundle)", string_value());
         add("keep", "newest releases that stay; 0: all",
             cxxopts::value<std::size_t>()->default_value("3"));
         add("strand", "why a site may be left without a way; goes on record", string_value());
         add("dry-run", "check everything, say what would change, change nothing");
       },
       publish},
      {"join", "DIR|VOLUME... --out DIR", "put all volumes into one",
       "  bundle-make join stick1 stick2 --out whole\n",
       [](auto& add) { add("out", "folder for the volume", string_value()); }, join},
  };
}

}  // namespace

int main(int argc, char** argv) {
  auto all = commands();
  for (Command& command : bundle::tools::trust_commands()) all.push_back(std::move(command));
  return bundle::tools::run_tool(
      "bundle-make", "builds signed release bundles for sites without a network", all, argc, argv);
}
