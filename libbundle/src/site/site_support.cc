#include "bundle/site_support.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>

#include "base/time.h"
#include "bundle/error.h"
#include "bundle/json_report.h"
#include "cluster/watch.h"
#include "codec/gzip_writer.h"
#include "codec/tar.h"
#include "crypto/verified_copy.h"
#include "io/process.h"
#include "release/site_config.h"
#include "site/secret_filter.h"
#include "site/upgrade_journal.h"
#include "source/site_release.h"

namespace bundle {
namespace {

using store::SiteStore;

constexpr std::chrono::seconds kCommandLimit{60};
constexpr std::uint64_t kMaxSecretBytes = 64 * 1024;

// The end of a file: what happened last matters most.
std::string read_tail(FileSystem& fs, const Path& path, std::uint64_t limit) {
  const auto file = fs.open(path);
  const std::uint64_t size = file->size();
  std::uint64_t at = size > limit ? size - limit : 0;
  Bytes content(static_cast<std::size_t>(size - at));
  std::size_t filled = 0;
  while (filled < content.size()) {
    const std::size_t got = file->read_at(at + filled, std::span(content).subspan(filled));
    if (got == 0) break;
    filled += got;
  }
  content.resize(filled);
  return std::string(as_text(content));
}

class SupportArchive {
 public:
  SupportArchive(const SupportBundleOptions& options, Progress& progress, const Cancel& cancel)
      : options_(options),
        progress_(progress),
        cancel_(cancel),
        store_(source::open_store(options.store)),
        fs_(store_->fs()) {}

  SupportBundleReport write() {
    read_site();
    const Path out = options_.out;
    const Path part = out.parent_path() / ("." + out.filename().string() + ".part");
    fs_.remove(part);
    try {
      const auto file = fs_.open_writable(part);
      std::filesystem::permissions(part, std::filesystem::perms(0600));
      codec::GzipWriter gzip(*file);
      codec::TarWriter tar(gzip);
      tar_ = &tar;
      add_all();
      tar.finish();
      gzip.finish();
      file->sync();
      report_.bytes = file->size();
    } catch (...) {
      fs_.remove(part);
      throw;
    }
    fs_.rename(part, out);
    fs_.sync_directory(out.parent_path().empty() ? Path(".") : out.parent_path());
    report_.file = out;
    return std::move(report_);
  }

 private:
  void add_all() {
    add("versions.txt", [this] { return versions(); });
    add("status.json", [this] { return to_json(site_status(options_.store)); });
    add("trust.json", [this] { return to_json(site_trust(options_.store)); });
    add_file("audit.log", store_->root() / "audit.log");
    add_file("upgrade.json", site::journal_path(*store_));
    add_file("site.yaml", site_file());
    for (const auto& release : store_->releases()) {
      const std::string name = "releases/" + release.version;
      add_file(name + "/statement.json", store_->release_dir(release.version) / "statement.json");
      add_file(name + "/manifest.json", store_->release_dir(release.version) / "manifest.json");
    }
    if (options_.audit) {
      add("store-audit.json",
          [this] { return to_json(audit_store(options_.store, 0, progress_, cancel_)); });
    }
    if (site_.cluster) add("cluster.txt", [this] { return cluster_text(); });
    add_units();
    std::string notes;
    for (const std::string& note : report_.notes) notes += note + "\n";
    put("notes.txt", notes);
  }

  template <typename Make>
  void add(const std::string& name, Make make) {
    cancel_.check();
    progress_.phase("collecting " + name, 0);
    std::string text;
    try {
      text = make();
    } catch (const Error& error) {
      if (error.code() == ErrorCode::cancelled) throw;
      report_.notes.push_back(fmt::format("{}: {}", name, error.message()));
      return;
    }
    put(name, text);
  }

  void add_file(const std::string& name, const Path& path) {
    if (!fs_.status(path)) return;
    add(name, [this, &path] { return read_tail(fs_, path, kMaxSupportPart); });
  }

  void put(const std::string& name, std::string_view text) {
    site::FilteredText filtered = site::filter_secrets(text.substr(0, kMaxSupportPart), secrets_);
    report_.removed += filtered.removed;
    MemorySource source(as_bytes(filtered.text));
    tar_->add_file("support/" + name, 0644, current_time(), filtered.text.size(), source);
    report_.entries.push_back(name);
  }

  Path site_file() const {
    return options_.site.empty() ? store_->root() / "site.yaml" : options_.site;
  }

  // The site's configuration, and the secrets that it leads to: they are looked for by their text.
  void read_site() {
    try {
      if (!fs_.status(site_file())) return;
      site_ = release::parse_site_config(
          read_text_file(fs_, site_file(), release::kMaxSiteConfigBytes), site_file().string());
    } catch (const Error& error) {
      report_.notes.push_back(error.message());
    }
    if (site_.cluster) learn_kubeconfig();
    const Path server = site_.k3s.value_or(release::K3sSettings{}).data_directory / "server";
    for (const char* const name : {"token", "agent-token", "node-token"}) learn(server / name);
  }

  void learn_kubeconfig() {
    try {
      const auto access =
          cluster::load_kubeconfig(fs_, site_.cluster->kubeconfig, site_.cluster->context);
      if (!access.token.empty()) secrets_.push_back(access.token);
      if (!access.tls.client_key_pem.empty()) {
        secrets_.push_back(access.tls.client_key_pem);
        secrets_.push_back(to_base64(as_bytes(access.tls.client_key_pem)));
      }
    } catch (const Error& error) {
      report_.notes.push_back(error.message());
    }
  }

  void learn(const Path& path) {
    try {
      if (!fs_.status(path)) return;
      std::string secret = read_text_file(fs_, path, kMaxSecretBytes);
      while (!secret.empty() && secret.back() == '\n') secret.pop_back();
      secrets_.push_back(secret);
      // "K10<hash>::server:<password>": the last part alone is a secret, too.
      const auto colon = secret.rfind(':');
      if (colon != secret.npos) secrets_.push_back(secret.substr(colon + 1));
    } catch (const Error& error) {
      report_.notes.push_back(error.message());
    }
  }

  std::string versions() {
    struct utsname machine {};
    ::uname(&machine);
    std::string text =
        fmt::format("bundle {}\n{} {} {}\nclock {}\n", options_.tool_version, machine.sysname,
                    machine.release, machine.machine, format_time(current_time()));
    const Path os = "/etc/os-release";
    if (fs_.status(os)) text += read_tail(fs_, real_path(os), kMaxSecretBytes);
    return text;
  }

  std::string cluster_text() {
    cluster::ClusterWatch watch(fs_, *site_.cluster, progress_, cancel_);
    const cluster::ClusterState state = watch.state();
    std::string text;
    for (const auto& node : state.nodes) {
      text += fmt::format("node {} {} {} {}\n", node.name, node.version,
                          node.ready ? "ready" : "NOT READY", node.reason);
    }
    for (const auto& object : state.objects) {
      text += fmt::format("{} {} {}{} {}\n", object.text(), object.revision,
                          object.ready ? "ready" : "NOT READY",
                          object.suspended ? ", suspended" : "", object.message);
    }
    return text;
  }

  void add_units() {
    const bool by_name = !options_.units.empty();
    std::vector<std::string> units = options_.units;
    if (!by_name) units.assign(std::begin(kSupportUnits), std::end(kSupportUnits));
    for (const std::string& unit : units) {
      add("units/" + unit + ".status", [&] {
        return output_of(
            {"/usr/bin/systemctl", "status", "--no-pager", "--full", "--lines=0", unit});
      });
      add("units/" + unit + ".log", [&] {
        return output_of({"/usr/bin/journalctl", "--no-pager", "--output=short-iso", "--unit", unit,
                          "--lines", std::to_string(options_.log_lines)});
      });
    }
  }

  // Whatever its status: systemctl ends with 3 for a unit that is stopped.
  std::string output_of(std::vector<std::string> command) {
    if (!fs_.status(command.front())) {
      throw Error(ErrorCode::not_found, fmt::format("there is no {}", command.front()));
    }
    return run_process({std::move(command), {"LANG=C.UTF-8"}, "/", kCommandLimit, kMaxSupportPart},
                       cancel_)
        .output;
  }

  const SupportBundleOptions& options_;
  Progress& progress_;
  const Cancel& cancel_;
  std::shared_ptr<SiteStore> store_;
  FileSystem& fs_;
  release::SiteConfig site_;
  std::vector<std::string> secrets_;
  codec::TarWriter* tar_ = nullptr;
  SupportBundleReport report_;
};

}  // namespace

SupportBundleReport write_support_bundle(const SupportBundleOptions& options, Progress& progress,
                                         const Cancel& cancel) {
  return SupportArchive(options, progress, cancel).write();
}

ExtractReport extract_file(const std::filesystem::path& root, const std::string& wanted,
                           const std::string& name, const std::filesystem::path& out) {
  const auto store = source::open_store(root);
  const std::string version = wanted.empty() ? store->active_version().value_or("") : wanted;
  if (version.empty()) {
    throw Error(ErrorCode::release_unknown, "no release is active",
                "Name one with --release; 'bundle-import list' shows them.");
  }
  store->release(version);
  const trust::TrustState state(store->fs(), store->trust_dir());
  source::verify_documents(*store, source::verify_release(*store, state, version));
  const release::Manifest manifest = source::read_manifest(*store, version);
  const release::FileArtifact* file = manifest.find_file(name);
  if (file == nullptr) {
    throw Error(ErrorCode::not_found, fmt::format("release {} has no file {}", version, name),
                "bundle-make inspect of its bundle shows the names.");
  }
  const auto status = store->fs().status(out);
  const bool folder = status && status->kind == FileKind::directory;
  const Path target = folder ? out / name : out;
  copy_into_place(store->fs(), store->blob_path(file->content), target, file->mode, &file->content);
  return {target, version, file->size, file->content.hex()};
}

}  // namespace bundle
