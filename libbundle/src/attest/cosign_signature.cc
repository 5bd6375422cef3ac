#include "attest/cosign_signature.h"

#include <fmt/format.h>

#include "attest/provenance.h"
#include "bundle/error.h"
#include "codec/json.h"
#include "oci/document.h"
#include "oci/reference.h"

namespace bundle::attest {
namespace {

using codec::Json;

constexpr std::string_view kSignPredicate = "https://sigstore.dev/cosign/sign/v1";
constexpr std::string_view kContentAnnotation = "dev.sigstore.bundle.content";
constexpr std::string_view kPredicateAnnotation = "dev.sigstore.bundle.predicateType";
constexpr std::string_view kSimpleSigningType = "application/vnd.dev.cosign.simplesigning.v1+json";
constexpr std::string_view kSignatureAnnotation = "dev.cosignproject.cosign/signature";

// DSSE v1 pre-authentication encoding: what is signed.
Bytes pre_authentication(std::string_view type, ByteView payload) {
  Bytes out = to_bytes(fmt::format("DSSEv1 {} {} {} ", type.size(), type, payload.size()));
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

std::string in_toto_statement(const Digest& subject) {
  Json digest = Json::object();
  digest.set("sha256", subject.hex());
  Json entry = Json::object();
  entry.set("digest", std::move(digest));
  Json subjects = Json::array();
  subjects.push_back(std::move(entry));
  Json statement = Json::object();
  statement.set("_type", kInTotoStatement)
      .set("subject", std::move(subjects))
      .set("predicateType", kSignPredicate)
      .set("predicate", Json::object());
  return codec::dump_json(statement);
}

std::string sigstore_bundle(std::string_view payload, ByteView signature,
                            const EcdsaPublicKey& key) {
  Json public_key = Json::object();
  public_key.set("hint", to_base64(sha256(key.der()).bytes()));
  Json material = Json::object();
  material.set("publicKey", std::move(public_key));
  Json entry = Json::object();
  entry.set("sig", to_base64(signature));
  Json signatures = Json::array();
  signatures.push_back(std::move(entry));
  Json envelope = Json::object();
  envelope.set("payload", to_base64(as_bytes(payload)))
      .set("payloadType", kInTotoType)
      .set("signatures", std::move(signatures));
  Json bundle = Json::object();
  bundle.set("mediaType", kSigstoreBundleType)
      .set("verificationMaterial", std::move(material))
      .set("dsseEnvelope", std::move(envelope));
  return codec::dump_json(bundle);
}

SignatureArtifact sign_as_bundle(const oci::Descriptor& subject, const ClusterSigner& signer,
                                 UnixTime created) {
  const std::string payload = in_toto_statement(subject.digest);
  const Bytes signature = signer.sign(pre_authentication(kInTotoType, as_bytes(payload)));
  oci::ReferrerSpec spec;
  spec.artifact_type = kSigstoreBundleType;
  spec.bytes = to_bytes(sigstore_bundle(payload, signature, signer.public_key));
  spec.subject = subject;
  spec.annotations = {{std::string(oci::annotation::kCreated), format_time(created)},
                      {std::string(kContentAnnotation), "dsse-envelope"},
                      {std::string(kPredicateAnnotation), std::string(kSignPredicate)}};
  return {oci::pack_referrer(std::move(spec)), {}};
}

oci::ArtifactBlob blob_of(std::string_view media_type, std::string_view text) {
  oci::ArtifactBlob blob;
  blob.bytes = to_bytes(text);
  blob.descriptor.media_type = media_type;
  blob.descriptor.digest = sha256(blob.bytes);
  blob.descriptor.size = blob.bytes.size();
  return blob;
}

SignatureArtifact sign_as_classic(const oci::Descriptor& subject, const std::string& repository,
                                  const ClusterSigner& signer) {
  Json identity = Json::object();
  identity.set("docker-reference", repository);
  Json image = Json::object();
  image.set("docker-manifest-digest", subject.digest.text());
  Json critical = Json::object();
  critical.set("identity", std::move(identity))
      .set("image", std::move(image))
      .set("type", "cosign container image signature");
  Json payload = Json::object();
  payload.set("critical", std::move(critical)).set("optional", Json());
  oci::ArtifactBlob layer = blob_of(kSimpleSigningType, codec::dump_json(payload));
  layer.descriptor.annotations = {
      {std::string(kSignatureAnnotation), to_base64(signer.sign(layer.bytes))}};
  // cosign wants an image config that lists the layer.
  oci::ArtifactBlob config = blob_of(
      oci::media_type::kConfig,
      fmt::format(
          R"({{"architecture":"","config":{{}},"created":"0001-01-01T00:00:00Z","history":[)"
          R"({{"created":"0001-01-01T00:00:00Z"}}],"os":"","rootfs":{{"diff_ids":["{}"],)"
          R"("type":"layers"}}}})",
          layer.descriptor.digest.text()));
  oci::Manifest manifest;
  manifest.media_type = oci::media_type::kManifest;
  manifest.config = config.descriptor;
  manifest.layers = {layer.descriptor};
  return {{oci::make_manifest(manifest), {std::move(config), std::move(layer)}},
          oci::digest_tag(subject.digest, ".sig")};
}

// The digest that a verified in-toto statement names.
bool names_subject(std::string_view statement, const Digest& subject) {
  const Json json = codec::parse_json(statement, "statement");
  const Json::Array& subjects = json.at("subject").as_array();
  return json.at("predicateType").as_string() == kSignPredicate && subjects.size() == 1 &&
         subjects.front().at("digest").at("sha256").as_string() == subject.hex();
}

bool bundle_holds(std::string_view bundle, const Digest& subject, const EcdsaPublicKey& key) {
  const Json json = codec::parse_json(bundle, "bundle");
  const Json& envelope = json.at("dsseEnvelope");
  const Json::Array& signatures = envelope.at("signatures").as_array();
  const auto payload = from_base64(envelope.at("payload").as_string());
  const std::string& type = envelope.at("payloadType").as_string();
  if (!payload || type != kInTotoType || signatures.size() != 1) return false;
  const auto signature = from_base64(signatures.front().at("sig").as_string());
  return signature && key.verifies(pre_authentication(type, *payload), *signature) &&
         names_subject(as_text(*payload), subject);
}

bool classic_holds(const oci::Descriptor& layer, std::string_view payload, const Digest& subject,
                   const EcdsaPublicKey& key) {
  const auto text = layer.annotations.find(kSignatureAnnotation);
  if (text == layer.annotations.end()) return false;
  const auto signature = from_base64(text->second);
  if (!signature || !key.verifies(as_bytes(payload), *signature)) return false;
  const Json json = codec::parse_json(payload, "payload");
  return json.at("critical").at("image").at("docker-manifest-digest").as_string() == subject.text();
}

}  // namespace

SignatureArtifact sign_artifact(const oci::Descriptor& subject, const std::string& repository,
                                const ClusterSigner& signer, SignatureForm form, UnixTime created) {
  return form == SignatureForm::bundle ? sign_as_bundle(subject, signer, created)
                                       : sign_as_classic(subject, repository, signer);
}

bool signature_holds(oci::ContentSource& signature, const std::string& tag, const Digest& subject,
                     const EcdsaPublicKey& key) {
  try {
    const oci::Manifest manifest = oci::parse_manifest(signature.root());
    if (manifest.layers.size() != 1) return false;
    const oci::Descriptor& layer = manifest.layers.front();
    const auto stream = signature.open_blob(layer);
    const Bytes bytes = read_all(*stream, kMaxSignaturePayload, "signature");
    if (manifest.subject) {
      return manifest.subject->digest == subject && layer.media_type == kSigstoreBundleType &&
             bundle_holds(as_text(bytes), subject, key);
    }
    return oci::parse_digest_tag(tag) == subject &&
           classic_holds(layer, as_text(bytes), subject, key);
  } catch (const Error& error) {
    const bool unreadable = error.code() == ErrorCode::json_invalid ||
                            error.code() == ErrorCode::oci_invalid ||
                            error.code() == ErrorCode::limit;
    if (unreadable) return false;
    throw;
  }
}

}  // namespace bundle::attest
