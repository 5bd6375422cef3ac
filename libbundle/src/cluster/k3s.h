// One change of k3s on the nodes of a site: staged, saved, node after node, and back.
// Facts: docs.k3s.io "Air-Gap Install", "Importing images", "etcd-snapshot", "Roll Back K3s";
// the version skew policy of Kubernetes: servers one after the other, then agents.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/commands.h"
#include "cluster/watch.h"
#include "crypto/digest.h"

namespace bundle::cluster {

// A file of the release, as it lies in the site store.
struct K3sFile {
  std::string name;  // "k3s-airgap-images-amd64.tar.zst"
  Path blob;
  Digest digest;
};

struct K3sChange {
  std::string from;  // "v1.31.6+k3s1"; empty: k3s was not installed yet
  std::string to;
  K3sFile binary;
  std::vector<K3sFile> images;  // archives for agent/images
  Path keep;                    // folder for the snapshot; made when it is not there
  std::vector<Machine> machines;
};

// What is done, in words or as the command line, and how. The same list is printed by a dry run.
struct Action {
  std::string text;
  std::function<void()> run;
};

// Every action may be run again after it was cut short. Not thread-safe.
class K3sTrack {
 public:
  // `watch` is null for a site without a kubeconfig: then nothing is waited for. All must outlive
  // this object.
  K3sTrack(FileSystem& fs, CommandRunner& commands, ClusterWatch* watch, K3sChange change)
      : fs_(fs), commands_(commands), watch_(watch), change_(std::move(change)) {}

  // New images and binary lie beside the old ones, on every machine; nothing uses them yet.
  std::vector<Action> stage();
  // etcd: a snapshot; SQLite: k3s stops, its database and token are copied, k3s starts.
  std::vector<Action> snapshot(const std::string& name);
  // After a snapshot that was cut short: k3s runs again.
  std::vector<Action> start_again() { return {run_named("start", change_.machines.front())}; }
  // One machine: drained if there are others, k3s replaced, ready again, uncordoned.
  std::vector<Action> change(const Machine& machine);
  // All of these machines back to the old binary and the datastore of the snapshot. With a
  // datastore that newer code has written, the old binary alone would not do.
  std::vector<Action> back(const std::vector<Machine>& changed, const std::string& name);
  // Images of other releases than these two are taken away: k3s imports all of them at each start.
  // So are the snapshots of earlier changes, but for the newest: none but the last can lead back.
  std::vector<Action> clean();
  // Whether the disks of this machine have room for what stage(), snapshot() and the exchange of
  // the binary write. Throws Error{no_space} naming folder and bytes.
  void require_room() const;

 private:
  bool uses_etcd() const;
  bool high_availability() const { return change_.machines.size() > 1; }
  Path images_dir() const { return commands_.settings().data_directory / "agent" / "images"; }
  Path database() const { return commands_.settings().data_directory / "server" / "db"; }
  Path staged_binary(const std::string& version) const;
  std::string image_file(const std::string& version, const std::string& name) const;

  Action command(const release::CommandLine& words);
  Action run_named(std::string_view name, const Machine& machine, const Placeholders& more = {});
  Action place_file(const Path& from, const Path& to, std::uint32_t mode, const Digest* digest);
  void place(std::vector<Action>& actions, const Machine& machine, const K3sFile& file,
             const Path& to, const char* mode);
  void use_binary(std::vector<Action>& actions, const Machine& machine, const std::string& version);
  void wait_ready(std::vector<Action>& actions, const Machine& machine, const std::string& version);
  void restore_datastore(std::vector<Action>& actions, const Machine& machine,
                         const std::string& name);
  void copy_folder(const Path& from, const Path& to);
  void clean_snapshots(std::vector<Action>& actions);
  std::uint64_t file_size(const Path& path) const;
  std::uint64_t datastore_size() const;
  Path find_snapshot(const std::string& name) const;

  FileSystem& fs_;
  CommandRunner& commands_;
  ClusterWatch* watch_;
  K3sChange change_;
};

// The machines of a cluster in the order in which they are changed: this one, other servers,
// agents. Throws Error{not_found} when no node has the name `self`.
std::vector<Machine> machines_of(const std::vector<Node>& nodes, const std::string& self);

}  // namespace bundle::cluster
