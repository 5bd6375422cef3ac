#include "support/sample_release.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <zlib.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>
#include <stdexcept>
#include <vector>

#include "bundle/progress.h"
#include "codec/tar.h"
#include "crypto/digest.h"
#include "oci/descriptor.h"

namespace bundle::testing {
namespace {

using std::filesystem::path;

constexpr std::uint64_t kMaxLayer = 256 << 20;
constexpr std::uint64_t kWantedMemory = std::uint64_t{1} << 30;

void write_file(const path& file, std::string_view content) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!out) throw std::runtime_error("cannot write " + file.string());
}

std::string random_bytes(std::uint64_t seed, std::size_t size) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (std::size_t at = 0; at < size; at += 8) {
    const std::uint64_t word = random();
    for (std::size_t i = 0; i < 8 && at + i < size; ++i) {
      bytes[at + i] = static_cast<char>(word >> (8 * i));
    }
  }
  return bytes;
}

// Looks like code: few words, indented, with numbers in between.
std::string python_module(std::uint64_t seed) {
  static constexpr std::array<const char*, 12> kWords = {
      "config",  "request", "session",  "value",  "index",  "node",
      "upgrade", "release", "manifest", "digest", "volume", "path"};
  std::mt19937_64 random(seed);
  const auto word = [&] { return kWords[random() % kWords.size()]; };
  std::string text =
      fmt::format("# module {}\nimport os\nfrom .{} import {}\n", seed, word(), word());
  const std::size_t functions = 4 + random() % 20;
  for (std::size_t i = 0; i < functions; ++i) {
    text += fmt::format("\n\ndef {}_{}(self, {}, {}=None):\n", word(), i, word(), word());
    for (std::size_t line = 0; line < 3 + random() % 8; ++line) {
      text += fmt::format("    {} = self.{}.get(\"{}\", {})\n", word(), word(), word(),
                          random() % 9999);
    }
    text += fmt::format("    return {}\n", word());
  }
  return text;
}

class LayerTar {
 public:
  explicit LayerTar(const SampleOptions& options) : time_(options.layer_time) {}

  void add(const std::string& name, std::string_view content) {
    MemorySource body(as_bytes(content));
    tar_.add_file(name, 0644, time_, content.size(), body);
  }
  // Enough that every encoder ends a block early in the layer, so that `make` can tell them apart.
  void add_noise(std::uint64_t seed) { add("noise.bin", random_bytes(seed, 40 << 10)); }
  void add_modules(const std::string& folder, std::uint64_t seed, std::size_t count) {
    tar_.add_directory(folder, 0755, time_);
    for (std::size_t i = 0; i < count; ++i) {
      add(fmt::format("{}/module_{}.py", folder, i), python_module(seed + i));
    }
  }
  Bytes finish() {
    tar_.finish();
    return bytes_.take();
  }

 private:
  UnixTime time_;
  MemorySink bytes_{kMaxLayer};
  codec::TarWriter tar_{bytes_};
};

std::string gzip(ByteView plain) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("zlib");
  }
  std::string packed(deflateBound(&stream, plain.size()) + 32, '\0');
  stream.next_in = const_cast<Bytef*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

// Two members; the second is flushed four times, as no encoder that is replayed does.
std::string odd_gzip(ByteView plain) {
  const std::size_t half = plain.size() / 2;
  std::string packed = gzip(plain.first(half));
  plain = plain.subspan(half);
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("zlib");
  }
  std::string second(deflateBound(&stream, plain.size()) + 1024, '\0');
  stream.next_out = reinterpret_cast<Bytef*>(second.data());
  stream.avail_out = static_cast<uInt>(second.size());
  for (int left = 5; left > 0; --left) {
    const ByteView part = plain.first(plain.size() / static_cast<std::size_t>(left));
    plain = plain.subspan(part.size());
    stream.next_in = const_cast<Bytef*>(part.data());
    stream.avail_in = static_cast<uInt>(part.size());
    deflate(&stream, left > 1 ? Z_SYNC_FLUSH : Z_FINISH);
  }
  second.resize(stream.total_out);
  deflateEnd(&stream);
  return packed + second;
}

// An OCI image layout with tagged images of one platform.
class Layout {
 public:
  explicit Layout(path root) : root_(std::move(root)) {
    write_file(root_ / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  }

  void image(const std::string& tag, const std::vector<Bytes>& layers, bool odd_base) {
    std::string list;
    std::string diff_ids;
    for (const Bytes& layer : layers) {
      list += (list.empty() ? "" : ",") +
              blob(oci::media_type::kLayerTarGzip,
                   odd_base && list.empty() ? odd_gzip(layer) : gzip(layer));
      diff_ids += fmt::format("{}\"{}\"", diff_ids.empty() ? "" : ",", sha256(layer).text());
    }
    const std::string config = blob(
        oci::media_type::kConfig,
        fmt::format(
            R"({{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}})",
            diff_ids));
    std::string entry =
        blob(oci::media_type::kManifest,
             fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}})",
                         oci::media_type::kManifest, config, list));
    entry.pop_back();
    entries_ += fmt::format(
        R"({}{},"platform":{{"architecture":"amd64","os":"linux"}},"annotations":{{"org.opencontainers.image.ref.name":"{}"}}}})",
        entries_.empty() ? "" : ",", entry, tag);
    write_file(root_ / "index.json",
               fmt::format(R"({{"schemaVersion":2,"manifests":[{}]}})", entries_));
  }

 private:
  // Returns the descriptor.
  std::string blob(std::string_view media_type, std::string_view content) {
    const Digest digest = sha256(as_bytes(content));
    write_file(root_ / "blobs" / "sha256" / digest.hex(), content);
    return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":{}}})", media_type, digest.text(),
                       content.size());
  }

  path root_;
  std::string entries_;
};

Bytes base_layer(const SampleOptions& options) {
  LayerTar tar(options);
  tar.add_noise(21);
  tar.add_modules("usr/lib/python3", 1000, options.modules);
  tar.add("usr/lib/zeros.bin", std::string(300 << 10, '\0'));
  tar.add("usr/lib/opaque.bin", random_bytes(7, 200 << 10));
  return tar.finish();
}

// Modules of the base again (duplicates), own ones, and what differs from version to version.
Bytes app_layer(const SampleOptions& options, std::uint64_t seed) {
  LayerTar tar(options);
  tar.add_noise(22);
  tar.add_modules("app/vendored", 1000, options.modules / 2);
  tar.add_modules("app/own", seed, options.modules / 2);
  tar.add("app/version.py", fmt::format("VERSION = \"{}\"\n", options.version));
  tar.add_modules("app/new", std::hash<std::string>{}(options.version), options.modules / 10 + 1);
  return tar.finish();
}

void write_chart(const path& folder, const SampleOptions& options) {
  write_file(folder / "Chart.yaml",
             fmt::format("apiVersion: v2\nname: sample\nversion: {0}\nappVersion: \"{0}\"\n",
                         options.version));
  write_file(folder / "values.yaml", "replicas: 1\nimage: registry.example.com/app/web\n");
  write_file(folder / "templates" / "web.yaml",
             "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: {{ "
             ".Values.replicas }}\n");
}

std::string release_yaml(const SampleOptions& options) {
  return fmt::format(R"(apiVersion: bundle/v1
kind: Release
releaseVersion: {0}
product: sample-appliance
upgradeFrom: {1}
os: {{base: ubuntu-24.04, artifacts: [{{name: appliance.img, path: os/appliance.img}}]}}
k8s: {{distribution: k3s, version: v1.31.6+k3s1, artifacts: [{{name: k3s, path: k3s/k3s, mode: "0755"}}]}}
app: {{chartPath: helm/, valuesProfile: single-node}}
images:
- {{name: "registry.example.com/app/web:{0}", source: "oci:images:app/web"}}
- {{name: "docker.io/library/db:15", source: "oci:images:library/db"}}
files: [{{name: install.sh, path: k3s/install.sh, mode: "0755"}}]
{2})",
                     options.version, options.upgrade_from, options.more);
}

}  // namespace

void write_sample_inputs(const path& folder, const SampleOptions& options) {
  Layout images(folder / "images");
  const Bytes base = base_layer(options);
  images.image("app/web", {base, app_layer(options, 50'000)}, options.odd_gzip);
  LayerTar db(options);
  db.add_noise(23);
  db.add_modules("db", 70'000, options.modules);
  images.image("library/db", {base, db.finish()}, options.odd_gzip);
  write_chart(folder / "helm", options);
  // Two versions differ in the last part of the disk image only.
  write_file(folder / "os" / "appliance.img",
             random_bytes(11, static_cast<std::size_t>(options.opaque_bytes)) +
                 std::string(700 << 10, '\0') + "version " + options.version +
                 random_bytes(std::hash<std::string>{}(options.version), 30 << 10));
  write_file(folder / "k3s" / "k3s", "#!/bin/sh\n# stand-in\n" + random_bytes(13, 50 << 10));
  write_file(folder / "k3s" / "install.sh", "#!/bin/sh\nset -eu\necho installing\n");
  write_file(folder / "release.yaml", release_yaml(options));
}

SampleKey make_sample_key(const path& name) {
  std::filesystem::create_directories(name.parent_path());
  SampleKey key;
  key.id = generate_key(name, {}, -1, true);
  key.secret = name.string() + ".key";
  key.open = name.string() + ".pub";
  return key;
}

MakeReport make_sample_bundle(const path& inputs, const path& out,
                              const std::optional<SampleKey>& key, std::uint64_t volume_size) {
  MakeOptions options;
  options.spec = inputs / "release.yaml";
  options.out = out;
  options.volume_size = volume_size;
  options.fast = true;
  if (key) options.sign.key = key->secret;
  return make_bundle(options, silent_progress(), Cancel());
}

MakeReport make_sample_release(const path& out, const std::optional<SampleKey>& key,
                               const SampleOptions& options, std::uint64_t volume_size) {
  const path inputs = out.string() + ".inputs";
  write_sample_inputs(inputs, options);
  return make_sample_bundle(inputs, out, key, volume_size);
}

ScopedVariable::ScopedVariable(const char* name, const std::string& value) : name_(name) {
  if (const char* before = std::getenv(name)) before_ = before;
  ::setenv(name, value.c_str(), 1);
}
ScopedVariable::~ScopedVariable() {
  if (before_) {
    ::setenv(name_, before_->c_str(), 1);
  } else {
    ::unsetenv(name_);
  }
}

void keep_temporary_files_in_memory() {
  struct statvfs memory {};
  if (std::getenv("TMPDIR") != nullptr || ::statvfs("/dev/shm", &memory) != 0) return;
  if (std::uint64_t{memory.f_bavail} * memory.f_frsize >= kWantedMemory) {
    ::setenv("TMPDIR", "/dev/shm", 1);
  }
}

}  // namespace bundle::testing
