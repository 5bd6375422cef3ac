// The part of a site store that the site fills itself: what was pushed into the registry. It lies
// beside the releases and apart from them, so that neither can harm the other: import, activate
// and gc never look here, and whoever writes here touches no release.
//
//   pushed/blobs/sha256/<hex>        exact bytes, one copy for all repositories
//   pushed/repositories/<hex>.json   one record a repository, named by the SHA-256 of its name
//   pushed/.lock                     held by the one writer: a registry that takes pushes
//
// A record is replaced by rename, after the blobs that it names are durable; a blob goes after the
// last record that names it. So what records say is whole after a kill at any moment, and files
// that no record names are leftovers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "crypto/digest.h"
#include "io/file_system.h"

namespace bundle::store {

// One repository; a record holds this much, and the registry keeps it in memory.
inline constexpr std::size_t kMaxPushedBlobs = 16'384;
inline constexpr std::size_t kMaxPushedManifests = 4096;
inline constexpr std::size_t kMaxPushedTags = 4096;
inline constexpr std::size_t kMaxPushedRepositories = 1024;
inline constexpr std::uint64_t kMaxPushedRecordBytes = 8 * 1024 * 1024;

struct PushedBlob {
  std::uint64_t size = 0;
  // Nanoseconds since 1970: the file was whole and hashed then, and not touched since if its ctime
  // is not later.
  std::int64_t stored_ns = 0;
  UnixTime linked = 0;  // when this repository got it
  bool operator==(const PushedBlob&) const = default;
};

struct PushedRepository {
  std::string name;                    // "team/app", "docker.io/team/app"
  std::map<Digest, PushedBlob> blobs;  // what may be pulled as a blob; the manifests' files, too
  std::set<Digest> manifests;          // each is among the blobs
  std::map<std::string, Digest, std::less<>> tags;  // each names one of the manifests

  bool empty() const { return blobs.empty(); }
  bool operator==(const PushedRepository&) const = default;
};

// Canonical JSON and a line end.
std::string write_pushed_record(const PushedRepository& repository);
// Strict. Throws Error{store_corrupt|json_invalid|limit} naming `what`.
PushedRepository parse_pushed_record(std::string_view text, std::string_view what);

Path pushed_dir(const Path& store_root);
Path pushed_blob_path(const Path& store_root, const Digest& digest);

struct PushedContent {
  std::vector<PushedRepository> repositories;
  std::vector<std::string> problems;  // records that cannot be read, in words
  std::set<std::string> unreadable;   // their file names
};
// Everything that was pushed; nothing when nothing ever was. Safe beside a writer in another
// process.
PushedContent read_pushed(FileSystem& fs, const Path& store_root);

// The one writer. Thread-safe.
class PushedWriter {
 public:
  // Makes pushed/ when it is not there, and removes what a killed writer has left. Throws
  // Error{busy} when another process has the lock, Error{read_only}.
  PushedWriter(FileSystem& fs, Path store_root);
  PushedWriter(const PushedWriter&) = delete;
  PushedWriter& operator=(const PushedWriter&) = delete;

  const PushedContent& found() const { return found_; }  // at the start
  // For an upload: on the disk of the blobs, without a name, gone with the process.
  std::unique_ptr<AnonymousFile> create_file() const;
  std::uint64_t free_bytes() const;

  // A blob to come with a change: its file is hashed and synced.
  struct NewBlob {
    Digest digest;
    AnonymousFile& file;
    // A file of this digest that is there already is known to be damaged.
    bool replace = false;
  };
  using Edit = std::function<void(PushedRepository&)>;
  // Changes one repository, durably; `edit` gets a copy in which `blob` is listed already, and may
  // throw to give up. Blobs that no repository has any more are removed. Returns the repository as
  // it is now. Throws Error{limit} for what exceeds the limits above, Error{store_corrupt} for a
  // repository whose record cannot be read, Error{no_space|...}; nothing has changed then.
  PushedRepository change(const std::string& name, const Edit& edit, NewBlob* blob = nullptr);
  // Gives a blob of one repository to another one, without a copy. Nothing when `from` does not
  // have it.
  std::optional<PushedRepository> mount(const std::string& from, const std::string& name,
                                        const Digest& digest);

 private:
  PushedRepository change_locked(const std::string& name, const Edit& edit, NewBlob* blob);
  void drop_file(const Digest& digest);
  Path record_path(const std::string& name) const;
  void clean();
  std::int64_t publish(const NewBlob& blob);
  void write_record(const PushedRepository& repository);
  void count(const PushedRepository& repository, int step);

  FileSystem& fs_;
  Path root_;  // of the store
  std::unique_ptr<FileLock> lock_;
  PushedContent found_;
  std::mutex mutex_;
  std::map<std::string, PushedRepository> repositories_;
  std::unordered_map<Digest, int> uses_;  // in how many repositories
  std::unordered_map<Digest, std::int64_t> stored_;
};

}  // namespace bundle::store
