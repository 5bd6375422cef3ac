#include <fmt/format.h>

#include "base/time.h"
#include "bundle/error.h"
#include "bundle/site_setup.h"
#include "crypto/certificate.h"
#include "crypto/secret_file.h"
#include "io/file_system.h"

namespace bundle {
namespace {

constexpr std::uint64_t kMaxPemBytes = 64 * 1024;
constexpr UnixTime kDay = 24 * 60 * 60;
constexpr unsigned kMaxDays = 3650;

CertificateRequest request(CertificateUse use, std::string name, unsigned days) {
  CertificateRequest out;
  out.use = use;
  out.common_name = std::move(name);
  out.not_before = current_time() - kDay;
  out.not_after = current_time() + kDay * days;
  return out;
}

// Key first: a certificate without its key is of no use, and the key alone harms nobody.
void write_pair(FileSystem& fs, const Path& certificate, const Path& key,
                const KeyAndCertificate& pair) {
  write_secret_file(fs, key, as_bytes(pair.key_pem));
  write_file_atomically(fs, certificate, as_bytes(pair.certificate_pem));
}

KeyAndCertificate open_or_make_authority(FileSystem& fs, CertificateReport& report) {
  const Path key = report.authority.parent_path() / "ca.key";
  if (fs.status(report.authority) || fs.status(key)) {
    return {read_text_file(fs, key, kMaxPemBytes),
            read_text_file(fs, report.authority, kMaxPemBytes)};
  }
  const auto made = make_certificate(
      request(CertificateUse::authority, "bundle site authority " + format_time(current_time()),
              kAuthorityDays),
      nullptr);
  write_pair(fs, report.authority, key, made);
  report.new_authority = true;
  return made;
}

std::string name_of_client(const std::string& name) {
  for (const char* taken : {"ca", "server"}) {
    if (name == taken) {
      throw Error(ErrorCode::usage, fmt::format("a client cannot be called \"{}\"", name),
                  "Choose another name for the client.");
    }
  }
  if (name.front() == '.' || name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRS"
                                                    "TUVWXYZ0123456789-_.@") != std::string::npos) {
    throw Error(ErrorCode::usage, fmt::format("\"{}\" is no name for a client", name),
                "Use letters, digits and -_.@");
  }
  return name;
}

}  // namespace

CertificateReport generate_certificates(const CertificateOptions& options) {
  FileSystem& fs = posix_file_system();
  if (options.days == 0 || options.days > kMaxDays) {
    throw Error(ErrorCode::usage, fmt::format("a certificate cannot last {} days", options.days),
                fmt::format("Give 1 to {} days.", kMaxDays));
  }
  CertificateReport report;
  report.authority = options.folder / "ca.pem";
  const bool client = !options.client.empty();
  const std::string base = client ? name_of_client(options.client) : "server";
  report.certificate = options.folder / (base + ".pem");
  report.key = options.folder / (base + ".key");
  CertificateRequest wanted =
      request(client ? CertificateUse::client : CertificateUse::server, base, options.days);
  wanted.names = options.names;
  if (!client && wanted.names.empty() && fs.status(report.certificate)) {
    wanted.names = read_certificate(read_text_file(fs, report.certificate, kMaxPemBytes),
                                    report.certificate.string())
                       .names;
  }
  if (!client && wanted.names.empty()) {
    throw Error(ErrorCode::usage, "the server's name is missing",
                "Give --name for each DNS name and IP address by which nodes reach the registry.");
  }
  if (client && !wanted.names.empty()) {
    throw Error(ErrorCode::usage, "a client certificate has no server names",
                "Leave --name or --client away.");
  }
  fs.create_directories(options.folder);
  const KeyAndCertificate authority = open_or_make_authority(fs, report);
  write_pair(fs, report.certificate, report.key, make_certificate(wanted, &authority));
  report.names = wanted.names;
  report.expires = format_time(wanted.not_after);
  report.fingerprint =
      read_certificate(authority.certificate_pem, report.authority.string()).fingerprint;
  return report;
}

}  // namespace bundle
