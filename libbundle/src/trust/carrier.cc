#include "trust/carrier.h"

#include <algorithm>

#include "codec/json.h"
#include "trust/document.h"
#include "trust/limits.h"

namespace bundle::trust {
namespace {

constexpr std::string_view kType = "carrier";

}  // namespace

std::string encode_carrier(const Carrier& carrier) {
  codec::Json index;
  index.set("digest", carrier.index_digest.text());
  index.set("size", carrier.index_size);
  codec::Json pack;
  pack.set("leaves", carrier.leaf_count);
  pack.set("size", carrier.pack_size);
  codec::Json statement;
  statement.set("digest", carrier.statement_digest.text());
  codec::Json json = new_document(kType);
  json.set("kind", carrier.kind);
  json.set("statement", std::move(statement));
  json.set("index", std::move(index));
  json.set("pack", std::move(pack));
  for (const CarrierBase& base : carrier.bases) {
    codec::Json entry;
    entry.set("name", base.name);
    entry.set("digest", base.digest.text());
    if (!json.find("bases")) json.set("bases", codec::Json::array());
    json.as_object().find("bases")->second.push_back(std::move(entry));
  }
  if (carrier.base_list_size > 0) {
    codec::Json list;
    list.set("digest", carrier.base_list_digest.text());
    list.set("size", carrier.base_list_size);
    json.set("base_list", std::move(list));
  }
  if (carrier.documents_size > 0) {
    codec::Json documents;
    documents.set("digest", carrier.documents_digest.text());
    documents.set("size", carrier.documents_size);
    json.set("documents", std::move(documents));
  }
  std::string encoded = codec::canonical_json(json);
  parse_carrier(encoded, "carrier");
  return encoded;
}

Carrier parse_carrier(std::string_view json, std::string_view what) {
  const codec::Json document = parse_document(json, what, kType, kMaxCarrierBytes);
  const Fields fields(document, std::string(what));
  const Fields index = fields.object("index");
  const Fields pack = fields.object("pack");
  Carrier carrier;
  carrier.kind = fields.name("kind");
  carrier.statement_digest = fields.object("statement").digest("digest");
  carrier.index_digest = index.digest("digest");
  carrier.index_size = index.number("size", 1);
  carrier.leaf_count = pack.number("leaves", 0);
  carrier.pack_size = pack.number("size", 0);
  for (const Fields& base : fields.objects("bases", kMaxCarrierBases)) {
    carrier.bases.push_back({base.name("name"), base.digest("digest")});
  }
  if (fields.has("base_list")) {
    const Fields list = fields.object("base_list");
    carrier.base_list_digest = list.digest("digest");
    carrier.base_list_size = list.number("size", 1);
  }
  if (fields.has("documents")) {
    const Fields documents = fields.object("documents");
    carrier.documents_digest = documents.digest("digest");
    carrier.documents_size = documents.number("size", 1);
  }
  return carrier;
}

BundleId bundle_id(std::string_view carrier_json) {
  const Digest digest = sha256(as_bytes(carrier_json));
  BundleId id{};
  std::ranges::copy(digest.bytes().first(id.size()), id.begin());
  return id;
}

}  // namespace bundle::trust
