// What a third party would write: prints what a bundle says about itself.
#include <bundle/error.h>
#include <bundle/make.h>

#include <iostream>

int main(int argc, char** argv) {
  try {
    const auto report = bundle::inspect_bundle({argv + 1, argv + argc});
    std::cout << report.product << ' ' << report.version << ": " << report.blobs << " blobs, "
              << report.blob_bytes << " bytes\n";
    for (const auto& artifact : report.artifacts) {
      std::cout << artifact.digest << ' ' << artifact.name << '\n';
    }
    return 0;
  } catch (const bundle::Error& error) {
    std::cerr << bundle::error_name(error.code()) << ": " << error.message() << '\n';
    return bundle::exit_status(error.code());
  }
}
