#include "support/bundle_surgery.h"

#include <stdexcept>

#include "codec/zstd.h"
#include "crypto/signer.h"
#include "format/blob_list.h"
#include "io/file_system.h"
#include "pack/bundle_signing.h"
#include "support/file_tree.h"
#include "trust/carrier.h"
#include "trust/statement.h"
#include "trust/trust_root.h"

namespace bundle::testing {

std::string& BundleParts::document(std::string_view name) {
  for (format::NamedFile& file : head) {
    if (file.name == name) return file.content;
  }
  throw std::runtime_error("no such document");
}

BundleParts read_parts(const std::filesystem::path& volume) {
  const std::string text = read_whole(volume);
  const ByteView bytes = as_bytes(text);
  BundleParts parts;
  parts.header = format::decode_volume_header(bytes.first(format::kVolumeHeaderSize), "test");
  parts.head = format::decode_file_list(
      bytes.subspan(format::kVolumeHeaderSize, parts.header.head_size), "test");
  const ByteView data = bytes.subspan(parts.header.data_offset, parts.header.data_size);
  parts.data.assign(data.begin(), data.end());
  parts.tail =
      format::decode_tail(bytes.subspan(parts.header.data_offset + parts.header.data_size), "test");
  return parts;
}

void write_parts(const std::filesystem::path& volume, const BundleParts& parts) {
  const Bytes head = format::encode_file_list(parts.head);
  format::VolumeHeader header = parts.header;
  header.head_size = head.size();
  header.head_digest = sha256(head);
  header.data_offset = format::data_offset_for(head.size());
  header.data_size = parts.data.size();
  Bytes file = format::encode_volume_header(header);
  file.insert(file.end(), head.begin(), head.end());
  file.resize(header.data_offset);
  file.insert(file.end(), parts.data.begin(), parts.data.end());
  const Bytes tail = format::encode_tail(parts.tail);
  file.insert(file.end(), tail.begin(), tail.end());
  write_whole(volume, as_text(file));
}

void sign_parts(BundleParts& parts, const SampleKey& key, bool fit_statement) {
  std::string& statement_json = parts.document("statement.json");
  if (fit_statement) {
    trust::Statement statement = trust::parse_statement(statement_json, "test");
    const std::string& manifest = parts.document("manifest.json");
    const std::string& list = parts.document("blobs.list");
    statement.manifest_digest = sha256(as_bytes(manifest));
    statement.manifest_size = manifest.size();
    statement.blob_list_digest = sha256(as_bytes(list));
    statement.blob_list_size = list.size();
    statement_json = trust::encode_statement(statement);
  }
  trust::Carrier carrier = trust::parse_carrier(parts.document("carrier.json"), "test");
  const std::string& index = parts.document("index");
  carrier.statement_digest = sha256(as_bytes(statement_json));
  carrier.index_digest = sha256(as_bytes(index));
  carrier.index_size = index.size();
  parts.document("carrier.json") = trust::encode_carrier(carrier);
  parts.header.bundle_id = trust::bundle_id(parts.document("carrier.json"));

  const auto signer = FileSigner::open(posix_file_system(), key.secret, {});
  const auto sign = [&](const std::string& name) {
    const MinisignSignature signature = signer->sign(as_bytes(parts.document(name)), "test");
    return format::NamedFile{trust::signature_file_name(name, signature), signature.text()};
  };
  parts.tail = {sign("statement.json"), sign("carrier.json")};
}

Bytes Packs::plain(std::size_t group) const {
  Bytes plain(index.groups[group].plain_size);
  codec::zstd_decompress(frames[group], plain, "test");
  return plain;
}

void Packs::replace(std::size_t group, const Bytes& plain, std::uint32_t declared) {
  frames[group] = codec::ZstdCompressor({3, 22, false}).compress(plain);
  index.groups[group].packed_size = static_cast<std::uint32_t>(frames[group].size());
  index.groups[group].plain_size =
      declared == 0 ? static_cast<std::uint32_t>(plain.size()) : declared;
}

Packs read_packs(const BundleParts& parts) {
  Packs packs;
  const format::NamedFile* index = format::find_file(parts.head, "index");
  packs.index = format::decode_index(as_bytes(index->content));
  for (const format::Group& group : packs.index.groups) {
    const ByteView frame = ByteView(parts.data).subspan(group.packed_offset, group.packed_size);
    packs.frames.emplace_back(frame.begin(), frame.end());
  }
  return packs;
}

void write_packs(BundleParts& parts, Packs packs) {
  parts.data.clear();
  packs.index.leaf_hashes.clear();
  for (const Bytes& frame : packs.frames) {
    parts.data.insert(parts.data.end(), frame.begin(), frame.end());
    for (std::size_t at = 0; at < frame.size(); at += format::kLeafSize) {
      packs.index.leaf_hashes.push_back(format::hash_leaf(ByteView(frame).subspan(
          at, std::min<std::size_t>(format::kLeafSize, frame.size() - at))));
    }
  }
  packs.index.derive();
  parts.document("index") = std::string(as_text(format::encode_index(packs.index)));
  parts.header.ranges = {{0, static_cast<std::uint32_t>(packs.index.leaf_hashes.size())}};
  trust::Carrier carrier = trust::parse_carrier(parts.document("carrier.json"), "test");
  carrier.pack_size = packs.index.pack_size();
  carrier.leaf_count = packs.index.leaf_hashes.size();
  parts.document("carrier.json") = trust::encode_carrier(carrier);
}

void replace_recipe(Packs& packs, std::size_t blob, const Bytes& recipe) {
  // The last group of the recipe stream: what is appended there moves nothing else.
  std::size_t group = 0;
  while (group + 1 < packs.index.groups.size() &&
         packs.index.groups[group + 1].stream == format::kRecipeStream) {
    ++group;
  }
  Bytes plain = packs.plain(group);
  packs.index.blobs[blob].recipe_offset = packs.index.groups[group].plain_offset + plain.size();
  packs.index.blobs[blob].recipe_size = static_cast<std::uint32_t>(recipe.size());
  plain.insert(plain.end(), recipe.begin(), recipe.end());
  packs.replace(group, plain);
}

}  // namespace bundle::testing
