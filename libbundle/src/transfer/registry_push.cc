#include "transfer/registry_push.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "base/thread_pool.h"
#include "oci/document.h"
#include "oci/walk.h"
#include "transfer/http_error.h"
#include "transfer/rate_limit.h"
#include "transfer/registry_upload.h"

namespace bundle::transfer {
namespace {

using oci::Closure;
using oci::Descriptor;
using oci::Document;

// What nobody else of the run would survive either.
bool is_fatal(const Error& error) {
  const ErrorCode code = error.code();
  return is_transient(error) || code == ErrorCode::tls_failed || code == ErrorCode::cancelled;
}

// An artifact on its way.
struct Item {
  const PushArtifact* artifact = nullptr;
  std::unique_ptr<Repository> repository;
  Closure closure;
  std::set<Digest> missing;            // documents
  std::set<std::string> missing_tags;  // the artifact's and those of signatures
  std::set<Digest> unlisted;           // subjects whose fallback tag lacks a referrer of ours
  std::mutex mutex;                    // of what follows, which several workers change
  bool lacks_blob = false;
  std::set<Digest> refused;  // indexes
  PushResult result;

  bool is_done() const { return missing.empty() && missing_tags.empty() && unlisted.empty(); }
  void fail(const Error& error) {
    const std::lock_guard lock(mutex);
    if (result.state == PushState::failed) return;
    result.state = PushState::failed;
    result.error = error;
  }
  void note_blob() {
    const std::lock_guard lock(mutex);
    lacks_blob = true;
  }
};

// A blob and everywhere where it belongs.
struct Cargo {
  Descriptor descriptor;
  std::vector<Item*> items;  // not two of one repository: the others wait in `same`
  std::vector<Item*> same;
};

class Push {
 public:
  Push(std::shared_ptr<RegistryClient> client, const PushWork& work, PushTotals& totals,
       Progress& progress, const Cancel& cancel)
      : client_(std::move(client)),
        work_(work),
        totals_(totals),
        progress_(progress),
        cancel_(cancel),
        limit_(work.bytes_per_second) {}

  std::vector<PushResult> run() {
    for (const PushArtifact& artifact : work_.artifacts) add(artifact);
    progress_.phase("asking the registry", 0);
    each(items_, [this](Item& item) { look(item); });
    load_cargo();
    progress_.phase(work_.dry_run ? "asking for blobs" : "pushing", bytes_total_);
    each(cargo_, [this](Cargo& cargo) { carry(cargo); });
    if (!work_.dry_run) push_all_documents();
    std::vector<PushResult> results;
    for (const auto& item : items_) results.push_back(finished(*item));
    return results;
  }

 private:
  void add(const PushArtifact& artifact) {
    auto item = std::make_unique<Item>();
    item->artifact = &artifact;
    item->repository = std::make_unique<Repository>(client_, artifact.target);
    item->closure = oci::walk(*artifact.source, {.wanted = {}, .referrers = true, .sparse = true});
    items_.push_back(std::move(item));
  }

  template <typename Things, typename Work>
  void each(const Things& things, Work work) {
    std::atomic<std::size_t> next{0};
    const std::size_t workers = std::min(std::max<std::size_t>(work_.workers, 1), things.size());
    if (workers == 0) return;
    run_workers(workers, [&](const std::atomic<bool>& stop) {
      for (std::size_t i = next++; i < things.size() && !stop; i = next++) {
        cancel_.check();
        work(*things[i]);
      }
    });
  }

  // Errors of one artifact stay with it.
  template <typename Work>
  static void guarded(Item& item, Work work) {
    try {
      work();
    } catch (const Error& error) {
      if (is_fatal(error)) throw;
      item.fail(error);
    }
  }

  // What the registry lacks of an artifact's documents and tags.
  void look(Item& item) {
    guarded(item, [&] {
      const Repository& repository = *item.repository;
      const Digest& root = item.closure.root.descriptor.digest;
      const Document* single = work_.single_platform ? single_image(item) : nullptr;
      bool stands_in = false;
      for (const auto& [tag, digest] : tags(item)) {
        const auto found = repository.head(tag);
        if (found && found->digest == digest) continue;
        if (found && single != nullptr && digest == root &&
            found->digest == single->descriptor.digest) {
          stands_in = true;
        } else {
          item.missing_tags.insert(tag);
        }
      }
      if (stands_in) note_single(item, single);
      for (const Document& document : item.closure.documents) {
        const Digest& digest = document.descriptor.digest;
        if (stands_in && digest == root) continue;
        const bool named = std::ranges::any_of(tags(item), [&](const auto& entry) {
          return entry.second == digest && !item.missing_tags.contains(entry.first);
        });
        if (!named && !repository.head(digest.text())) item.missing.insert(digest);
      }
      for (const auto& [subject, referrers] : subjects(item)) {
        if (!is_listed(repository, subject, referrers)) item.unlisted.insert(subject);
      }
      if (work_.dry_run && work_.single_platform) expect_gaps(item, single);
    });
  }

  // What the registry would refuse is not what it lacks. Indexes come before their children.
  static void expect_gaps(Item& item, const Document* single) {
    const auto& documents = item.closure.documents;
    for (auto at = documents.rbegin(); at != documents.rend(); ++at) {
      const Digest& digest = at->descriptor.digest;
      if (!item.missing.contains(digest) || !has_gaps(item, *at)) continue;
      item.refused.insert(digest);
      item.missing.erase(digest);
    }
    const bool refused = item.refused.contains(item.closure.root.descriptor.digest);
    if (refused && single == nullptr) item.missing_tags.erase(item.artifact->target.tag);
  }

  static std::map<std::string, Digest> tags(const Item& item) {
    std::map<std::string, Digest> found;
    if (!item.artifact->target.tag.empty()) {
      found.emplace(item.artifact->target.tag, item.closure.root.descriptor.digest);
    }
    for (const oci::ReferrerRoot& referrer : item.closure.referrer_roots) {
      if (!referrer.tag.empty()) found.emplace(referrer.tag, referrer.descriptor.digest);
    }
    return found;
  }

  // By subject: what hangs on it by the member `subject`.
  static std::map<Digest, std::vector<Descriptor>> subjects(const Item& item) {
    std::map<Digest, std::vector<Descriptor>> found;
    for (const oci::ReferrerRoot& referrer : item.closure.referrer_roots) {
      if (referrer.tag.empty()) found[referrer.subject].push_back(referrer.descriptor);
    }
    return found;
  }

  // True with a referrers API, which lists by itself; else the fallback tag must name all
  // (distribution-spec, "Referrers Tag Schema").
  static bool is_listed(const Repository& repository, const Digest& subject,
                        const std::vector<Descriptor>& referrers) {
    if (repository.api_referrers(subject)) return true;
    const auto document = repository.get_document(oci::digest_tag(subject), nullptr);
    if (!document || !oci::is_index_type(document->descriptor.media_type)) return false;
    const auto listed = oci::parse_index(*document).manifests;
    return std::ranges::all_of(referrers, [&](const Descriptor& referrer) {
      return std::ranges::find(listed, referrer.digest, &Descriptor::digest) != listed.end();
    });
  }

  void load_cargo() {
    std::map<Digest, Cargo*> known;
    for (const auto& item : items_) {
      if (item->result.state == PushState::failed || (item->is_done() && !work_.recheck)) continue;
      for (const Descriptor& blob : item->closure.blobs) {
        Cargo*& cargo = known[blob.digest];
        if (cargo == nullptr) {
          cargo_.push_back(std::make_unique<Cargo>());
          cargo = cargo_.back().get();
          cargo->descriptor = blob;
          bytes_total_ += blob.size;
        }
        const bool again = std::ranges::any_of(cargo->items, [&](const Item* other) {
          return other->artifact->target.repository == item->artifact->target.repository;
        });
        (again ? cargo->same : cargo->items).push_back(item.get());
      }
    }
    // The large ones first, so that none is alone at the end.
    std::ranges::stable_sort(cargo_, std::ranges::greater{},
                             [](const auto& cargo) { return cargo->descriptor.size; });
  }

  // One blob into all repositories that need it: sent once, mounted from there.
  void carry(Cargo& cargo) {
    std::string have;  // a repository that has it
    std::uint64_t told = 0;
    for (Item* item : cargo.items) {
      try {
        carry_to(*item, cargo, have, told);
      } catch (const Error& error) {
        if (is_fatal(error)) throw;
        item->fail(error);
        for (Item* other : cargo.same) {
          if (other->artifact->target.repository == item->artifact->target.repository) {
            other->fail(error);
          }
        }
      }
    }
    advance(cargo.descriptor.size - told);
  }

  void carry_to(Item& item, const Cargo& cargo, std::string& have, std::uint64_t& told) {
    const Repository& repository = *item.repository;
    const std::uint64_t size = cargo.descriptor.size;
    if (work_.dry_run) {
      const bool there = repository.has_blob(cargo.descriptor.digest);
      const std::lock_guard lock(mutex_);
      totals_.blobs_present += there ? 1 : 0;
      totals_.blobs_sent += there || !have.empty() ? 0 : 1;
      totals_.blobs_mounted += !there && !have.empty() ? 1 : 0;
      totals_.bytes_sent += there || !have.empty() ? 0 : size;
      if (!there) item.note_blob();
      have = item.artifact->target.repository;
      return;
    }
    UploadOptions options;
    options.chunk_bytes = work_.chunk_bytes;
    options.limit = &limit_;
    options.on_progress = [&](std::uint64_t sent) {
      if (sent <= told) return;
      advance(sent - told);
      told = sent;
    };
    const Delivery delivery = deliver(repository, cargo, have, options);
    have = item.artifact->target.repository;
    const std::lock_guard lock(mutex_);
    totals_.blobs_present += delivery == Delivery::present ? 1 : 0;
    totals_.blobs_mounted += delivery == Delivery::mounted ? 1 : 0;
    totals_.blobs_sent += delivery == Delivery::uploaded ? 1 : 0;
    totals_.bytes_sent += delivery == Delivery::uploaded ? size : 0;
    if (delivery != Delivery::present) item.note_blob();
  }

  Delivery deliver(const Repository& repository, const Cargo& cargo, const std::string& have,
                   const UploadOptions& options) {
    const Digest& digest = cargo.descriptor.digest;
    if (repository.has_blob(digest)) return Delivery::present;
    const auto file = work_.open_blob(cargo.descriptor);
    return upload_blob(repository, digest, *file, have, options);
  }

  // Side by side for different repositories; within one, one after the other, because two artifacts
  // may share documents and fallback tags.
  void push_all_documents() {
    std::map<std::string, std::vector<Item*>> by_repository;
    for (const auto& item : items_) {
      by_repository[item->artifact->target.repository].push_back(item.get());
    }
    std::vector<std::unique_ptr<std::vector<Item*>>> lists;
    for (auto& [name, list] : by_repository) {
      lists.push_back(std::make_unique<std::vector<Item*>>(std::move(list)));
    }
    each(lists, [this](const std::vector<Item*>& list) {
      for (Item* item : list) {
        if (item->result.state == PushState::failed || item->is_done()) continue;
        guarded(*item, [&] { push_documents(*item); });
      }
    });
  }

  void push_documents(Item& item) {
    // Children of an index come after it in the list, and before it in the registry.
    const auto& documents = item.closure.documents;
    const Digest& root = item.closure.root.descriptor.digest;
    for (auto at = documents.rbegin(); at != documents.rend(); ++at) {
      const Digest& digest = at->descriptor.digest;
      if (digest != root && item.missing.contains(digest)) offer(item, *at, digest.text());
    }
    push_root(item);
    for (const oci::ReferrerRoot& referrer : item.closure.referrer_roots) {
      if (!item.missing_tags.contains(referrer.tag)) continue;
      put(item, document_of(item, referrer.descriptor.digest), referrer.tag);
    }
    for (const auto& [subject, referrers] : subjects(item)) {
      if (item.unlisted.contains(subject)) list_referrers(item, subject, referrers);
    }
  }

  static const Document& document_of(const Item& item, const Digest& digest) {
    return *std::ranges::find(item.closure.documents, digest,
                              [](const Document& document) { return document.descriptor.digest; });
  }

  static void put(Item& item, const Document& document, const std::string& name) {
    item.repository->put_document(name, document);
    ++item.result.documents;
  }

  void push_root(Item& item) {
    const Document& root = item.closure.root;
    const std::string& tag = item.artifact->target.tag;
    const bool tagged = tag.empty() || !item.missing_tags.contains(tag);
    if (tagged && !item.missing.contains(root.descriptor.digest)) return;
    if (offer(item, root, tag.empty() ? root.descriptor.digest.text() : tag)) return;
    const Document* image = single_image(item);
    if (image != nullptr) put(item, *image, tag);
    note_single(item, image);
  }

  // False when the registry refuses an index because parts of it are absent, and that is allowed.
  bool offer(Item& item, const Document& document, const std::string& name) const {
    try {
      put(item, document, name);
      return true;
    } catch (const Error& error) {
      const bool refused =
          error.code() == ErrorCode::http_status || error.code() == ErrorCode::not_found;
      if (!refused || !has_gaps(item, document)) throw;
      if (!work_.single_platform) throw gap_error(item, error);
      item.refused.insert(document.descriptor.digest);
      return false;
    }
  }

  // Releases carry the platforms of their sites only; some registries want every image of an index.
  static bool has_gaps(const Item& item, const Document& document) {
    if (!oci::is_index_type(document.descriptor.media_type)) return false;
    return std::ranges::any_of(oci::parse_index(document).manifests, [&](const Descriptor& child) {
      return is_skipped(item, child.digest) || item.refused.contains(child.digest);
    });
  }

  static bool is_skipped(const Item& item, const Digest& digest) {
    const auto& skipped = item.closure.skipped;
    return std::ranges::find(skipped, digest, &Descriptor::digest) != skipped.end();
  }

  static Error gap_error(const Item& item, const Error& refusal) {
    return {refusal.code(),
            fmt::format("{}: the registry takes no index of which parts are not in the release: {}",
                        item.artifact->target.text(), refusal.message()),
            "Let the registry take such indexes (distribution 3: validation.manifests.indexes."
            "platforms: none), push with --single-platform, which tags the carried image in place "
            "of the index, or make the release with all platforms."};
  }

  // The one image that the release carries of an index with absent parts; null when it is not so.
  static const Document* single_image(const Item& item) {
    if (item.closure.skipped.empty() || item.artifact->target.tag.empty() ||
        !oci::is_index_type(item.closure.root.descriptor.media_type)) {
      return nullptr;
    }
    const Document* single = nullptr;
    for (const Descriptor& child : oci::parse_index(item.closure.root).manifests) {
      if (oci::is_attestation(child) || is_skipped(item, child.digest)) continue;
      if (single != nullptr) return nullptr;
      single = &document_of(item, child.digest);
    }
    return single;
  }

  static void note_single(Item& item, const Document* image) {
    item.result.note = "the registry takes no index of which parts are absent: ";
    item.result.note +=
        image == nullptr ? "it is not there, what hangs on it is"
                         : fmt::format("the tag is the image {}", image->descriptor.digest.text());
  }

  // Adds to what others may have listed there.
  static void list_referrers(Item& item, const Digest& subject,
                             const std::vector<Descriptor>& referrers) {
    if (item.repository->api_referrers(subject))
      return;  // it has one, once it knows the repository
    const std::string tag = oci::digest_tag(subject);
    oci::Index index;
    index.media_type = oci::media_type::kIndex;
    const auto there = item.repository->get_document(tag, nullptr);
    if (there && oci::is_index_type(there->descriptor.media_type)) index = oci::parse_index(*there);
    for (Descriptor referrer : referrers) {
      if (std::ranges::find(index.manifests, referrer.digest, &Descriptor::digest) !=
          index.manifests.end()) {
        continue;
      }
      const Document& document = document_of(item, referrer.digest);
      referrer.annotations = oci::is_index_type(referrer.media_type)
                                 ? oci::parse_index(document).annotations
                                 : oci::parse_manifest(document).annotations;
      index.manifests.push_back(std::move(referrer));
    }
    put(item, oci::make_index(index), tag);
  }

  PushResult finished(Item& item) const {
    PushResult& result = item.result;
    if (result.state == PushState::failed) return result;
    if (work_.dry_run) result.documents = item.missing.size();
    const bool moves = work_.dry_run ? !item.is_done() : result.documents > 0;
    if (moves || item.lacks_blob) {
      result.state = work_.dry_run ? PushState::pending : PushState::pushed;
    }
    return result;
  }

  void advance(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    progress_.advance(done_ += bytes);
  }

  std::shared_ptr<RegistryClient> client_;
  const PushWork& work_;
  PushTotals& totals_;
  Progress& progress_;
  const Cancel& cancel_;
  RateLimit limit_;
  std::vector<std::unique_ptr<Item>> items_;
  std::vector<std::unique_ptr<Cargo>> cargo_;
  std::uint64_t bytes_total_ = 0;
  std::mutex mutex_;  // totals, progress
  std::uint64_t done_ = 0;
};

}  // namespace

std::vector<PushResult> push_artifacts(std::shared_ptr<RegistryClient> client, const PushWork& work,
                                       PushTotals& totals, Progress& progress,
                                       const Cancel& cancel) {
  return Push(std::move(client), work, totals, progress, cancel).run();
}

}  // namespace bundle::transfer
