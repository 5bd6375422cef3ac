// bundle-import: brings releases into a site store and keeps it in order.
#include <fmt/format.h>

#include "bundle-import/push.h"
#include "bundle-import/support.h"
#include "bundle-import/trust.h"
#include "bundle-import/upgrade.h"
#include "bundle/error.h"
#include "bundle/import.h"
#include "bundle/json_report.h"
#include "bundle/seed.h"
#include "bundle/site.h"
#include "bundle/site_setup.h"
#include "common/cli.h"

namespace {

using bundle::tools::add_gate_options;
using bundle::tools::Command;
using bundle::tools::format_size;
using bundle::tools::gate_options;
using bundle::tools::Invocation;

auto string_value() {
  return cxxopts::value<std::string>();
}

void add_store(cxxopts::OptionAdder& add) {
  add("store", "folder of the site store", string_value());
}

void add_import_options(cxxopts::OptionAdder& add) {
  add_store(add);
  add("trust", "the vendor's public key or trust root; needed once, then it is pinned",
      string_value());
  add("trust-fingerprint", "pin the key on the medium that has this fingerprint", string_value());
  add("channel", "only the release that this channel stands at, by a pointer that has not expired",
      string_value());
  add("release", "of an origin: this release in place of the channel's", string_value());
  add("origin-ca", "PEM file or folder for a web server with a private authority", string_value());
  add("origin-credentials", "file with USER:PASSWORD or 'Bearer TOKEN' for a web server",
      string_value());
  add("origin-region", "REGION: sign requests for an object store; keys from --origin-credentials",
      string_value());
  add("limit-rate", "bytes a second from a web server, like 500K", string_value());
  add("connections", "to a web server", cxxopts::value<unsigned>()->default_value("4"));
  add("jobs", "worker threads (default: one a core)",
      cxxopts::value<unsigned>()->default_value("0"));
}

bundle::ImportOptions import_options(const Invocation& call) {
  bundle::ImportOptions options;
  options.sources.assign(call.arguments.begin(), call.arguments.end());
  if (options.sources.empty()) call.only_argument("source (a folder, volume or address)");
  options.store = call.required("store");
  options.trust = call.text("trust");
  options.trust_fingerprint = call.text("trust-fingerprint");
  options.channel = call.text("channel");
  options.jobs = call.options["jobs"].as<unsigned>();
  options.version = call.text("release");
  options.access.ca = call.text("origin-ca");
  options.access.credentials = call.text("origin-credentials");
  options.access.s3_region = call.text("origin-region");
  if (call.has("limit-rate"))
    options.access.bytes_per_second = bundle::tools::parse_size(call.text("limit-rate"));
  options.access.connections = call.options["connections"].as<unsigned>();
  return options;
}

void print_plan(const bundle::ImportPlanReport& plan) {
  fmt::print("{} {} (release number {}), made {}, expires {}\n", plan.product, plan.version,
             plan.release_number, plan.created, plan.expires);
  fmt::print("  signature: good, by {}\n", fmt::join(plan.signers, ", "));
  fmt::print("  at this site already: {} of {} blobs, {}\n", plan.blobs_present, plan.blobs_total,
             format_size(plan.bytes_present));
  fmt::print("  new: {} blobs, {}\n", plan.blobs_new, format_size(plan.bytes_new));
}

void plan(const Invocation& call) {
  const auto report = bundle::plan_import(import_options(call), call.cancel);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  print_plan(report);
  fmt::print("  to read: {}, about {} min\n", format_size(report.bytes_to_read),
             report.seconds_estimate / 60 + 1);
  fmt::print("  disk needed: {} of {} free\n", format_size(report.disk_needed),
             format_size(report.disk_free));
  if (report.blobs_waiting > 0) {
    fmt::print("  {} blobs wait for volume {} of {}; {} would be kept at the site meanwhile\n",
               report.blobs_waiting, fmt::join(report.volumes_missing, ", "), report.volumes_total,
               format_size(report.bytes_staged));
  }
  if (report.already_imported) fmt::print("  this release was imported before\n");
  if (report.compared_with.empty()) return;
  fmt::print("what changes from {}, which is live:\n", report.compared_with);
  bundle::tools::print_changes(report.changes);
  for (const auto& note : report.notes) fmt::print("note: {}\n", note);
}

void import(const Invocation& call) {
  auto options = import_options(call);
  options.repair = call.has("repair");
  const auto report = bundle::import_release(options, call.progress, call.cancel);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  print_plan(report.plan);
  if (report.plan.already_imported && report.bytes_written == 0 && !options.repair) {
    fmt::print("this release is here already; --repair reads every blob of it again\n");
  }
  fmt::print("imported: {} written, {} read from the medium, {:.0f} s\n",
             format_size(report.bytes_written), format_size(report.bytes_read), report.seconds);
  fmt::print("next: bundle-import activate {} --store {}\n", report.plan.version,
             options.store.string());
}

void have(const Invocation& call) {
  bundle::tools::print_inventory(call, bundle::site_inventory(call.required("store")));
}

void print_releases(const std::vector<bundle::SiteRelease>& releases) {
  if (releases.empty()) fmt::print("no release has been imported\n");
  for (const auto& release : releases) {
    fmt::print("{} {} {:<12} {:>10}  made {}  {}\n", release.active ? "*" : " ", release.product,
               release.version, format_size(release.bytes), release.created,
               release.complete ? "complete" : "INCOMPLETE");
    if (!release.revoked.empty()) fmt::print("    REVOKED: {}\n", release.revoked);
  }
}

void list(const Invocation& call) {
  const auto releases = bundle::list_releases(call.required("store"));
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(releases));
  } else {
    print_releases(releases);
  }
}

void status(const Invocation& call) {
  const auto status = bundle::site_status(call.required("store"));
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(status));
    return;
  }
  fmt::print("active: {}\n", status.active.empty() ? "none" : status.active);
  print_releases(status.releases);
  fmt::print("store: {} blobs, {}; {} free\n", status.blobs, format_size(status.bytes),
             format_size(status.disk_free));
  fmt::print("trust: {}\n",
             status.trust_fingerprint.empty() ? "no key pinned" : status.trust_fingerprint);
  for (const auto& id : status.unfinished) {
    fmt::print(
        "unfinished import of bundle {}: run the import again, or give it up with gc "
        "--unfinished\n",
        id);
  }
  bundle::tools::print_last_upgrade(status.upgrade);
  for (const auto& name : status.backups) fmt::print("backup: {}\n", name);
}

void verify(const Invocation& call) {
  const auto audit = bundle::audit_store(call.required("store"), 0, call.progress, call.cancel);
  if (call.json) fmt::print("{}\n", bundle::to_json(audit));
  if (!call.json) {
    for (const auto& problem : audit.problems) {
      fmt::print("release {}: {} {}\n", problem.release, problem.digest, problem.problem);
    }
    for (const auto& name : audit.leftovers) fmt::print("leftover: {}\n", name);
  }
  if (!audit.problems.empty()) {
    throw bundle::Error(bundle::ErrorCode::store_corrupt,
                        fmt::format("{} problems in the store", audit.problems.size()),
                        "Import the named releases again with --repair: only what is damaged or "
                        "missing is written.");
  }
  if (!call.json) {
    fmt::print("good: {} blobs, {}, all match their digests\n", audit.blobs,
               format_size(audit.bytes));
  }
}

void print_activation(const Invocation& call, const bundle::Activation& activation) {
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(activation));
    return;
  }
  bundle::tools::print_hooks(activation.gate);
  bundle::tools::print_notes(activation.gate.notes);
  if (activation.from == activation.to) {
    fmt::print("{} is active already\n", activation.to);
  } else {
    fmt::print("active: {} (was {})\n", activation.to,
               activation.from.empty() ? "none" : activation.from);
  }
}

void activate(const Invocation& call) {
  print_activation(
      call, bundle::activate_release(call.required("store"), call.only_argument("version"), false,
                                     gate_options(call), call.progress, call.cancel));
}

void print_answer(const bundle::GateAnswer& answer) {
  if (answer.allowed) fmt::print("allowed: {}\n", answer.reason);
  for (const auto& refusal : answer.refusals) {
    fmt::print("refused ({}): {}\n", refusal.rule, refusal.reason);
    if (refusal.next_step != answer.next_step) fmt::print("    {}\n", refusal.next_step);
  }
  bundle::tools::print_hooks(answer);
  if (answer.outside_window) fmt::print("outside the maintenance window, as asked\n");
  bundle::tools::print_notes(answer.notes);
  if (!answer.allowed) fmt::print("next: {}\n", answer.next_step);
}

void gate(const Invocation& call) {
  const auto answer = bundle::check_gate(call.required("store"), call.only_argument("version"),
                                         call.has("rollback"), gate_options(call),
                                         call.has("run-hooks"), call.progress, call.cancel);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(answer));
  } else {
    print_answer(answer);
  }
  if (!answer.allowed) throw bundle::tools::QuietExit{bundle::exit_status(answer.error)};
}

void collect(const Invocation& call) {
  bundle::CollectOptions options;
  options.keep = call.options["keep"].as<std::size_t>();
  if (call.has("remove")) options.remove = call.options["remove"].as<std::vector<std::string>>();
  options.drop_unfinished = call.has("unfinished");
  options.dry_run = call.has("dry-run");
  const auto report = bundle::collect_garbage(call.required("store"), options);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  const char* const verb = options.dry_run ? "would remove" : "removed";
  for (const auto& version : report.releases) fmt::print("{} release {}\n", verb, version);
  fmt::print("{} {} blobs, {}\n", verb, report.blobs, format_size(report.bytes));
}

void gen_cert(const Invocation& call) {
  bundle::CertificateOptions options;
  options.folder = call.required("out");
  if (call.has("name")) options.names = call.options["name"].as<std::vector<std::string>>();
  options.client = call.text("client");
  options.days = call.options["days"].as<unsigned>();
  const auto report = bundle::generate_certificates(options);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  fmt::print(
      "{}: for {}, until {}\n", report.certificate.string(),
      options.client.empty() ? fmt::format("{}", fmt::join(report.names, ", ")) : options.client,
      report.expires);
  fmt::print("key: {} (keep it secret)\n", report.key.string());
  fmt::print("authority: {}{}\n  SHA-256 {}\n", report.authority.string(),
             report.new_authority ? " (new)" : "", report.fingerprint);
}

void k3s_config(const Invocation& call) {
  bundle::ClusterConfigOptions options;
  options.endpoint = call.required("endpoint");
  options.folder = call.required("out");
  options.ca_file = call.text("ca");
  options.user = call.text("user");
  options.password_file = call.text("password-file");
  options.store = call.text("store");
  if (call.has("node-ca-path")) options.node_ca_path = call.text("node-ca-path");
  if (call.has("flux-namespace")) options.flux_namespace = call.text("flux-namespace");
  const auto report = bundle::write_cluster_config(options);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  for (const auto& file : report.files) fmt::print("{}\n", file.string());
}

void seed(const Invocation& call) {
  bundle::SeedOptions options;
  options.store = call.required("store");
  if (!call.arguments.empty()) options.version = call.only_argument("version");
  options.site = call.text("site");
  options.out = call.required("out");
  options.git = call.text("git");
  options.ca_file = call.text("ca");
  options.cosign_key = call.text("cosign-key");
  options.dry_run = call.has("dry-run");
  const auto report = bundle::write_seed(options, call.cancel);
  if (call.json) {
    fmt::print("{}\n", bundle::to_json(report));
    return;
  }
  fmt::print("seed of {} {} ({}), desired state {}\n", report.product, report.version,
             report.profile, report.digest);
  for (const auto& file : report.files) {
    fmt::print("  {}{}\n", options.dry_run ? "would write " : "", (options.out / file).string());
  }
  if (!report.commit.empty()) fmt::print("commit: {}\n", report.commit);
  for (const auto& note : report.notes) fmt::print("note: {}\n", note);
}

std::vector<Command> commands() {
  return {
      {"plan", "SRC... --store DIR [--trust PUB|ROOT]",
       "show what an import would do; writes nothing",
       "  bundle-import plan /media/stick --store /var/lib/bundle --trust vendor.pub\n",
       add_import_options, plan},
      {"import", "SRC... --store DIR [--trust PUB|ROOT]",
       "take a release in; continues after an interruption",
       "  bundle-import import /media/stick --store /var/lib/bundle --trust vendor.pub\n"
       "  bundle-import import /media/stick2 --store /var/lib/bundle        the second stick\n"
       "  bundle-import import https://origin.example.com/app --channel stable --store "
       "/var/lib/bundle\n"
       "  bundle-import import /media/stick/mirror --channel stable --store /var/lib/bundle    "
       "another store\n"
       "  bundle-import import /media/stick --store /var/lib/bundle --repair    after 'verify'\n",
       [](auto& add) {
         add_import_options(add);
         add("repair", "of a release that is here: read every blob, replace the damaged ones");
       },
       import},
      {"status", "--store DIR", "what is live, what is there, how much room is left", "", add_store,
       status},
      {"list", "--store DIR", "the releases in the store", "", add_store, list},
      {"have", "--store DIR", "the inventory of this site, from which the vendor makes a delta",
       "  bundle-import have --store /var/lib/bundle > /media/stick/site-7.have\n", add_store,
       have},
      {"verify", "--store DIR", "read every blob and compare digests and signatures", "", add_store,
       verify},
      {"activate", "VERSION --store DIR", "make an imported release the live one",
       "  bundle-import activate 1.4.0 --store /var/lib/bundle\n"
       "  bundle-import activate 1.4.1 --store /var/lib/bundle --outside-window 'security fix'\n",
       [](auto& add) {
         add_store(add);
         add_gate_options(add);
       },
       activate},
      {"gate", "VERSION --store DIR", "may this release be activated, and if not, why",
       "  bundle-import gate 1.4.0 --store /var/lib/bundle\n"
       "  bundle-import gate 1.4.0 --store /var/lib/bundle --run-hooks --json\n",
       [](auto& add) {
         add_store(add);
         add("rollback", "as a deliberate step back");
         add("run-hooks", "also run the preflight hooks, if no other rule refuses");
         add_gate_options(add);
       },
       gate},
      {"gc", "--store DIR", "remove old releases and what nothing needs; works on a full disk",
       "  bundle-import gc --store /var/lib/bundle --dry-run\n",
       [](auto& add) {
         add_store(add);
         add("keep", "newest releases to keep, besides the active one",
             cxxopts::value<std::size_t>()->default_value("3"));
         add("remove", "remove exactly this version; may be repeated",
             cxxopts::value<std::vector<std::string>>());
         add("unfinished", "also give up imports that have not ended");
         add("dry-run", "only say what would be removed");
       },
       collect},
      {"gen-cert", "--out DIR --name NAME...",
       "make or renew the site's authority and the registry's certificate",
       "  bundle-import gen-cert --out /etc/bundle/tls --name registry.example.com --name "
       "192.0.2.10\n"
       "  bundle-import gen-cert --out /etc/bundle/tls                    renews with the same "
       "names\n"
       "  bundle-import gen-cert --out /etc/bundle/tls --client node-1    for mutual TLS\n",
       [](auto& add) {
         add("out", "folder for ca.pem, ca.key, server.pem, server.key", string_value());
         add("name", "DNS name or IP address of the registry; may be repeated",
             cxxopts::value<std::vector<std::string>>());
         add("client", "make a client certificate of this name instead", string_value());
         add("days", "how long it is valid", cxxopts::value<unsigned>()->default_value("825"));
       },
       gen_cert},
      {"k3s-config", "--endpoint URL --out DIR",
       "write the files that send k3s and Flux to this site's registry",
       "  bundle-import k3s-config --endpoint https://registry.example.com:5000 --ca "
       "/etc/bundle/tls/ca.pem \\\n"
       "      --user node --password-file node.password --out k3s\n",
       [](auto& add) {
         add_store(add);
         add("endpoint", "https://HOST:PORT of the registry, or http:// without TLS",
             string_value());
         add("out", "folder for registries.yaml and the others", string_value());
         add("ca", "certificate of the registry's authority", string_value());
         add("node-ca-path", "where nodes keep that certificate", string_value());
         add("user", "user that nodes and Flux log in as", string_value());
         add("password-file", "file with that user's password or token", string_value());
         add("flux-namespace", "namespace of the secrets (default: flux-system)", string_value());
       },
       k3s_config},
      {"seed", "[VERSION] --store DIR --out DIR",
       "write what a fresh cluster needs so that Flux brings it to the release",
       "  bundle-import seed --store /var/lib/bundle --site site.yaml --out seed --cosign-key "
       "cosign.pub\n"
       "  cp seed/manifests/*.yaml /var/lib/rancher/k3s/server/manifests/\n"
       "  bundle-import seed 1.4.0 --store /var/lib/bundle --out seed --git /srv/git/appliance\n",
       [](auto& add) {
         add_store(add);
         add("site", "the site's configuration (default: STORE/site.yaml)", string_value());
         add("out", "folder for the manifests; an earlier seed there is replaced", string_value());
         add("git", "also commit the desired state to this Git repository, and take it from there",
             string_value());
         add("ca", "certificate of the registry's authority, for Flux", string_value());
         add("cosign-key", "the vendor's public key for the cluster, for Flux", string_value());
         add("dry-run", "only say what would be written");
       },
       seed},
  };
}

}  // namespace

int main(int argc, char** argv) {
  auto all = commands();
  all.push_back(bundle::tools::push_command());
  for (Command& command : bundle::tools::upgrade_commands()) all.push_back(std::move(command));
  for (Command& command : bundle::tools::support_commands()) all.push_back(std::move(command));
  for (Command& command : bundle::tools::trust_commands()) all.push_back(std::move(command));
  return bundle::tools::run_tool("bundle-import", "brings signed releases into a site store", all,
                                 argc, argv);
}
