// Certificates of private authorities, made by the openssl program.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "support/child_process.h"
#include "support/temp_directory.h"

namespace bundle::testing {

// In a temporary directory: authorities ca.crt and other.crt; server.cert (127.0.0.1),
// wrongname.cert and client.cert, signed by "ca"; a NAME.key to each.
class Certificates {
 public:
  Certificates() {
    make_ca("ca");
    make_ca("other");
    make_leaf("server", "ca", "subjectAltName=IP:127.0.0.1");
    make_leaf("wrongname", "ca", "subjectAltName=DNS:registry.example.com");
    make_leaf("client", "ca", "extendedKeyUsage=clientAuth");
  }
  std::string file(const std::string& name) const { return (directory_ / name).string(); }

 private:
  void run(const std::vector<std::string>& arguments) {
    const auto result = run_program(arguments);
    if (result.status != 0) throw std::runtime_error(result.output);
  }
  void make_ca(const std::string& name) {
    run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", file(name + ".key"), "-out", file(name + ".crt"), "-subj",
         "/CN=" + name, "-days", "2"});
  }
  void make_leaf(const std::string& name, const std::string& ca, const std::string& extension) {
    run({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", file(name + ".key"), "-out", file(name + ".csr"), "-subj", "/CN=" + name});
    const auto extensions = directory_.write(name + ".ext", extension + "\n");
    run({"openssl", "x509", "-req", "-in", file(name + ".csr"), "-CA", file(ca + ".crt"), "-CAkey",
         file(ca + ".key"), "-CAcreateserial", "-days", "2", "-extfile", extensions.string(),
         "-out", file(name + ".cert")});
  }

  TempDirectory directory_;
};

}  // namespace bundle::testing
