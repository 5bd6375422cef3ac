#include "registry/push_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "bundle/error.h"
#include "crypto/random.h"
#include "oci/document.h"
#include "oci/reference.h"
#include "registry/byte_range.h"
#include "registry/request_limits.h"

namespace bundle::registry {

using SteadyClock = std::chrono::steady_clock;

// One blob on its way in. Used by one request at a time (`busy`, under the mutex of PushApi).
struct Upload {
  std::string id;
  std::string repository;
  std::string user;
  std::unique_ptr<AnonymousFile> file;
  Sha256 hash;
  std::uint64_t size = 0;
  std::uint64_t checked = 0;  // up to here there was room on the disk
  bool busy = false;
  bool over = false;  // committed, cancelled or broken
  SteadyClock::time_point used = SteadyClock::now();
};

namespace {

constexpr std::uint64_t kCheckSpaceEvery = 64 << 20;
constexpr std::size_t kCopyBytes = 1 << 20;
constexpr std::chrono::seconds kSweepInterval{60};

Failure digest_invalid(std::string message) {
  return {400, error_code::kDigestInvalid, std::move(message)};
}

Failure no_such_upload() {
  return {404, error_code::kUploadUnknown, "there is no such upload; begin a new one"};
}

// What the disk or a limit says, for clients.
Failure from_error(const Error& error) {
  if (error.code() == ErrorCode::no_space) {
    return {507, error_code::kUnavailable, "the disk of the registry is full"};
  }
  if (error.code() == ErrorCode::limit) return {403, error_code::kDenied, error.message()};
  return {500, error_code::kUnavailable, "the registry cannot write its store just now"};
}

std::string address(const Route& route, std::string_view rest) {
  std::string text = fmt::format("/v2/{}/{}", route.name, rest);
  if (route.ns) text += "?ns=" + *route.ns;
  return text;
}

Answer empty_answer(unsigned status) {
  Answer answer;
  answer.status = status;
  answer.headers.emplace_back("Cache-Control", "no-cache");
  return answer;
}

Answer upload_answer(unsigned status, const Route& route, const Upload& upload) {
  Answer answer = empty_answer(status);
  answer.headers.emplace_back("Location", address(route, "blobs/uploads/" + upload.id));
  answer.headers.emplace_back("Range", fmt::format("0-{}", upload.size == 0 ? 0 : upload.size - 1));
  answer.headers.emplace_back("Docker-Upload-UUID", upload.id);
  return answer;
}

Answer created(const Route& route, std::string_view kind, const Digest& digest) {
  Answer answer = empty_answer(201);
  answer.headers.emplace_back("Location",
                              address(route, fmt::format("{}/{}", kind, digest.text())));
  answer.headers.emplace_back("Docker-Content-Digest", digest.text());
  return answer;
}

// Content-Type without parameters.
std::string_view media_type_of(std::string_view header) {
  header = header.substr(0, header.find(';'));
  while (header.ends_with(' ')) header.remove_suffix(1);
  return header;
}

bool is_push(RouteKind kind, std::string_view method) {
  if (kind == RouteKind::manifest) return method == "PUT" || method == "DELETE";
  if (kind == RouteKind::blob) return method == "DELETE";
  return kind == RouteKind::upload &&
         (method == "POST" || method == "PATCH" || method == "PUT" || method == "DELETE");
}

Answer not_allowed_here(RouteKind kind) {
  Answer answer =
      answer_failure({405, error_code::kUnsupported, "this address does not take this method"});
  const std::string_view allowed = kind == RouteKind::manifest ? "GET, HEAD, PUT, DELETE"
                                   : kind == RouteKind::blob   ? "GET, HEAD, DELETE"
                                   : kind == RouteKind::upload ? "GET, POST, PATCH, PUT, DELETE"
                                                               : "GET, HEAD";
  for (auto& [name, value] : answer.headers) {
    if (name == "Allow") value = allowed;
  }
  return answer;
}

// Nothing when all is well.
std::optional<Failure> check_manifest(const Document& document, const Repository* repository) {
  for (const oci::Descriptor& blob : document.blobs) {
    if (oci::is_nondistributable_type(blob.media_type)) continue;
    const BlobFacts* known = nullptr;
    if (repository != nullptr) {
      const auto at = repository->blobs.find(blob.digest);
      if (at != repository->blobs.end()) known = &at->second;
    }
    if (known == nullptr) {
      return Failure{400, error_code::kManifestBlobUnknown,
                     fmt::format("the manifest names blob {}, which this repository does not have",
                                 blob.digest.text())};
    }
    if (known->size != blob.size) {
      return Failure{400, error_code::kManifestInvalid,
                     fmt::format("blob {} has {} bytes, the manifest says {}", blob.digest.text(),
                                 known->size, blob.size)};
    }
  }
  return std::nullopt;
}

}  // namespace

PushWork::~PushWork() {
  if (!upload_) return;
  const std::lock_guard lock(api_.mutex_);
  upload_->busy = false;
  upload_->used = SteadyClock::now();
  if (upload_->over) api_.uploads_.erase(upload_->id);
}

bool PushWork::take(ByteView bytes) {
  if (failure_) {
    discarded_ += bytes.size();
    return discarded_ <= kMaxDiscardedBytes;
  }
  try {
    if (!upload_) {
      if (manifest_.size() + bytes.size() > oci::kMaxDocumentBytes) {
        failure_ = Failure{413, error_code::kSizeInvalid, "a manifest has at most 4 MiB"};
        return true;
      }
      manifest_.insert(manifest_.end(), bytes.begin(), bytes.end());
      return true;
    }
    if (bytes.size() > api_.limits_.max_upload - upload_->size) {
      failure_ =
          Failure{413, error_code::kSizeInvalid,
                  fmt::format("a blob may have at most {} bytes here", api_.limits_.max_upload)};
      upload_->over = true;
      return true;
    }
    if (upload_->size >= upload_->checked) {
      api_.check_space();
      upload_->checked = upload_->size + kCheckSpaceEvery;
    }
    upload_->file->write(bytes);
    upload_->hash.write(bytes);
    upload_->size += bytes.size();
  } catch (const Error& error) {
    failure_ = from_error(error);
    // File and hash may differ now.
    if (upload_) upload_->over = true;
  }
  return true;
}

Answer PushWork::finish() {
  if (failure_) return answer_failure(*failure_);
  try {
    if (route_.kind == RouteKind::upload) return api_.finish_upload(*this);
    if (method_ == "PUT") return api_.put_manifest(*this);
    return route_.kind == RouteKind::manifest ? api_.delete_manifest(route_)
                                              : api_.delete_blob(route_);
  } catch (const Error& error) {
    api_.note_(fmt::format("a push into {} failed: {}", route_.full_name(), error.message()));
    return answer_failure(from_error(error));
  }
}

PushApi::PushApi(PushedRepositories& pushed, BlobFiles& files, const store::SiteStore& store,
                 const PushLimits& limits, Note note)
    : pushed_(pushed), files_(files), store_(store), limits_(limits), note_(std::move(note)) {
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!stop_changed_.wait_for(lock, kSweepInterval, [this] { return stopping_; })) {
      lock.unlock();
      sweep();
      lock.lock();
    }
  });
}

PushApi::~PushApi() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_changed_.notify_all();
  thread_.join();
}

std::variant<Answer, std::unique_ptr<PushWork>> PushApi::begin(const Route& route,
                                                               const std::string& method,
                                                               const PushHeaders& headers,
                                                               const Admission& admission,
                                                               const Catalog& catalog) {
  if (!is_push(route.kind, method)) return not_allowed_here(route.kind);
  const std::string name = route.full_name();
  if (!admission.policy().allows(admission.caller, Verb::push, name)) {
    return answer_failure(refusal(admission.caller));
  }
  if (name.size() > kMaxNameBytes || !is_valid_name(name)) {
    return answer_failure({400, error_code::kNameInvalid, "this is not a valid repository name"});
  }
  if (catalog.find(route.name, route.ns)) {
    return answer_failure(
        {403, error_code::kDenied,
         fmt::format("{} belongs to a release, and releases never change; push into a repository "
                     "of another name",
                     name)});
  }
  std::unique_ptr<PushWork> work(new PushWork(*this, route, method));
  work->content_type_ = media_type_of(headers.content_type);
  work->user_ = admission.caller.name;
  try {
    if (route.kind == RouteKind::upload) {
      if (method == "POST") find_mount(*work, admission, catalog);
      if (auto failure = claim(*work, headers, admission.caller)) {
        Answer answer = answer_failure(*failure);
        if (failure->status == 416 && work->upload_) {
          Answer where = upload_answer(416, route, *work->upload_);
          for (auto& header : where.headers) {
            if (header.first != "Cache-Control") answer.headers.push_back(std::move(header));
          }
        }
        return answer;
      }
    } else if (method == "PUT" && headers.content_length.value_or(0) > oci::kMaxDocumentBytes) {
      return answer_failure({413, error_code::kSizeInvalid, "a manifest has at most 4 MiB"});
    }
  } catch (const Error& error) {
    return answer_failure(from_error(error));
  }
  return work;
}

// Gives the request its upload: a new one for POST, the one that it names otherwise.
std::optional<Failure> PushApi::claim(PushWork& work, const PushHeaders& headers,
                                      const Caller& caller) {
  if (work.source_) return std::nullopt;
  if (work.method_ == "POST") {
    if (headers.content_length.value_or(0) > limits_.max_upload) {
      return Failure{413, error_code::kSizeInvalid, "the blob is too large for this registry"};
    }
    check_space();
    work.upload_ = new_upload(work.route_, caller);
    if (!work.upload_) {
      return Failure{429, error_code::kTooManyRequests, "too many uploads at a time; try again"};
    }
    return std::nullopt;
  }
  const std::shared_ptr<Upload> upload = find_upload(work.route_, caller);
  if (!upload) return no_such_upload();
  {
    const std::lock_guard lock(mutex_);
    if (upload->busy) {
      return Failure{400, error_code::kUploadInvalid, "another request writes to this upload"};
    }
    upload->busy = true;
    upload->used = SteadyClock::now();
  }
  work.upload_ = upload;
  if (work.method_ == "PUT" && !work.route_.digest) {
    return digest_invalid("the digest of the blob is missing: ?digest=sha256:...");
  }
  if (headers.content_range.empty()) return std::nullopt;
  const auto range = parse_chunk_range(headers.content_range);
  if (!range) {
    return Failure{400, error_code::kUploadInvalid, "Content-Range is not FIRST-LAST"};
  }
  if (range->first != upload->size) {
    return Failure{416, error_code::kUploadInvalid,
                   fmt::format("the next chunk begins at {}", upload->size)};
  }
  if (headers.content_length && *headers.content_length != range->length()) {
    return Failure{400, error_code::kSizeInvalid, "Content-Range and Content-Length differ"};
  }
  return std::nullopt;
}

std::shared_ptr<Upload> PushApi::new_upload(const Route& route, const Caller& caller) {
  auto upload = std::make_shared<Upload>();
  upload->id = to_hex(random_bytes(16));
  upload->repository = route.full_name();
  upload->user = caller.name;
  upload->busy = true;
  {
    const std::lock_guard lock(mutex_);
    if (uploads_.size() >= kMaxUploads) return nullptr;
    uploads_.emplace(upload->id, upload);
  }
  try {
    upload->file = pushed_.writer().create_file();
  } catch (...) {
    const std::lock_guard lock(mutex_);
    uploads_.erase(upload->id);
    throw;
  }
  return upload;
}

// Nobody else's, and of no other repository.
std::shared_ptr<Upload> PushApi::find_upload(const Route& route, const Caller& caller) {
  const std::lock_guard lock(mutex_);
  const auto at = uploads_.find(route.reference);
  if (at == uploads_.end() || at->second->over) return nullptr;
  const Upload& upload = *at->second;
  if (upload.repository != route.full_name() || upload.user != caller.name) return nullptr;
  return at->second;
}

std::size_t PushApi::uploads() const {
  const std::lock_guard lock(mutex_);
  return uploads_.size();
}

void PushApi::check_space() const {
  if (pushed_.writer().free_bytes() >= limits_.keep_free) return;
  throw Error(ErrorCode::no_space, "less is free than is kept for imports");
}

Answer PushApi::upload_status(const Route& route, const Caller& caller) {
  const std::shared_ptr<Upload> upload = find_upload(route, caller);
  if (!upload) return answer_failure(no_such_upload());
  const std::lock_guard lock(mutex_);
  if (upload->busy) {
    return answer_failure(
        {400, error_code::kUploadInvalid, "another request writes to this upload"});
  }
  return upload_answer(204, route, *upload);
}

// A blob that the caller may not pull is a blob that is not there.
void PushApi::find_mount(PushWork& work, const Admission& admission, const Catalog& catalog) const {
  const Route& route = work.route_;
  if (!route.mount || !route.from || !Digest::is_valid(*route.mount)) return;
  RepositoryPtr source = catalog.find(*route.from, std::nullopt);
  if (!source) source = pushed_.find(*route.from);
  if (!source) return;
  const bool allowed = std::ranges::all_of(source->full_names, [&](const std::string& name) {
    return admission.policy().allows(admission.caller, Verb::pull, name);
  });
  const auto blob = source->blobs.find(Digest::parse(*route.mount));
  if (allowed && blob != source->blobs.end()) work.source_ = blob->second;
}

Answer PushApi::finish_upload(PushWork& work) {
  if (work.source_) {
    if (auto answer = mount(work)) return std::move(*answer);
    work.upload_ = new_upload(work.route_, Caller{work.user_});
    if (!work.upload_) {
      return answer_failure({429, error_code::kTooManyRequests, "too many uploads; try again"});
    }
  }
  if (work.method_ == "DELETE") {
    work.upload_->over = true;
    return empty_answer(204);
  }
  if (work.method_ == "PUT" || (work.method_ == "POST" && work.route_.digest)) return commit(work);
  return upload_answer(202, work.route_, *work.upload_);
}

// The upload is over, whatever comes of it.
Answer PushApi::commit(PushWork& work) {
  Upload& upload = *work.upload_;
  upload.over = true;
  const std::string& wanted = *work.route_.digest;
  if (!Digest::is_valid(wanted)) {
    return answer_failure(digest_invalid("only sha256: and 64 lower-case hexadecimal digits"));
  }
  const Digest digest = upload.hash.finish();
  if (digest != Digest::parse(wanted)) {
    return answer_failure(
        digest_invalid(fmt::format("{} bytes came, and they are {}", upload.size, digest.text())));
  }
  upload.file->sync();
  const auto damaged = files_.damaged(StorePart::pushed);
  store::PushedWriter::NewBlob blob{digest, *upload.file,
                                    std::ranges::find(damaged, digest) != damaged.end()};
  const std::lock_guard lock(change_mutex_);
  pushed_.update(pushed_.writer().change(
      upload.repository, [](store::PushedRepository&) {}, &blob));
  return created(work.route_, "blobs", digest);
}

// Within the pushed part by another line in a record; from a release by a copy, so that no release
// is ever kept for the sake of a push.
std::optional<Answer> PushApi::mount(PushWork& work) {
  const Digest digest = Digest::parse(*work.route_.mount);
  const std::string name = work.route_.full_name();
  if (work.source_->part == StorePart::pushed) {
    const std::lock_guard lock(change_mutex_);
    const auto changed = pushed_.writer().mount(*work.route_.from, name, digest);
    if (!changed) return std::nullopt;
    pushed_.update(*changed);
    return created(work.route_, "blobs", digest);
  }
  check_space();
  const auto file = pushed_.writer().create_file();
  const auto source = store_.open_blob(digest);
  Sha256 hash;
  Bytes buffer(kCopyBytes);
  std::uint64_t size = 0;
  while (const std::size_t count = source->read_at(size, buffer)) {
    if (size % kCheckSpaceEvery == 0) check_space();
    const ByteView bytes = ByteView(buffer).first(count);
    file->write(bytes);
    hash.write(bytes);
    size += count;
  }
  if (hash.finish() != digest) return std::nullopt;  // damaged: the client sends its own bytes
  file->sync();
  store::PushedWriter::NewBlob blob{digest, *file, false};
  const std::lock_guard lock(change_mutex_);
  pushed_.update(pushed_.writer().change(
      name, [](store::PushedRepository&) {}, &blob));
  return created(work.route_, "blobs", digest);
}

Answer PushApi::put_manifest(PushWork& work) {
  const std::string& reference = work.route_.reference;
  const bool by_digest = reference.find(':') != std::string::npos;
  const Digest digest = sha256(work.manifest_);
  if (by_digest && reference != digest.text()) {
    return answer_failure(digest_invalid("the manifest that came is " + digest.text()));
  }
  if (!by_digest && !oci::is_valid_tag(reference)) {
    return answer_failure({400, error_code::kManifestInvalid, "this is not a valid tag"});
  }
  Document raw;
  raw.descriptor.digest = digest;
  raw.descriptor.size = work.manifest_.size();
  raw.bytes = std::string(as_text(work.manifest_));
  DocumentPtr document;
  try {
    document = parse_document(std::move(raw));
  } catch (const Error& error) {
    return answer_failure({400, error_code::kManifestInvalid, error.message()});
  }
  if (!work.content_type_.empty() && work.content_type_ != document->descriptor.media_type) {
    return answer_failure({400, error_code::kManifestInvalid,
                           fmt::format("Content-Type is {}, but the manifest is {}",
                                       work.content_type_, document->descriptor.media_type)});
  }
  const auto file = pushed_.writer().create_file();
  file->write(work.manifest_);
  file->sync();
  store::PushedWriter::NewBlob blob{digest, *file, false};
  const std::string name = work.route_.full_name();
  const std::lock_guard lock(change_mutex_);
  if (auto failure = check_manifest(*document, pushed_.find(name).get())) {
    return answer_failure(*failure);
  }
  if (pushed_.document_bytes() + document->bytes.size() > kMaxPushedDocumentBytes) {
    return answer_failure(
        {403, error_code::kDenied, "the registry holds as many manifests as it can; delete some"});
  }
  const auto changed = pushed_.writer().change(
      name,
      [&](store::PushedRepository& repository) {
        repository.manifests.insert(digest);
        if (!by_digest) repository.tags[reference] = digest;
      },
      &blob);
  pushed_.update(changed, document);
  Answer answer = created(work.route_, "manifests", digest);
  if (document->subject) answer.headers.emplace_back("OCI-Subject", document->subject->text());
  return answer;
}

Answer PushApi::delete_manifest(const Route& route) {
  const std::string name = route.full_name();
  const std::lock_guard lock(change_mutex_);
  const RepositoryPtr repository = pushed_.find(name);
  const bool by_tag = oci::is_valid_tag(route.reference);
  const bool known =
      repository && (by_tag ? repository->tags.contains(route.reference)
                            : Digest::is_valid(route.reference) &&
                                  repository->documents.contains(Digest::parse(route.reference)));
  if (!known) {
    return answer_failure({404, error_code::kManifestUnknown,
                           fmt::format("{} has no manifest {}", name, route.reference)});
  }
  pushed_.update(pushed_.writer().change(name, [&](store::PushedRepository& record) {
    if (by_tag) {
      record.tags.erase(route.reference);
      return;
    }
    const Digest digest = Digest::parse(route.reference);
    record.manifests.erase(digest);
    record.blobs.erase(digest);
    std::erase_if(record.tags, [&](const auto& tag) { return tag.second == digest; });
  }));
  return empty_answer(202);
}

Answer PushApi::delete_blob(const Route& route) {
  const std::string name = route.full_name();
  const std::lock_guard lock(change_mutex_);
  const RepositoryPtr repository = pushed_.find(name);
  if (!repository || !Digest::is_valid(route.reference) ||
      !repository->blobs.contains(Digest::parse(route.reference))) {
    return answer_failure(
        {404, error_code::kBlobUnknown, fmt::format("{} has no blob {}", name, route.reference)});
  }
  const Digest digest = Digest::parse(route.reference);
  for (const auto& [other, document] : repository->documents) {
    const bool names_it =
        other == digest || std::ranges::find(document->blobs, digest, &oci::Descriptor::digest) !=
                               document->blobs.end();
    if (!names_it) continue;
    return answer_failure(
        {403, error_code::kDenied,
         fmt::format("manifest {} needs this blob; delete that first", other.text())});
  }
  pushed_.update(pushed_.writer().change(
      name, [&](store::PushedRepository& record) { record.blobs.erase(digest); }));
  return empty_answer(202);
}

void PushApi::sweep() {
  const auto now = SteadyClock::now();
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(uploads_, [&](const auto& entry) {
      const Upload& upload = *entry.second;
      return !upload.busy && now - upload.used >= limits_.upload_idle;
    });
  }
  for (const auto& [name, repository] : pushed_.all()) {
    try {
      const std::lock_guard lock(change_mutex_);
      if (const RepositoryPtr current = pushed_.find(name)) drop_unreferenced(name, *current);
    } catch (const Error& error) {
      note_(fmt::format("{} cannot be tidied up: {}", name, error.message()));
    }
  }
}

// Layers whose push was never finished, and what deleted manifests have left.
void PushApi::drop_unreferenced(const std::string& name, const Repository& repository) {
  std::set<Digest> named;
  for (const auto& [digest, document] : repository.documents) {
    named.insert(digest);
    for (const oci::Descriptor& blob : document->blobs) named.insert(blob.digest);
  }
  const bool all_named = std::ranges::all_of(
      repository.blobs, [&](const auto& blob) { return named.contains(blob.first); });
  if (all_named) return;
  const UnixTime before = current_time() - limits_.unreferenced_age.count();
  pushed_.update(pushed_.writer().change(name, [&](store::PushedRepository& record) {
    // A manifest that cannot be read may name anything.
    if (record.manifests.size() != repository.documents.size()) return;
    std::erase_if(record.blobs, [&](const auto& blob) {
      return !named.contains(blob.first) && blob.second.linked <= before;
    });
  }));
}

}  // namespace bundle::registry
