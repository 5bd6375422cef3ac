#include "cluster/k3s.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "bundle/error.h"
#include "crypto/verified_copy.h"
#include "release/gate_rules.h"

namespace bundle::cluster {
namespace {

constexpr std::string_view kImagePrefix = "bundle-";
constexpr std::string_view kTokenFile = "token";
constexpr std::size_t kKeptSnapshots = 2;  // of the last change, and of the one before for people

std::uint32_t octal(const char* text) {
  return static_cast<std::uint32_t>(std::stoul(text, nullptr, 8));
}

}  // namespace

std::vector<Machine> machines_of(const std::vector<Node>& nodes, const std::string& self) {
  std::vector<Machine> machines;
  const auto own = std::ranges::find(nodes, self, &Node::name);
  if (own == nodes.end()) {
    throw Error(ErrorCode::not_found, fmt::format("the cluster has no node '{}'", self),
                "Write this machine's name in the cluster into site.yaml (k3s.node).");
  }
  const auto service = [](const Node& node) { return node.server ? "k3s" : "k3s-agent"; };
  machines.push_back({self, "", service(*own)});
  for (const bool server : {true, false}) {
    for (const Node& node : nodes) {
      if (node.name == self || node.server != server) continue;
      if (node.address.empty()) {
        throw Error(ErrorCode::not_found, fmt::format("node {} has no InternalIP", node.name),
                    "Look at it: k3s kubectl get node " + node.name + " -o yaml.");
      }
      machines.push_back({node.name, node.address, service(node)});
    }
  }
  return machines;
}

bool K3sTrack::uses_etcd() const {
  return fs_.status(database() / "etcd").has_value();
}

// In the folder of the binary: a rename puts it into place.
Path K3sTrack::staged_binary(const std::string& version) const {
  return commands_.settings().binary.parent_path() / fmt::format(".k3s-{}", version);
}

// A new name for each version: k3s may not import a file of the same name and size again.
std::string K3sTrack::image_file(const std::string& version, const std::string& name) const {
  return fmt::format("{}{}-{}", kImagePrefix, version, name);
}

Action K3sTrack::command(const release::CommandLine& words) {
  return {shell_text(words), [this, words] { commands_.run(words); }};
}

Action K3sTrack::run_named(std::string_view name, const Machine& machine,
                           const Placeholders& more) {
  return command(commands_.on(machine, commands_.line(name, machine, more)));
}

Action K3sTrack::place_file(const Path& from, const Path& to, std::uint32_t mode,
                            const Digest* digest) {
  const std::optional<Digest> wanted = digest == nullptr ? std::nullopt : std::optional(*digest);
  return {fmt::format("copy {} to {}", from.string(), to.string()), [this, from, to, mode, wanted] {
            copy_into_place(fs_, from, to, mode, wanted ? &*wanted : nullptr);
          }};
}

// On another machine: copied beside its place, compared there, renamed.
void K3sTrack::place(std::vector<Action>& actions, const Machine& machine, const K3sFile& file,
                     const Path& to, const char* mode) {
  if (machine.address.empty()) {
    actions.push_back(place_file(file.blob, to, octal(mode), &file.digest));
    return;
  }
  const Path part = to.parent_path() / ("." + to.filename().string() + ".part");
  actions.push_back(command(commands_.on(machine, {"mkdir", "-p", to.parent_path().string()})));
  actions.push_back(command(
      commands_.line("copy", machine, {{"from", file.blob.string()}, {"to", part.string()}})));
  const std::string script = fmt::format(
      "echo \"$1  $2\" | sha256sum --check --quiet && chmod {} \"$2\" && sync \"$2\" && mv -f "
      "\"$2\" "
      "\"$3\"",
      mode);
  actions.push_back(command(commands_.on(
      machine, {"sh", "-c", script, "sh", file.digest.hex(), part.string(), to.string()})));
}

std::vector<Action> K3sTrack::stage() {
  std::vector<Action> actions;
  for (const Machine& machine : change_.machines) {
    const bool here = machine.address.empty();
    const Path cache = images_dir() / ".cache.json";
    // k3s keeps a record there only when the file exists: unchanged archives are skipped then.
    if (here) {
      actions.push_back(
          {fmt::format("create {} if it is not there", cache.string()), [this, cache] {
             fs_.create_directories(cache.parent_path());
             fs_.open_writable(cache);
           }});
    } else {
      actions.push_back(
          command(commands_.on(machine, {"sh", "-c", "mkdir -p \"$1\" && touch \"$1/.cache.json\"",
                                         "sh", images_dir().string()})));
    }
    for (const K3sFile& file : change_.images) {
      place(actions, machine, file, images_dir() / image_file(change_.to, file.name), "0644");
    }
    place(actions, machine, change_.binary, staged_binary(change_.to), "0755");
    if (change_.from.empty()) continue;
    // The way back needs the old one, whatever becomes of the store.
    const Path old = commands_.settings().binary;
    const Path kept = staged_binary(change_.from);
    if (here) {
      actions.push_back(
          {fmt::format("keep {} as {}", old.string(), kept.string()), [this, old, kept] {
             if (!fs_.status(kept)) copy_into_place(fs_, old, kept, 0755, nullptr);
           }});
    } else {
      actions.push_back(command(commands_.on(
          machine,
          {"sh", "-c", "test -e \"$2\" || { cp \"$1\" \"$2.part\" && mv \"$2.part\" \"$2\"; }",
           "sh", old.string(), kept.string()})));
    }
  }
  return actions;
}

Path K3sTrack::find_snapshot(const std::string& name) const {
  std::string newest;  // k3s ends the name with node and time
  for (const std::string& file : fs_.list(change_.keep)) {
    if (file.starts_with(name) && !file.ends_with(kTokenFile)) newest = std::max(newest, file);
  }
  if (!newest.empty()) return change_.keep / newest;
  throw Error(ErrorCode::not_found,
              fmt::format("{} has no snapshot {}", change_.keep.string(), name),
              "Without it k3s cannot go back. Look into that folder and into the k3s log.");
}

void K3sTrack::copy_folder(const Path& from, const Path& to) {
  fs_.create_directories(to);
  for (const std::string& name : fs_.list(from)) {
    const auto status = fs_.status(from / name);
    if (!status || status->kind != FileKind::regular) continue;
    copy_into_place(fs_, from / name, to / name, status->mode, nullptr);
  }
}

std::vector<Action> K3sTrack::snapshot(const std::string& name) {
  std::vector<Action> actions;
  const Machine& here = change_.machines.front();
  actions.push_back({fmt::format("create {}", change_.keep.string()), [this] {
                       fs_.create_directories(change_.keep);
                       std::filesystem::permissions(change_.keep,
                                                    std::filesystem::perms::owner_all);
                     }});
  const Path token = database().parent_path() / kTokenFile;
  if (uses_etcd()) {
    actions.push_back(
        run_named("snapshot", here, {{"name", name}, {"directory", change_.keep.string()}}));
    actions.push_back(
        {"look whether the snapshot is there", [this, name] { find_snapshot(name); }});
  } else {
    const Path copy = change_.keep / name;
    actions.push_back(run_named("stop", here));
    actions.push_back({fmt::format("copy {} to {}", database().string(), copy.string()),
                       [this, copy] { copy_folder(database(), copy); }});
    actions.push_back(run_named("start", here));
  }
  if (fs_.status(token)) {
    actions.push_back(
        place_file(token, change_.keep / (name + "." + std::string(kTokenFile)), 0600, nullptr));
  }
  return actions;
}

void K3sTrack::use_binary(std::vector<Action>& actions, const Machine& machine,
                          const std::string& version) {
  const Path staged = staged_binary(version);
  const Path binary = commands_.settings().binary;
  if (machine.address.empty()) {
    actions.push_back(place_file(staged, binary, 0755, nullptr));
    return;
  }
  actions.push_back(command(commands_.on(
      machine, {"sh", "-c", "cp \"$1\" \"$2.part\" && sync \"$2.part\" && mv -f \"$2.part\" \"$2\"",
                "sh", staged.string(), binary.string()})));
}

void K3sTrack::wait_ready(std::vector<Action>& actions, const Machine& machine,
                          const std::string& version) {
  if (watch_ == nullptr) return;
  actions.push_back({fmt::format("wait until node {} is ready with {}", machine.node, version),
                     [this, node = machine.node, version] {
                       watch_->wait_for_node(node, version, commands_.settings().time_limit);
                     }});
}

std::vector<Action> K3sTrack::change(const Machine& machine) {
  std::vector<Action> actions;
  // kubectl runs here, whatever node it is about.
  const bool first = change_.from.empty();
  if (high_availability()) actions.push_back(command(commands_.line("drain", machine)));
  if (!first) actions.push_back(run_named("stop", machine));
  use_binary(actions, machine, change_.to);
  actions.push_back(run_named("start", machine));
  wait_ready(actions, machine, change_.to);
  if (high_availability()) actions.push_back(command(commands_.line("uncordon", machine)));
  return actions;
}

void K3sTrack::restore_datastore(std::vector<Action>& actions, const Machine& machine,
                                 const std::string& name) {
  if (uses_etcd()) {
    const std::string snapshot = find_snapshot(name).string();
    actions.push_back(run_named("restore", machine, {{"snapshot", snapshot}}));
    return;
  }
  const Path copy = change_.keep / name;
  actions.push_back(
      {fmt::format("copy {} to {}", copy.string(), database().string()), [this, copy] {
         for (const std::string& file : fs_.list(database())) {
           if (file.starts_with("state.db")) fs_.remove(database() / file);
         }
         copy_folder(copy, database());
       }});
}

// All stop before the datastore goes back; the others take it from the first server.
std::vector<Action> K3sTrack::back(const std::vector<Machine>& changed, const std::string& name) {
  std::vector<Action> actions;
  if (changed.empty()) return actions;
  const auto is_changed = [&](const Machine& machine) {
    return std::ranges::find(changed, machine.node, &Machine::node) != changed.end();
  };
  const auto is_server = [](const Machine& machine) { return machine.service == "k3s"; };
  for (const Machine& machine : change_.machines) {
    if (is_server(machine) || is_changed(machine)) actions.push_back(run_named("kill", machine));
  }
  for (const Machine& machine : change_.machines) {
    const bool first = machine.node == change_.machines.front().node;
    const bool server = is_server(machine);
    const bool was_changed = is_changed(machine);
    if (was_changed) use_binary(actions, machine, change_.from);
    if (first) restore_datastore(actions, machine, name);
    if (!first && server) {
      actions.push_back(command(commands_.on(machine, {"rm", "-rf", database().string()})));
    }
    if (!was_changed && !server) continue;
    actions.push_back(run_named("start", machine));
    wait_ready(actions, machine, change_.from);
    if (high_availability()) actions.push_back(command(commands_.line("uncordon", machine)));
  }
  return actions;
}

std::vector<Action> K3sTrack::clean() {
  std::vector<Action> actions;
  if (!fs_.status(images_dir())) return actions;
  for (const std::string& name : fs_.list(images_dir())) {
    const auto of = [&](const std::string& version) {
      return name.starts_with(fmt::format("{}{}-", kImagePrefix, version));
    };
    if (!name.starts_with(kImagePrefix) || of(change_.from) || of(change_.to)) continue;
    const Path file = images_dir() / name;
    actions.push_back(
        {fmt::format("remove {}", file.string()), [this, file] { fs_.remove(file); }});
  }
  clean_snapshots(actions);
  return actions;
}

// The name of a change begins with the second in which it began; whatever else lies there stays.
void K3sTrack::clean_snapshots(std::vector<Action>& actions) {
  const Path all = change_.keep.parent_path();
  if (!fs_.status(all)) return;
  std::vector<std::pair<std::uint64_t, std::string>> earlier;
  for (std::string& name : fs_.list(all)) {
    std::uint64_t begun = 0;
    const char* const end = name.data() + name.size();
    const auto [rest, problem] = std::from_chars(name.data(), end, begun);
    if (problem != std::errc() || rest == end || *rest != '-') continue;
    if (name != change_.keep.filename()) earlier.emplace_back(begun, std::move(name));
  }
  std::ranges::sort(earlier, std::ranges::greater{});
  for (std::size_t i = kKeptSnapshots - 1; i < earlier.size(); ++i) {
    const Path folder = all / earlier[i].second;
    actions.push_back(
        {fmt::format("remove {}", folder.string()), [this, folder] { fs_.remove_all(folder); }});
  }
}

std::uint64_t K3sTrack::file_size(const Path& path) const {
  const auto status = fs_.status(path);
  return status && status->kind == FileKind::regular ? status->size : 0;
}

std::uint64_t K3sTrack::datastore_size() const {
  if (change_.from.empty() || !fs_.status(database())) return 0;
  if (uses_etcd()) return file_size(database() / "etcd" / "member" / "snap" / "db");
  std::uint64_t size = 0;
  for (const std::string& name : fs_.list(database())) size += file_size(database() / name);
  return size;
}

void K3sTrack::require_room() const {
  struct Need {
    Path folder;  // the nearest that is there
    std::uint64_t bytes = 0;
  };
  std::map<std::uint64_t, Need> needs;  // by the device
  const auto add = [&](Path folder, std::uint64_t bytes) {
    auto status = fs_.status(folder);
    for (; !status && folder.has_relative_path(); status = fs_.status(folder)) {
      folder = folder.parent_path();
    }
    if (!status || bytes == 0) return;
    needs.try_emplace(status->device, Need{folder, 0}).first->second.bytes += bytes;
  };
  for (const K3sFile& file : change_.images) {
    if (fs_.status(images_dir() / image_file(change_.to, file.name))) continue;
    add(images_dir(), file_size(file.blob));
  }
  const Path programs = commands_.settings().binary.parent_path();
  // Beside its place, and once more while it is put there.
  if (!fs_.status(staged_binary(change_.to))) add(programs, file_size(change_.binary.blob));
  add(programs, file_size(change_.binary.blob));
  if (!change_.from.empty() && !fs_.status(staged_binary(change_.from))) {
    add(programs, file_size(commands_.settings().binary));
  }
  add(change_.keep, datastore_size());
  for (const auto& [device, need] : needs) {
    const std::uint64_t free = fs_.free_bytes(need.folder);
    if (free >= need.bytes) continue;
    throw Error(
        ErrorCode::no_space,
        fmt::format("changing k3s to {} needs {} on the disk of {}, and {} are free: {} are "
                    "missing",
                    change_.to, release::human_size(need.bytes), need.folder.string(),
                    release::human_size(free), release::human_size(need.bytes - free)),
        "Free that much there: bundle-import gc removes old releases, 'k3s crictl rmi "
        "--prune' images that nothing uses. Or leave k3s as it is: --app-only.");
  }
}

}  // namespace bundle::cluster
