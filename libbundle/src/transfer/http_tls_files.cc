// Certificates and keys from files, in the layout of containers-certs.d(5).
#include <fmt/format.h>

#include "transfer/http_client.h"

namespace bundle::transfer {
namespace {

// A bundle of all public authorities has some 250 KB.
constexpr std::uint64_t kMaxPemBytes = 4 * 1024 * 1024;

[[noreturn]] void refuse_tls_file(const Path& path, std::string_view why) {
  throw Error(ErrorCode::config_invalid, fmt::format("{}: {}", path.string(), why),
              "Expected is a PEM file of certificate authorities, or a directory with ca.crt and, "
              "for a client certificate, client.cert and client.key.");
}

std::string read_pem(FileSystem& fs, const Path& path, std::string_view marker) {
  std::string text = read_text_file(fs, path, kMaxPemBytes);
  if (text.find(marker) == std::string::npos) {
    refuse_tls_file(path, fmt::format("no '{}' in it", marker));
  }
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

constexpr std::string_view kCertificate = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view kPrivateKey = "PRIVATE KEY-----";

TlsFiles load_directory(FileSystem& fs, const Path& directory) {
  TlsFiles files;
  for (const std::string& name : fs.list(directory)) {
    const Path path = directory / name;
    const std::string extension = path.extension().string();
    if (extension == ".crt" || extension == ".pem") {
      files.ca_pem += read_pem(fs, path, kCertificate);
    } else if (extension == ".cert") {
      if (!files.client_cert_pem.empty()) refuse_tls_file(path, "a second client certificate");
      Path key = path;
      key.replace_extension(".key");
      if (!fs.status(key)) refuse_tls_file(path, "its .key file is missing");
      files.client_cert_pem = read_pem(fs, path, kCertificate);
      files.client_key_pem = read_pem(fs, key, kPrivateKey);
    }
  }
  if (files.ca_pem.empty() && files.client_cert_pem.empty()) {
    refuse_tls_file(directory, "no *.crt, *.pem or *.cert in it");
  }
  return files;
}

}  // namespace

TlsFiles load_tls_files(FileSystem& fs, const Path& path) {
  // Asked through the name, so that a symlink to a directory (as certs.d often is) is followed.
  const Path followed = path / ".";
  if (fs.status(followed)) return load_directory(fs, path);
  TlsFiles files;
  files.ca_pem = read_pem(fs, path, kCertificate);
  return files;
}

}  // namespace bundle::transfer
