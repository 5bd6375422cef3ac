// A site pins a bare key; the vendor moves on to TUF roots that travel in the bundles.
#include <gtest/gtest.h>

#include "base/time.h"
#include "bundle/import.h"
#include "bundle/make.h"
#include "crypto/signer.h"
#include "support/expect_error.h"
#include "support/sample_release.h"
#include "support/temp_directory.h"
#include "trust/root_builder.h"

namespace bundle::testing {
namespace {

using std::filesystem::path;

const Cancel kNoCancel;
constexpr UnixTime kYear = 365 * 86'400;

class RootChainTest : public ::testing::Test {
 protected:
  // The root after `current`, signed by the vendor's key, as a file that make takes along.
  path next_root(const trust::TrustRoot& current) {
    FileSystem& fs = posix_file_system();
    const auto signer = FileSigner::open(fs, key_.secret, {});
    const auto metadata = trust::next_root(current.metadata(), current_time() + kYear);
    const std::string root = trust::sign_root(trust::encode_root(metadata), *signer);
    return folder_.write(std::to_string(metadata.version) + ".root.json", root);
  }

  trust::TrustRoot load(const path& file) const {
    return trust::TrustRoot::load(read_text_file(posix_file_system(), file, 1 << 20),
                                  file.string());
  }

  path make(const std::string& version, const std::vector<path>& roots) {
    SampleOptions sample;
    sample.version = version;
    sample.opaque_bytes = 100 << 10;
    sample.modules = 5;
    write_sample_inputs(folder_ / ("input-" + version), sample);
    MakeOptions options;
    options.spec = folder_ / ("input-" + version) / "release.yaml";
    options.out = folder_ / version;
    options.fast = true;
    options.sign.key = key_.secret;
    options.roots = roots;
    make_bundle(options, silent_progress(), kNoCancel);
    return options.out;
  }

  void import(const path& source, const path& trust, const std::string& fingerprint = "") {
    ImportOptions options;
    options.sources = {source};
    options.store = folder_ / "store";
    options.trust = trust;
    options.trust_fingerprint = fingerprint;
    import_release(options, silent_progress(), kNoCancel);
  }

  TempDirectory folder_;
  SampleKey key_ = make_sample_key(folder_ / "vendor");
};

TEST_F(RootChainTest, TheFirstCommandStaysRightAfterTheSiteHasFollowedTheChain) {
  const trust::TrustRoot bare = load(key_.open);
  const path first = next_root(bare);
  const path second = next_root(load(first));
  const path bundle = make("1.0.0", {first, second});
  import(bundle, key_.open);
  EXPECT_EQ(load(folder_ / "store" / "trust" / "root.json").version(), 2U);
  // Once more with the key that was pinned first, and by its fingerprint.
  import(bundle, key_.open);
  import(bundle, {}, load(first).fingerprint());
  import(bundle, {}, load(second).fingerprint());
  const SampleKey stranger = make_sample_key(folder_ / "stranger");
  expect_error(ErrorCode::wrong_key, [&] { import(bundle, stranger.open); });
  expect_error(ErrorCode::wrong_key,
               [&] { import(bundle, {}, load(stranger.open).fingerprint()); });
}

TEST_F(RootChainTest, AMissingLinkIsNamed) {
  const path first = next_root(load(key_.open));
  const path second = next_root(load(first));
  const path bundle = make("1.0.0", {second});
  const Error error =
      expect_error(ErrorCode::root_chain_broken, [&] { import(bundle, key_.open); });
  EXPECT_NE(error.message().find('1'), std::string::npos) << error.message();
}

}  // namespace
}  // namespace bundle::testing
