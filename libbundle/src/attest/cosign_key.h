// Keys as cosign keeps them, and signing with them.
// Source: sigstore/cosign pkg/cosign/keys.go; secure-systems-lab/go-securesystemslib encrypted.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "crypto/ecdsa.h"

namespace bundle::attest {

// Who signs for the cluster: a key in this process, or a command. `sign` gives the DER signature of
// SHA-256 of what it is given.
struct ClusterSigner {
  EcdsaPublicKey public_key;
  std::function<Bytes(ByteView message)> sign;
};

// A private key file: what `cosign generate-key-pair` writes ("ENCRYPTED SIGSTORE PRIVATE KEY", and
// the older "ENCRYPTED COSIGN PRIVATE KEY"), or PEM of OpenSSL with or without a password. Throws
// Error{key_invalid|password_wrong|limit} naming `what`. Memory: what the key's scrypt parameters
// ask for (cosign: 64 MiB).
EcdsaPrivateKey open_cosign_key(ByteView text, ByteView password, std::string_view what);

ClusterSigner key_signer(EcdsaPrivateKey key);
// Runs `/bin/sh -c COMMAND` once per signature: standard input is the message, standard output must
// be its signature, DER or base64 of it ("openssl dgst -sha256 -sign", an HSM, a KMS). It is
// checked against the public key; Error{signer_failed} when it does not hold.
ClusterSigner command_signer(std::string command, EcdsaPublicKey public_key);

}  // namespace bundle::attest
