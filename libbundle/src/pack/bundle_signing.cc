#include "pack/bundle_signing.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "bundle/error.h"
#include "trust/news.h"
#include "trust/trust_root.h"

namespace bundle::pack {
namespace {

using format::FileList;
using format::NamedFile;
using format::VolumeHeader;

using FileMap = std::map<std::string, std::string>;

FileList to_list(const FileMap& files) {
  FileList list;
  for (const auto& [name, content] : files) list.push_back({name, content});
  return list;
}

struct OpenVolume {
  Path path;
  VolumeHeader header;
  std::uint64_t tail_offset() const { return header.data_offset + header.data_size; }
};

std::vector<OpenVolume> find_volumes(FileSystem& fs, const Path& directory) {
  std::vector<OpenVolume> volumes;
  for (const std::string& name : fs.list(directory)) {
    if (!format::is_volume_name(name)) continue;
    const auto file = fs.open(directory / name);
    Bytes bytes(format::kVolumeHeaderSize);
    bytes.resize(file->read_at(0, bytes));
    volumes.push_back(
        {directory / name, format::decode_volume_header(bytes, (directory / name).string())});
    if (file->size() < volumes.back().tail_offset()) {
      throw Error(ErrorCode::volume_truncated,
                  fmt::format("{} is not whole", (directory / name).string()),
                  "Make the bundle again, or copy it again.");
    }
  }
  return volumes;
}

// Nothing when the tail cannot be read.
FileList read_tail(FileSystem& fs, const OpenVolume& volume) {
  const auto file = fs.open(volume.path);
  const std::uint64_t size = file->size() - volume.tail_offset();
  if (size > format::kMaxTailBytes) return {};
  Bytes tail(static_cast<std::size_t>(size));
  tail.resize(file->read_at(volume.tail_offset(), tail));
  try {
    return format::decode_tail(tail, volume.path.string());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::volume_corrupt) throw;
    return {};
  }
}

void merge(FileMap& into, const FileList& files) {
  for (const NamedFile& file : files) {
    const auto [place, added] = into.try_emplace(file.name, file.content);
    if (!added && place->second != file.content) {
      throw Error(ErrorCode::sidecar_mismatch,
                  fmt::format("there are two different files {} in this bundle", file.name),
                  "Remove the wrong one, then sign again.");
    }
  }
}

FileList loose_files(FileSystem& fs, const Path& directory) {
  FileList files;
  for (const std::string& name : fs.list(directory)) {
    if (!format::is_tail_name(name)) continue;
    files.push_back({name, read_text_file(fs, directory / name, format::kMaxTailBytes)});
  }
  return files;
}

// Old news would only be passed over by sites: the newest of each kind stays.
void drop_superseded(FileSystem& fs, const Path& directory, FileMap& files) {
  std::vector<std::string> names;
  for (const auto& [name, content] : files) names.push_back(name);
  for (const std::string& name : trust::superseded_news(names)) {
    files.erase(name);
    fs.remove(directory / name);
  }
}

NamedFile sign_one(Signer& signer, std::string_view name, std::string_view document,
                   std::string_view comment) {
  MinisignSignature signature = signer.sign(as_bytes(document), comment);
  return {trust::signature_file_name(name, signature), signature.text()};
}

}  // namespace

std::string trusted_comment(std::string_view product, std::string_view version,
                            std::uint64_t release_number) {
  return fmt::format("{} {} release {}", product, version, release_number);
}

namespace {

std::string comment_of(const trust::Statement& release) {
  return trusted_comment(release.product, release.version, release.release_number);
}

}  // namespace

FileList sign_documents(Signer& signer, std::string_view statement_json,
                        std::string_view carrier_json) {
  const trust::Statement statement = trust::parse_statement(statement_json, "statement.json");
  FileList files;
  files.push_back(sign_one(signer, "statement.json", statement_json, comment_of(statement)));
  if (!carrier_json.empty()) files.push_back(sign_carrier(signer, statement, carrier_json));
  return files;
}

NamedFile sign_carrier(Signer& signer, const trust::Statement& release,
                       std::string_view carrier_json) {
  return sign_one(signer, "carrier.json", carrier_json, comment_of(release) + " carrier");
}

std::size_t add_to_bundle(FileSystem& fs, const Path& directory, const FileList& added) {
  const std::vector<OpenVolume> volumes = find_volumes(fs, directory);
  FileMap files;
  merge(files, loose_files(fs, directory));
  for (const OpenVolume& volume : volumes) merge(files, read_tail(fs, volume));
  // Signing again with the same key replaces: an external signer may choose another comment.
  for (const NamedFile& file : added) files.insert_or_assign(file.name, file.content);

  drop_superseded(fs, directory, files);
  for (const auto& [name, content] : files) {
    write_file_atomically(fs, directory / name, as_bytes(content));
  }
  const Bytes tail = format::encode_tail(to_list(files));
  for (const OpenVolume& volume : volumes) {
    const auto file = fs.open_writable(volume.path);
    file->truncate(volume.tail_offset());
    file->write(tail);
    file->sync();
  }
  return volumes.size();
}

}  // namespace bundle::pack
