#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "attest/cosign_key.h"
#include "attest/cosign_signature.h"
#include "attest/signature_folder.h"
#include "codec/json.h"
#include "oci/document.h"
#include "oci/layout.h"
#include "release/release_samples.h"
#include "support/child_process.h"
#include "support/expect_error.h"
#include "support/temp_directory.h"

namespace bundle::attest {
namespace {

using testing::expect_error;
using testing::TempDirectory;

std::string read(const Path& path) {
  return read_text_file(posix_file_system(), path, 1 << 20);
}

// Written by `cosign generate-key-pair` (version 3.1) with the password "secret".
constexpr std::string_view kCosignKey =
    "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
    "eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6\n"
    "OCwicCI6MX0sInNhbHQiOiJDQllzMUNGb2s0N0xVSVR1NDlMY2lWekYyZ3FvR0xa\n"
    "TWdrRmtKTCs0N2tZPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94\n"
    "Iiwibm9uY2UiOiJhM3RNL09kblhwcnJFaUdBT21iV2c5a0NYWXZjRm9nWSJ9LCJj\n"
    "aXBoZXJ0ZXh0Ijoia0VPV2RoUkZxemU0Z3dlMHVxN0FXU1YyYWRhVm9DN1dXaUU2\n"
    "N3JnMTVTVmRaYURkTmllcDdFR3F5WFJjRlgzSU85VG41dDZ1ZnZTcyt4cmthWno1\n"
    "dFduM2NISDJ5dEFOOUZvNnFtNisrcGo5UnNuQ2pLLzhZT2F5eEMwZVA3NVcyUjha\n"
    "bmt6U1hJdnplRnNjR2E2bEtOWXRtUUdsTUZmOHVLcjRmbDNrbkhOeXdhdmh5Vk0v\n"
    "S3gvbkJyYlRXNVg5cnc4Z3RQRkoyYVhDbFE9PSJ9\n"
    "-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n";
constexpr std::string_view kCosignPublic =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE55NurUDcDhsn7Ba6/FyW9+Ld613Q\n"
    "8EoTCB0wyfvb+o9ARUMcr6G1t5FaAMnZAO1sXCLTmCZ5nRrXHQtoIL+Q0g==\n"
    "-----END PUBLIC KEY-----\n";

TEST(CosignKey, OpensWhatCosignWrote) {
  const EcdsaPrivateKey key =
      open_cosign_key(as_bytes(kCosignKey), as_bytes("secret"), "cosign.key");
  EXPECT_EQ(key.public_key().pem(), kCosignPublic);
}

TEST(CosignKey, RefusesAWrongPasswordAndDamage) {
  expect_error(ErrorCode::password_wrong,
               [] { open_cosign_key(as_bytes(kCosignKey), as_bytes("Secret"), "cosign.key"); });
  const auto with_envelope = [](std::string_view json) {
    return "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n" + to_base64(as_bytes(json)) +
           "\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n";
  };
  for (const std::string_view json :
       {"{}", "[", R"({"kdf":{"name":"argon2"},"cipher":{"name":"nacl/secretbox"}})",
        R"({"kdf":{"name":"scrypt","params":{"N":1024,"r":8,"p":1},"salt":"?"},)"
        R"("cipher":{"name":"nacl/secretbox","nonce":""},"ciphertext":""})"}) {
    const std::string text = with_envelope(json);
    expect_error(ErrorCode::key_invalid,
                 [&] { open_cosign_key(as_bytes(text), {}, "cosign.key"); });
  }
  // 2^40 * 8 * 128 bytes: refused before a byte of them is asked for.
  const std::string greedy = with_envelope(
      R"({"kdf":{"name":"scrypt","params":{"N":1099511627776,"r":8,"p":1},"salt":""},)"
      R"("cipher":{"name":"nacl/secretbox","nonce":""},"ciphertext":""})");
  expect_error(ErrorCode::limit, [&] { open_cosign_key(as_bytes(greedy), {}, "cosign.key"); });
}

class CosignTest : public ::testing::Test {
 protected:
  CosignTest() { manifest_.release_index = release::sample_artifact("p/release", "1.4.0"); }

  std::vector<SignedArtifact> sign(SignatureForm form = SignatureForm::bundle) {
    return sign_release(posix_file_system(), manifest_, folder_, signer_, form, 1'700'000'000);
  }
  std::vector<oci::LayoutEntry> entries() {
    return oci::open_layout_entries(posix_file_system(), folder_);
  }

  TempDirectory dir_;
  Path folder_ = dir_ / "signatures";
  release::Manifest manifest_ = release::sample_manifest();
  ClusterSigner signer_ = key_signer(EcdsaPrivateKey::generate());
};

TEST_F(CosignTest, SignsEveryArtifactButNotOverTheMakersOwn) {
  const auto done = sign();
  const auto artifacts = manifest_.artifacts();
  ASSERT_EQ(done.size(), artifacts.size());
  const auto found = entries();
  ASSERT_EQ(found.size(), done.size() - 1);          // each once, but for the first
  EXPECT_EQ(done[0].state, SigningState::upstream);  // the sample has a classic signature
  const auto holds = [&](const oci::LayoutEntry& entry, const SignedArtifact& of) {
    return signature_holds(*entry.source, entry.tag, of.digest, signer_.public_key);
  };
  for (std::size_t i = 1; i < done.size(); ++i) {
    EXPECT_EQ(done[i].name, artifacts[i]->name);
    EXPECT_EQ(done[i].state, SigningState::made);
    EXPECT_TRUE(holds(found[i - 1], done[i]));
    EXPECT_FALSE(holds(found[i - 1], done[0]));
    EXPECT_FALSE(signature_holds(*found[i - 1].source, found[i - 1].tag, done[i].digest,
                                 EcdsaPrivateKey::generate().public_key()));
  }
}

TEST_F(CosignTest, SigningAgainChangesNothingAndDropsWhatIsGone) {
  sign();
  const std::string index = read(folder_ / "index.json");
  for (const SignedArtifact& artifact : sign()) EXPECT_NE(artifact.state, SigningState::made);
  EXPECT_EQ(read(folder_ / "index.json"), index);
  // Another chart: its signature and the index's are new, nothing old stays.
  manifest_.chart.artifact.descriptor.digest = release::digest_of("other chart");
  manifest_.release_index->descriptor.digest = release::digest_of("other index");
  const std::set<std::string> changed = {manifest_.chart.artifact.name,
                                         manifest_.release_index->name};
  const auto done = sign();
  for (std::size_t i = 1; i < done.size(); ++i) {
    EXPECT_EQ(done[i].state,
              changed.contains(done[i].name) ? SigningState::made : SigningState::kept);
  }
  std::size_t blobs = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(folder_ / "blobs/sha256")) {
    ++blobs;
  }
  EXPECT_EQ(blobs, (done.size() - 1) * 2 + 1);  // manifests, bundles, one empty config
  // Another key keeps nothing.
  signer_ = key_signer(EcdsaPrivateKey::generate());
  EXPECT_EQ(sign()[1].state, SigningState::made);
}

TEST_F(CosignTest, ClassicSignaturesAreFoundByTag) {
  const auto done = sign(SignatureForm::classic);
  const auto found = entries();
  ASSERT_EQ(found.size(), done.size() - 1);
  EXPECT_EQ(found[0].tag, "sha256-" + done[1].digest.hex() + ".sig");
  EXPECT_TRUE(signature_holds(*found[0].source, found[0].tag, done[1].digest, signer_.public_key));
  // Copied under another digest's tag it says something else (what Flux itself does not look at).
  const std::string other = "sha256-" + done[2].digest.hex() + ".sig";
  EXPECT_FALSE(signature_holds(*found[0].source, other, done[2].digest, signer_.public_key));
}

TEST_F(CosignTest, AFolderOfSomethingElseIsLeftAlone) {
  dir_.write("signatures/notes.txt", "mine");
  expect_error(ErrorCode::oci_invalid, [&] { sign(); });
  EXPECT_EQ(read(folder_ / "notes.txt"), "mine");
}

// The form that cosign 3 writes: one DSSE envelope, checked with openssl alone.
TEST_F(CosignTest, OpensslVerifiesTheBundle) {
  if (!testing::have_program("openssl")) GTEST_SKIP() << "openssl is not installed";
  sign();
  const oci::Manifest manifest = oci::parse_manifest(entries().at(0).source->root());
  EXPECT_EQ(manifest.artifact_type, kSigstoreBundleType);
  EXPECT_EQ(manifest.config.media_type, oci::media_type::kEmpty);
  EXPECT_EQ(manifest.annotations.at("dev.sigstore.bundle.content"), "dsse-envelope");
  ASSERT_EQ(manifest.layers.size(), 1U);
  const codec::Json bundle =
      codec::parse_json(read(folder_ / "blobs/sha256" / manifest.layers[0].digest.hex()), "bundle");
  const codec::Json& envelope = bundle.at("dsseEnvelope");
  const Bytes payload = from_base64(envelope.at("payload").as_string()).value();
  dir_.write("message", "DSSEv1 28 application/vnd.in-toto+json " + std::to_string(payload.size()) +
                            " " + std::string(as_text(payload)));
  const codec::Json& signature = envelope.at("signatures").as_array().at(0);
  dir_.write("sig", std::string(as_text(from_base64(signature.at("sig").as_string()).value())));
  dir_.write("key.pub", signer_.public_key.pem());
  const auto verify = [&] {
    return testing::run_program({"openssl", "dgst", "-sha256", "-verify", dir_ / "key.pub",
                                 "-signature", dir_ / "sig", dir_ / "message"});
  };
  EXPECT_EQ(verify().status, 0) << verify().output;
  dir_.write("message", "another message");
  EXPECT_NE(verify().status, 0);
}

TEST_F(CosignTest, ACommandSignsAndIsChecked) {
  if (!testing::have_program("openssl")) GTEST_SKIP() << "openssl is not installed";
  const EcdsaPrivateKey key = EcdsaPrivateKey::generate();
  const SecretBytes pem = key.pem();
  const std::string file = dir_.write("hsm.pem", std::string(as_text(pem.view())));
  const std::string raw = "openssl dgst -sha256 -sign '" + file + "'";
  const ByteView message = as_bytes("message");
  EXPECT_TRUE(
      key.public_key().verifies(message, command_signer(raw, key.public_key()).sign(message)));
  const auto text = command_signer(raw + " | base64", key.public_key());
  EXPECT_TRUE(key.public_key().verifies(message, text.sign(message)));
  for (const std::string& bad :
       {raw + " /dev/null", std::string("echo abc"), std::string("exit 3")}) {
    expect_error(ErrorCode::signer_failed,
                 [&] { command_signer(bad, key.public_key()).sign(message); });
  }
}

}  // namespace
}  // namespace bundle::attest
