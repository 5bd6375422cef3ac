#include "trust/pointer.h"

#include "codec/json.h"
#include "trust/document.h"
#include "trust/limits.h"

namespace bundle::trust {
namespace {

constexpr std::string_view kType = "channel";

codec::Json named(const Digest& digest) {
  codec::Json object;
  object.set("digest", digest.text());
  return object;
}

}  // namespace

std::string encode_pointer(const ChannelPointer& pointer) {
  codec::Json json = new_document(kType);
  json.set("product", pointer.product);
  json.set("channel", pointer.channel);
  json.set("sequence", pointer.sequence);
  json.set("created", format_time(pointer.created));
  json.set("expires", format_time(pointer.expires));
  json.set("statement", named(pointer.statement_digest));
  json.set("release_version", pointer.release_version);
  json.set("root_version", pointer.root_version);
  if (pointer.revocation_digest) {
    json.set("revocations", named(*pointer.revocation_digest));
  }
  if (!pointer.stale_base_reason.empty()) {
    json.set("stale_base_reason", pointer.stale_base_reason);
  }
  std::string encoded = codec::canonical_json(json);
  parse_pointer(encoded, "channel pointer");
  return encoded;
}

ChannelPointer parse_pointer(std::string_view json, std::string_view what) {
  const codec::Json document = parse_document(json, what, kType, kMaxPointerBytes);
  const Fields fields(document, std::string(what));
  ChannelPointer pointer;
  pointer.product = fields.name("product");
  pointer.channel = fields.name("channel");
  pointer.sequence = fields.number("sequence", 1);
  pointer.created = fields.time("created");
  pointer.expires = fields.time("expires");
  pointer.statement_digest = fields.object("statement").digest("digest");
  pointer.release_version = fields.name("release_version");
  pointer.root_version = fields.number("root_version", 0);
  if (fields.has("revocations")) {
    pointer.revocation_digest = fields.object("revocations").digest("digest");
  }
  pointer.stale_base_reason = fields.text("stale_base_reason", kMaxPointerReasonBytes);
  if (pointer.expires <= pointer.created) fields.fail("expires", "is not after \"created\"");
  return pointer;
}

}  // namespace bundle::trust
