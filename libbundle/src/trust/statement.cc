#include "trust/statement.h"

#include "codec/json.h"
#include "trust/document.h"
#include "trust/limits.h"

namespace bundle::trust {
namespace {

constexpr std::string_view kType = "release";

codec::Json sized(const Digest& digest, std::uint64_t size) {
  codec::Json object;
  object.set("digest", digest.text());
  object.set("size", size);
  return object;
}

}  // namespace

std::string encode_statement(const Statement& statement) {
  codec::Json json = new_document(kType);
  json.set("product", statement.product);
  json.set("release_version", statement.version);
  json.set("release_number", statement.release_number);
  json.set("created", format_time(statement.created));
  json.set("expires", format_time(statement.expires));
  json.set("manifest", sized(statement.manifest_digest, statement.manifest_size));
  codec::Json blobs = sized(statement.blob_list_digest, statement.blob_list_size);
  blobs.set("count", statement.blob_count);
  blobs.set("bytes", statement.blob_bytes);
  json.set("blobs", std::move(blobs));
  std::string encoded = codec::canonical_json(json);
  // One set of rules: what the reader refuses is never written.
  parse_statement(encoded, "release statement");
  return encoded;
}

Statement parse_statement(std::string_view json, std::string_view what) {
  const codec::Json document = parse_document(json, what, kType, kMaxStatementBytes);
  const Fields fields(document, std::string(what));
  const Fields manifest = fields.object("manifest");
  const Fields blobs = fields.object("blobs");
  Statement statement;
  statement.product = fields.name("product");
  statement.version = fields.name("release_version");
  statement.release_number = fields.number("release_number", 1);
  statement.created = fields.time("created");
  statement.expires = fields.time("expires");
  statement.manifest_digest = manifest.digest("digest");
  statement.manifest_size = manifest.number("size", 1);
  statement.blob_list_digest = blobs.digest("digest");
  statement.blob_list_size = blobs.number("size", 0);
  statement.blob_count = blobs.number("count", 0);
  statement.blob_bytes = blobs.number("bytes", 0);
  if (statement.expires <= statement.created) fields.fail("expires", "is not after \"created\"");
  return statement;
}

}  // namespace bundle::trust
