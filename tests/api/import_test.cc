// The life of a site through the public API: plan, import, activate, upgrade, roll back, collect.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "bundle/import.h"
#include "bundle/make.h"
#include "bundle/site.h"
#include "support/expect_error.h"
#include "support/file_tree.h"
#include "support/sample_release.h"
#include "support/temp_directory.h"

namespace bundle::testing {
namespace {

using std::filesystem::path;

const Cancel kNoCancel;

// Small enough that each import takes a fraction of a second.
SampleOptions small(const std::string& version, const std::string& upgrade_from) {
  SampleOptions options;
  options.version = version;
  options.upgrade_from = upgrade_from;
  options.opaque_bytes = 600 << 10;
  options.modules = 40;
  return options;
}

// Bundles that several tests read and none changes.
class Bundles {
 public:
  static const Bundles& get() {
    static const Bundles bundles;
    return bundles;
  }
  TempDirectory folder;
  SampleKey key = make_sample_key(folder / "vendor");
  SampleKey other_key = make_sample_key(folder / "other");

  path release(const std::string& version) const { return folder / version; }

 private:
  Bundles() {
    make_sample_release(release("1.0.0"), key, small("1.0.0", "[]"));
    make_sample_release(release("1.1.0"), key, small("1.1.0", "[\"1.0.x\"]"));
    make_sample_release(release("1.2.0"), key, small("1.2.0", "[\"1.1.x\"]"));
    make_sample_release(release("1.3.0"), key, small("1.3.0", "[\"1.2.x\"]"));
  }
};

class ImportTest : public ::testing::Test {
 protected:
  ImportOptions options(std::vector<path> sources) const {
    ImportOptions options;
    options.sources = std::move(sources);
    options.store = store_;
    options.trust = bundles_.key.open;
    return options;
  }
  ImportReport import(const std::string& version) const {
    return import_release(options({bundles_.release(version)}), silent_progress(), kNoCancel);
  }
  ImportReport import_from(std::vector<path> sources) const {
    return import_release(options(std::move(sources)), silent_progress(), kNoCancel);
  }
  void expect_clean() const {
    const StoreAudit audit = audit_store(store_, 2, silent_progress(), kNoCancel);
    for (const StoreProblem& problem : audit.problems) {
      ADD_FAILURE() << problem.release << " " << problem.digest << " " << problem.problem;
    }
    EXPECT_TRUE(audit.leftovers.empty()) << audit.leftovers.front();
    EXPECT_GT(audit.blobs, 0U);
  }
  path blob_folder() const { return store_ / "blobs" / "sha256"; }

  const Bundles& bundles_ = Bundles::get();
  TempDirectory folder_;
  path store_ = folder_ / "store";
};

VerifyOptions verify_options(std::vector<path> sources, const SampleKey& key) {
  VerifyOptions options;
  options.sources = std::move(sources);
  options.trust = key.open;
  options.rebuild = true;
  return options;
}

TEST_F(ImportTest, PlanTellsAllAndWritesNothing) {
  const FileTree before = file_tree(folder_.path());
  const ImportPlanReport plan = plan_import(options({bundles_.release("1.0.0")}), kNoCancel);
  EXPECT_EQ(file_tree(folder_.path()), before);
  EXPECT_EQ(plan.product, "sample-appliance");
  EXPECT_EQ(plan.version, "1.0.0");
  EXPECT_FALSE(plan.already_imported);
  EXPECT_EQ(plan.blobs_new, plan.blobs_total);
  EXPECT_EQ(plan.bytes_new, plan.bytes_total);
  EXPECT_TRUE(plan.volumes_missing.empty());

  import("1.0.0");
  const FileTree imported = file_tree(store_);
  const ImportPlanReport next = plan_import(options({bundles_.release("1.1.0")}), kNoCancel);
  EXPECT_EQ(file_tree(store_), imported);
  EXPECT_GT(next.blobs_present, 0U);
  EXPECT_GT(next.blobs_new, 0U);
  EXPECT_EQ(next.blobs_present + next.blobs_new, next.blobs_total);
  EXPECT_EQ(next.bytes_present + next.bytes_new, next.bytes_total);
}

TEST_F(ImportTest, PlanIsWhatImportDoes) {
  const ImportPlanReport plan = plan_import(options({bundles_.release("1.0.0")}), kNoCancel);
  const ImportReport report = import("1.0.0");
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(report.blobs_written, plan.blobs_new);
  EXPECT_EQ(report.bytes_written, plan.bytes_new);
  EXPECT_EQ(site_status(store_).bytes, plan.bytes_total);
  expect_clean();
}

// Asks to stop at the first sign of progress after so many bytes.
class StopAt final : public Progress {
 public:
  StopAt(std::uint64_t bytes, Cancel& cancel) : bytes_(bytes), cancel_(cancel) {}
  void phase(std::string_view, std::uint64_t) override {}
  void advance(std::uint64_t done) override {
    if (done >= bytes_) cancel_.request();
  }
  void note(std::string_view) override {}

 private:
  std::uint64_t bytes_;
  Cancel& cancel_;
};

TEST_F(ImportTest, APlanCountsWhatAnInterruptedImportHasLeft) {
  SampleOptions large = small("1.0.0", "[]");
  large.opaque_bytes = 40 << 20;  // one blob that takes most of the import
  make_sample_release(folder_ / "bundle", bundles_.key, large);
  const ImportOptions what = options({folder_ / "bundle"});
  const ImportPlanReport fresh = plan_import(what, kNoCancel);
  Cancel cancel;
  StopAt progress(30 << 20, cancel);
  expect_error(ErrorCode::cancelled, [&] { import_release(what, progress, cancel); });

  const auto taken = [&] {
    std::uint64_t bytes = 0;
    for (const auto& file : std::filesystem::recursive_directory_iterator(store_ / "staging")) {
      if (file.path().filename().string().starts_with("partial-")) bytes += file.file_size();
    }
    return bytes;
  };
  const std::uint64_t partial = taken();
  ASSERT_GT(partial, 1U << 20);
  const ImportPlanReport rest = plan_import(what, kNoCancel);
  EXPECT_EQ(rest.disk_needed, fresh.disk_needed - rest.bytes_present - partial);
  import_release(what, silent_progress(), kNoCancel);
  expect_clean();
}

TEST_F(ImportTest, GzipOfAnUnknownProgramIsStoredInflatedAndGivenBack) {
  SampleOptions odd = small("1.0.0", "[]");
  odd.odd_gzip = true;
  const MakeReport made = make_sample_release(folder_ / "odd", bundles_.key, odd);
  EXPECT_GT(made.gzip_bytes, 0U);
  EXPECT_GT(made.replayed_bytes, made.gzip_bytes - 1024);  // all but headers and trailers
  EXPECT_TRUE(import_from({folder_ / "odd"}).complete);
  expect_clean();
}

TEST_F(ImportTest, ImportAgainIsNoWork) {
  import("1.0.0");
  const FileTree before = file_tree(store_);
  const ImportReport again = import("1.0.0");
  EXPECT_TRUE(again.complete);
  EXPECT_TRUE(again.plan.already_imported);
  EXPECT_EQ(again.blobs_written, 0U);
  EXPECT_EQ(file_tree(store_), before);
}

// Notes how many bytes each phase is about.
struct PhaseLog : Progress {
  std::map<std::string, std::uint64_t, std::less<>> bytes;
  void phase(std::string_view phase, std::uint64_t total_bytes) override {
    bytes.emplace(phase, total_bytes);
  }
  void advance(std::uint64_t /*done_bytes*/) override {}
  void note(std::string_view /*message*/) override {}
};

TEST_F(ImportTest, OnlyWhatWasTouchedSinceIsReadAgainUnlessRepairIsAsked) {
  const std::uint64_t all = import("1.0.0").plan.bytes_total;
  PhaseLog untouched;
  ImportOptions again = options({bundles_.release("1.0.0")});
  import_release(again, untouched, kNoCancel);
  EXPECT_FALSE(untouched.bytes.contains("checking what is here"));

  // Times of files move in steps of some milliseconds.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const auto first = std::filesystem::directory_iterator(blob_folder())->path();
  write_whole(first, read_whole(first));
  PhaseLog touched;
  import_release(again, touched, kNoCancel);
  EXPECT_EQ(touched.bytes["checking what is here"], std::filesystem::file_size(first));

  again.repair = true;
  PhaseLog repair;
  import_release(again, repair, kNoCancel);
  EXPECT_EQ(repair.bytes["checking what is here"], all);
  expect_clean();
}

TEST_F(ImportTest, ListAndStatusSayWhatIsThere) {
  import("1.0.0");
  import("1.1.0");
  const auto releases = list_releases(store_);
  ASSERT_EQ(releases.size(), 2U);
  EXPECT_EQ(releases[0].version, "1.0.0");
  EXPECT_EQ(releases[1].version, "1.1.0");
  EXPECT_TRUE(releases[0].complete);
  EXPECT_TRUE(releases[1].complete);
  EXPECT_FALSE(releases[0].active);
  EXPECT_EQ(site_status(store_).active, "");
  activate_release(store_, "1.0.0", false);
  const SiteStatus status = site_status(store_);
  EXPECT_EQ(status.active, "1.0.0");
  EXPECT_FALSE(status.trust_fingerprint.empty());
  EXPECT_TRUE(status.unfinished.empty());
  EXPECT_TRUE(list_releases(store_)[0].active);
}

TEST_F(ImportTest, UpgradesStepByStepAndRollsBack) {
  for (const char* version : {"1.0.0", "1.1.0", "1.2.0"}) import(version);
  EXPECT_EQ(activate_release(store_, "1.0.0", false).to, "1.0.0");

  const FileTree before = file_tree(store_);
  const GateAnswer refusal = check_gate(store_, "1.2.0", false);
  EXPECT_FALSE(refusal.allowed);
  EXPECT_EQ(refusal.refusals.at(0).rule, "sequential");
  EXPECT_EQ(refusal.next_step, "You run 1.0.0; activate 1.1.0 first: it is in this store.");
  expect_error(ErrorCode::gate_refused, [&] { activate_release(store_, "1.2.0", false); });
  expect_error(ErrorCode::release_unknown, [&] { activate_release(store_, "9.9.9", false); });
  expect_error(ErrorCode::unsafe_path, [&] { activate_release(store_, "../../1.0.0", false); });
  EXPECT_EQ(file_tree(store_), before);

  const Activation step = activate_release(store_, "1.1.0", false);
  EXPECT_EQ(step.from, "1.0.0");
  EXPECT_EQ(step.to, "1.1.0");
  // Going back is a step of its own, never an accident.
  expect_error(ErrorCode::gate_refused, [&] { activate_release(store_, "1.0.0", false); });
  EXPECT_EQ(activate_release(store_, "", true).to, "1.0.0");
  EXPECT_EQ(site_status(store_).active, "1.0.0");
  expect_error(ErrorCode::release_unknown, [&] { activate_release(store_, "", true); });
  expect_clean();
}

TEST_F(ImportTest, AnOlderReleaseIsNotBroughtInAfterANewerOne) {
  import("1.1.0");
  const FileTree before = file_tree(store_);
  expect_error(ErrorCode::rollback, [&] { import("1.0.0"); });
  EXPECT_EQ(file_tree(store_), before);
}

// The newest release came first; the site cannot get there without the ones in between.
TEST_F(ImportTest, AReleaseOnTheWayIsBroughtInAfterTheOneThatItLeadsTo) {
  import("1.0.0");
  activate_release(store_, "1.0.0", false);
  import("1.3.0");
  const auto next_import = [&] {
    const GateAnswer answer = check_gate(store_, "1.3.0", false);
    EXPECT_FALSE(answer.allowed);
    return answer.next_action + " " + answer.next_version;
  };
  EXPECT_EQ(next_import(), "import 1.1.x");
  import("1.1.0");
  EXPECT_EQ(next_import(), "activate 1.1.0");
  activate_release(store_, "1.1.0", false);
  EXPECT_EQ(next_import(), "import 1.2.x");
  import("1.2.0");
  EXPECT_EQ(next_import(), "activate 1.2.0");
  activate_release(store_, "1.2.0", false);
  activate_release(store_, "1.3.0", false);
  expect_clean();
}

TEST_F(ImportTest, AReleaseThatIsNotOnTheWayStaysOut) {
  import("1.1.0");
  activate_release(store_, "1.1.0", false);
  import("1.3.0");
  expect_error(ErrorCode::rollback, [&] { import("1.0.0"); });
  import("1.2.0");
  // There is a way now: nothing older is needed any more.
  CollectOptions options;
  options.remove = {"1.3.0"};
  collect_garbage(store_, options);
  activate_release(store_, "1.2.0", false);
  options.remove = {"1.1.0"};
  collect_garbage(store_, options);
  expect_error(ErrorCode::rollback, [&] { import("1.1.0"); });
}

TEST_F(ImportTest, CollectKeepsTheNewestThreeAndWhatTheyNeed) {
  for (const char* version : {"1.0.0", "1.1.0", "1.2.0", "1.3.0"}) import(version);
  activate_release(store_, "1.0.0", false);
  activate_release(store_, "1.1.0", false);
  const std::uint64_t blobs = site_status(store_).blobs;

  CollectOptions options;
  options.dry_run = true;
  const FileTree before = file_tree(store_);
  const CollectReport would = collect_garbage(store_, options);
  EXPECT_EQ(file_tree(store_), before);
  options.dry_run = false;
  const CollectReport report = collect_garbage(store_, options);
  EXPECT_EQ(report.releases, std::vector<std::string>{"1.0.0"});
  EXPECT_EQ(report.releases, would.releases);
  EXPECT_EQ(report.blobs, would.blobs);
  EXPECT_EQ(report.bytes, would.bytes);
  EXPECT_GT(report.blobs, 0U);
  EXPECT_EQ(site_status(store_).blobs, blobs - report.blobs);
  EXPECT_EQ(list_releases(store_).size(), 3U);
  for (const SiteRelease& release : list_releases(store_)) EXPECT_TRUE(release.complete);
  expect_clean();
}

TEST_F(ImportTest, CollectNeverTakesTheActiveRelease) {
  for (const char* version : {"1.0.0", "1.1.0", "1.2.0"}) import(version);
  activate_release(store_, "1.0.0", false);
  CollectOptions options;
  options.keep = 1;
  EXPECT_EQ(collect_garbage(store_, options).releases, std::vector<std::string>{"1.1.0"});
  options.remove = {"1.0.0"};
  expect_error(ErrorCode::release_active, [&] { collect_garbage(store_, options); });
  EXPECT_EQ(site_status(store_).active, "1.0.0");
  expect_clean();
}

TEST_F(ImportTest, AuditFindsAFlippedBitAndImportRepairsIt) {
  import("1.0.0");
  activate_release(store_, "1.0.0", false);
  const FileTree sound = file_tree(store_ / "blobs");
  for (const auto& entry : std::filesystem::directory_iterator(blob_folder())) {
    std::string content = read_whole(entry.path());
    content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 4);
    write_whole(entry.path(), content);
    const StoreAudit audit = audit_store(store_, 2, silent_progress(), kNoCancel);
    ASSERT_EQ(audit.problems.size(), 1U);
    EXPECT_EQ(audit.problems[0].digest, "sha256:" + entry.path().filename().string());
    EXPECT_EQ(audit.problems[0].release, "1.0.0");
    break;
  }
  ImportOptions again = options({bundles_.release("1.0.0")});
  again.repair = true;
  const ImportReport repair = import_release(again, silent_progress(), kNoCancel);
  EXPECT_TRUE(repair.complete);
  EXPECT_EQ(repair.blobs_written, 1U);
  EXPECT_EQ(file_tree(store_ / "blobs"), sound);
  EXPECT_EQ(site_status(store_).active, "1.0.0");
  expect_clean();
}

TEST_F(ImportTest, ImportRepairsMissingAndShortenedBlobsAndDocuments) {
  import("1.0.0");
  const FileTree sound = file_tree(store_ / "blobs");
  const auto first = std::filesystem::directory_iterator(blob_folder())->path();
  std::filesystem::resize_file(first, std::filesystem::file_size(first) / 2);
  import("1.0.0");
  EXPECT_EQ(file_tree(store_ / "blobs"), sound);
  std::filesystem::remove(first);
  expect_error(ErrorCode::release_incomplete, [&] { activate_release(store_, "1.0.0", false); });
  import("1.0.0");
  EXPECT_EQ(file_tree(store_ / "blobs"), sound);

  const FileTree documents = file_tree(store_ / "releases");
  write_whole(store_ / "releases" / "1.0.0" / "manifest.json", "{}");
  EXPECT_EQ(audit_store(store_, 2, silent_progress(), kNoCancel).problems.size(), 1U);
  import("1.0.0");
  EXPECT_EQ(file_tree(store_ / "releases"), documents);
  expect_clean();
}

// 12 volumes on three sticks, shuffled.
class VolumesTest : public ImportTest {
 protected:
  void make_volumes() {
    SampleOptions sample;
    sample.opaque_bytes = 22 << 20;
    sample.modules = 40;
    const MakeReport made = make_sample_release(bundle_, bundles_.key, sample, kSampleVolume);
    ASSERT_GE(made.volumes.size(), 12U);
    std::vector<path> volumes(made.volumes);
    std::shuffle(volumes.begin(), volumes.end(), std::mt19937(3));
    for (const auto& stick : sticks_) std::filesystem::create_directories(stick);
    for (std::size_t i = 0; i < volumes.size(); ++i) {
      std::filesystem::copy(volumes[i], sticks_[i % sticks_.size()]);
    }
  }

  path bundle_ = folder_ / "bundle";
  std::vector<path> sticks_ = {folder_ / "stick-a", folder_ / "stick-b", folder_ / "stick-c"};
};

TEST_F(VolumesTest, ThreeSticksAtOnce) {
  make_volumes();
  EXPECT_TRUE(import_from(sticks_).complete);
  expect_clean();
}

TEST_F(VolumesTest, TheSecondStickNeedsNoTrust) {
  make_volumes();
  expect_error(ErrorCode::volume_missing, [&] { import_from({sticks_[0]}); });
  ImportOptions without = options({sticks_[1], sticks_[2]});
  without.trust.clear();
  EXPECT_TRUE(import_release(without, silent_progress(), kNoCancel).complete);
  expect_clean();
}

TEST_F(VolumesTest, ThreeSticksOneAfterAnother) {
  make_volumes();
  for (std::size_t i = 0; i + 1 < sticks_.size(); ++i) {
    const Error error = expect_error(ErrorCode::volume_missing, [&] { import_from({sticks_[i]}); });
    EXPECT_NE(error.message().find("1.0.0"), std::string::npos) << error.message();
    EXPECT_TRUE(list_releases(store_).empty());
    EXPECT_EQ(site_status(store_).unfinished.size(), 1U);
  }
  const ImportPlanReport plan = plan_import(options({sticks_[2]}), kNoCancel);
  EXPECT_TRUE(plan.volumes_missing.empty());
  EXPECT_TRUE(import_from({sticks_[2]}).complete);
  EXPECT_TRUE(site_status(store_).unfinished.empty());
  EXPECT_EQ(list_releases(store_).size(), 1U);
  expect_clean();
}

TEST_F(VolumesTest, OneVolumeAfterAnotherInAnyOrder) {
  make_volumes();
  std::vector<path> volumes = volumes_in(bundle_);
  std::shuffle(volumes.begin(), volumes.end(), std::mt19937(5));
  for (std::size_t i = 0; i + 1 < volumes.size(); ++i) {
    expect_error(ErrorCode::volume_missing, [&] { import_from({volumes[i]}); });
  }
  EXPECT_TRUE(import_from({volumes.back()}).complete);
  expect_clean();
}

TEST_F(VolumesTest, SplitAndJoinKeepSignaturesValid) {
  make_volumes();
  verify_bundle(verify_options({bundle_}, bundles_.key), silent_progress(), kNoCancel);
  const auto joined = recut_bundle(sticks_, folder_ / "joined", 0, silent_progress(), kNoCancel);
  ASSERT_EQ(joined.size(), 1U);
  const VerifyReport report = verify_bundle(verify_options({folder_ / "joined"}, bundles_.key),
                                            silent_progress(), kNoCancel);
  EXPECT_EQ(report.blobs, report.release.blobs_total);
  const auto split =
      recut_bundle({folder_ / "joined"}, folder_ / "split", 4 << 20, silent_progress(), kNoCancel);
  EXPECT_GT(split.size(), 2U);
  for (const path& volume : split) EXPECT_LE(std::filesystem::file_size(volume), 4U << 20);
  verify_bundle(verify_options({folder_ / "split"}, bundles_.key), silent_progress(), kNoCancel);
  EXPECT_EQ(read_whole(folder_ / "split" / "carrier.json"), read_whole(bundle_ / "carrier.json"));
  // Volumes of both cuts together are one bundle still.
  EXPECT_TRUE(import_from({split[0], joined[0]}).complete);
}

TEST_F(ImportTest, FingerprintPinsTheKeyOfTheMedium) {
  import("1.0.0");
  const std::string fingerprint = site_status(store_).trust_fingerprint;
  ImportOptions by_fingerprint = options({bundles_.release("1.0.0")});
  by_fingerprint.trust.clear();
  by_fingerprint.store = folder_ / "second";
  by_fingerprint.trust_fingerprint = fingerprint;
  by_fingerprint.trust_fingerprint[3] = fingerprint[3] == '0' ? '1' : '0';
  expect_error(ErrorCode::no_trust,
               [&] { import_release(by_fingerprint, silent_progress(), kNoCancel); });
  EXPECT_FALSE(std::filesystem::exists(folder_ / "second"));
  by_fingerprint.trust_fingerprint = fingerprint;
  import_release(by_fingerprint, silent_progress(), kNoCancel);
  EXPECT_EQ(site_status(folder_ / "second").trust_fingerprint, fingerprint);
}

TEST_F(ImportTest, APinnedSiteNeedsNoTrustAndRefusesAnother) {
  import("1.0.0");
  ImportOptions next = options({bundles_.release("1.1.0")});
  const FileTree before = file_tree(store_);
  next.trust = bundles_.other_key.open;
  expect_error(ErrorCode::wrong_key, [&] { import_release(next, silent_progress(), kNoCancel); });
  next.trust.clear();
  next.trust_fingerprint = std::string(64, 'a');
  expect_error(ErrorCode::wrong_key, [&] { import_release(next, silent_progress(), kNoCancel); });
  EXPECT_EQ(file_tree(store_), before);
  next.trust_fingerprint.clear();
  EXPECT_TRUE(import_release(next, silent_progress(), kNoCancel).complete);
}

TEST_F(ImportTest, SignedLaterAndByASecondKey) {
  const path bundle = folder_ / "unsigned";
  make_sample_release(bundle, std::nullopt, small("1.0.0", "[]"));
  expect_error(ErrorCode::unsigned_release, [&] { import_from({bundle}); });
  EXPECT_FALSE(std::filesystem::exists(store_));

  SignWith with;
  with.key = bundles_.other_key.secret;
  EXPECT_EQ(sign_bundle(bundle, with).volumes, 1U);
  expect_error(ErrorCode::wrong_key, [&] { import_from({bundle}); });
  with.key = bundles_.key.secret;
  EXPECT_EQ(sign_bundle(bundle, with).signatures.size(), 2U);
  EXPECT_EQ(inspect_bundle({bundle}).signatures.size(), 4U);
  for (const SampleKey& key : {bundles_.key, bundles_.other_key}) {
    verify_bundle(verify_options({bundle}, key), silent_progress(), kNoCancel);
  }
  EXPECT_TRUE(import_from({volumes_in(bundle)}).complete);
}

TEST_F(ImportTest, InspectTellsWhatIsInside) {
  const InspectReport report = inspect_bundle({bundles_.release("1.1.0")});
  EXPECT_FALSE(report.verified);
  EXPECT_EQ(report.version, "1.1.0");
  EXPECT_EQ(report.volumes_total, 1U);
  EXPECT_EQ(report.artifacts.size(), 7U);  // two images, chart, three files, their index
  EXPECT_EQ(report.upgrade_from, std::vector<std::string>{"1.0.x"});
}

TEST_F(ImportTest, SameInputsGiveTheSameBytes) {
  const ScopedVariable time("SOURCE_DATE_EPOCH", "1795446000");
  make_sample_release(folder_ / "one" / "bundle", bundles_.key, small("1.0.0", "[]"),
                      kSampleVolume);
  make_sample_release(folder_ / "another" / "place", bundles_.key, small("1.0.0", "[]"),
                      kSampleVolume);
  EXPECT_EQ(file_tree(folder_ / "one" / "bundle"), file_tree(folder_ / "another" / "place"));
}

}  // namespace
}  // namespace bundle::testing
