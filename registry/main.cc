// bundle-registry: reads the command line, calls the library, prints what went wrong.
#include <cstdio>
#include <cxxopts.hpp>
#include <iostream>
#include <string>

#include "bundle/error.h"
#include "oci/descriptor.h"
#include "registry/serve.h"

namespace {

using bundle::Error;
using bundle::ErrorCode;

constexpr const char* kExamples = R"(
Examples:
  bundle-registry serve --store /var/lib/bundle/store
      serves on 127.0.0.1:5000 for this machine only
  bundle-registry serve --store DIR --listen 0.0.0.0:5000 --tls-cert site.pem --tls-key site.key
      serves the network; send SIGHUP after a certificate or the access
      file was changed
  bundle-registry serve --store DIR --listen 0.0.0.0:5000 --tls-cert site.pem --tls-key site.key \
      --access /etc/bundle/access.yaml
      asks for users and passwords as the file says
  bundle-registry serve --store DIR --listen 127.0.0.1:0 --port-file port --json
      any free port, its number in the file; messages and requests as JSON lines

  bundle-registry serve --store DIR --listen 0.0.0.0:5000 --tls-cert site.pem --tls-key site.key \
      --access /etc/bundle/access.yaml --writable
      takes pushes from those whom the file allows to, beside the releases

Addresses: /v2/ (OCI distribution API), / (status page), /healthz, /readyz, /metrics
)";

cxxopts::Options describe_options() {
  cxxopts::Options options("bundle-registry",
                           "Serves the releases of a site store as an OCI registry.");
  options.custom_help("serve --store DIR [--listen ADDR:PORT] [OPTION...]");
  options.positional_help("");
  auto add = options.add_options();
  add("command", "", cxxopts::value<std::string>());
  add("store", "the site store to serve; releases are only read", cxxopts::value<std::string>(),
      "DIR");
  add("listen", "where to listen; systemd: on the socket that systemd gives",
      cxxopts::value<std::string>()->default_value("127.0.0.1:5000"), "ADDR:PORT");
  add("tls-cert", "serve HTTPS with this certificate chain (PEM)", cxxopts::value<std::string>(),
      "FILE");
  add("tls-key", "its private key (PEM, not encrypted)", cxxopts::value<std::string>(), "FILE");
  add("tls-client-ca", "serve only clients with a certificate of this authority (PEM)",
      cxxopts::value<std::string>(), "FILE");
  add("access", "who may pull what (docs/registry.md); without it everybody may",
      cxxopts::value<std::string>(), "FILE");
  add("writable",
      "take pushes into repositories that no release has; kept in DIR/pushed; who may push says "
      "--access");
  add("max-upload-mib", "largest blob that may be pushed",
      cxxopts::value<std::uint64_t>()->default_value("65536"), "N");
  add("keep-free-mib", "no push may leave less free disk than this",
      cxxopts::value<std::uint64_t>()->default_value("1024"), "N");
  add("port-file", "write the bound port to this file when ready", cxxopts::value<std::string>(),
      "FILE");
  add("access-log", "one line per request on standard error");
  add("json", "messages and the access log as JSON lines");
  add("workers", "worker threads; 0: two per core", cxxopts::value<unsigned>()->default_value("0"),
      "N");
  add("max-connections", "connections at a time", cxxopts::value<unsigned>()->default_value("4096"),
      "N");
  add("max-connections-per-peer", "connections at a time from one address",
      cxxopts::value<unsigned>()->default_value("512"), "N");
  add("client-timeout", "seconds that a client may take to send a request or stall a download",
      cxxopts::value<unsigned>()->default_value("60"), "S");
  add("drain-timeout", "seconds that running downloads get after SIGTERM",
      cxxopts::value<unsigned>()->default_value("30"), "S");
  add("scrub-days", "days in which every blob file is read again to find rot; 0: never",
      cxxopts::value<unsigned>()->default_value("7"), "N");
  add("h,help", "this text");
  options.parse_positional({"command"});
  return options;
}

std::uint64_t read_mebibytes(const cxxopts::ParseResult& given, const std::string& name) {
  const auto value = given[name].as<std::uint64_t>();
  if (value > bundle::oci::kMaxBlobBytes >> 20) {
    throw Error(ErrorCode::usage, "--" + name + " is too large",
                "bundle-registry --help shows the options.");
  }
  return value << 20;
}

bundle::registry::ServeOptions read_options(const cxxopts::ParseResult& given) {
  const std::string hint = "bundle-registry --help shows the options.";
  if (given.count("command") == 0 || given["command"].as<std::string>() != "serve") {
    throw Error(ErrorCode::usage, "the command is missing: serve", hint);
  }
  if (!given.unmatched().empty()) {
    throw Error(ErrorCode::usage, "unexpected argument: " + given.unmatched().front(), hint);
  }
  if (given.count("store") == 0) throw Error(ErrorCode::usage, "--store DIR is missing", hint);
  if (given.count("tls-cert") != given.count("tls-key")) {
    throw Error(ErrorCode::usage, "--tls-cert and --tls-key go together", hint);
  }
  const std::chrono::seconds patience{given["client-timeout"].as<unsigned>()};
  if (patience.count() == 0) throw Error(ErrorCode::usage, "--client-timeout is at least 1", hint);

  bundle::registry::ServeOptions options;
  options.store = given["store"].as<std::string>();
  options.server.listen = given["listen"].as<std::string>();
  if (given.count("tls-cert") != 0) {
    options.server.tls = {
        given["tls-cert"].as<std::string>(), given["tls-key"].as<std::string>(), {}};
    if (given.count("tls-client-ca") != 0) {
      options.server.tls->client_authorities = given["tls-client-ca"].as<std::string>();
    }
  } else if (given.count("tls-client-ca") != 0) {
    throw Error(ErrorCode::usage, "--tls-client-ca needs --tls-cert and --tls-key", hint);
  }
  if (given.count("access") != 0) options.server.access_file = given["access"].as<std::string>();
  if (given.count("writable") != 0) {
    bundle::registry::PushLimits limits;
    limits.max_upload = read_mebibytes(given, "max-upload-mib");
    limits.keep_free = read_mebibytes(given, "keep-free-mib");
    options.server.push = limits;
  }
  if (given.count("port-file") != 0) options.port_file = given["port-file"].as<std::string>();
  options.server.workers = given["workers"].as<unsigned>();
  options.server.max_connections = given["max-connections"].as<unsigned>();
  options.server.max_connections_per_peer = given["max-connections-per-peer"].as<unsigned>();
  options.server.patience.request = patience;
  options.server.patience.window = patience;
  options.server.scrub_period = std::chrono::hours(24) * given["scrub-days"].as<unsigned>();
  options.drain_limit = std::chrono::seconds(given["drain-timeout"].as<unsigned>());
  options.log_requests = given.count("access-log") != 0 || given.count("json") != 0;
  if (given.count("json") != 0) options.log_form = bundle::registry::LogForm::json;
  return options;
}

int fail(const Error& error) {
  std::cerr << "bundle-registry: error: " << error.message() << "\n";
  if (!error.hint().empty()) std::cerr << "  next: " << error.hint() << "\n";
  return bundle::exit_status(error.code());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    cxxopts::Options options = describe_options();
    const cxxopts::ParseResult given = options.parse(argc, argv);
    if (given.count("help") != 0) {
      std::cout << options.help() << kExamples;
      return 0;
    }
    bundle::registry::serve(read_options(given));
    return 0;
  } catch (const Error& error) {
    return fail(error);
  } catch (const cxxopts::exceptions::exception& error) {
    return fail(Error(ErrorCode::usage, error.what(), "bundle-registry --help shows the options."));
  } catch (const std::exception& error) {
    return fail(Error(ErrorCode::internal, error.what()));
  }
}
