#include "vendor/vendor_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/time.h"
#include "bundle/error.h"
#include "source/trust_report.h"
#include "trust/news.h"
#include "trust/news_files.h"
#include "unpack/volume_set.h"

namespace bundle::vendor {
namespace {

bool is_root(const trust::SignatureFile& file) {
  return file.name.ends_with(".root.json");
}

std::vector<trust::SignatureFile> roots_of(std::span<const trust::SignatureFile> files) {
  std::vector<trust::SignatureFile> roots;
  std::ranges::copy_if(files, std::back_inserter(roots), is_root);
  std::ranges::sort(roots, {}, [](const trust::SignatureFile& file) {
    return trust::parse_numbered(source::base_name(file.name))->number;
  });
  return roots;
}

// A chain with a gap or a draft would be refused at every site.
void check_as_a_site_would(const std::vector<trust::SignatureFile>& files) {
  const auto roots = roots_of(files);
  if (roots.empty()) return;
  const auto first = trust::TrustRoot::parse(roots.front().content, roots.front().name);
  trust::read_news(first.update_all(roots), files, build_time());
}

}  // namespace

SecretBytes read_password(FileSystem& fs, const std::filesystem::path& file, int fd) {
  if (!file.empty()) return read_password_file(fs, file);
  if (fd >= 0) return read_password_fd(fd);
  return {};
}

std::unique_ptr<Signer> open_signer(FileSystem& fs, const SignWith& sign) {
  if (!sign.command.empty()) return std::make_unique<CommandSigner>(sign.command);
  const SecretBytes password = read_password(fs, sign.password_file, sign.password_fd);
  return FileSigner::open(fs, sign.key, password.view());
}

std::string find_document(FileSystem& fs, const Path& folder, std::string_view name) {
  if (fs.status(folder / name)) {
    return read_text_file(fs, folder / name, format::kMaxDocumentBytes);
  }
  if (!unpack::looks_like_bundle(fs, folder)) return {};
  const unpack::VolumeSet volumes = unpack::open_volumes(fs, {folder});
  const format::NamedFile* file = format::find_file(volumes.head, name);
  return file == nullptr ? std::string() : file->content;
}

trust::TrustRoot vendor_root(FileSystem& fs, const Path& folder,
                             std::span<const trust::SignatureFile> files, const Path& trust) {
  const auto roots = roots_of(files);
  if (trust.empty() && roots.empty()) {
    throw Error(ErrorCode::no_trust, fmt::format("{} holds no root", folder.string()),
                "Give the public key that sites are pinned to: --trust vendor.pub.");
  }
  const trust::TrustRoot first =
      trust.empty() ? trust::TrustRoot::parse(roots.front().content, roots.front().name)
                    : trust::TrustRoot::load(read_text_file(fs, trust, format::kMaxDocumentBytes),
                                             trust.string());
  return roots.empty() ? first : first.update_all(roots);
}

format::FileList files_to_carry(FileSystem& fs, const Path& folder) {
  const auto files = trust::read_trust_files(fs, folder);
  if (files.empty()) {
    throw Error(ErrorCode::not_found,
                fmt::format("{} holds no trust root and no other trust file", folder.string()),
                "Name the vendor's trust folder; 'bundle-make trust init' makes one.");
  }
  check_as_a_site_would(files);
  std::vector<std::string> names;
  for (const trust::SignatureFile& file : files) names.push_back(source::base_name(file.name));
  const auto old = trust::superseded_news(names);
  format::FileList carried;
  for (const trust::SignatureFile& file : files) {
    const std::string name = source::base_name(file.name);
    const bool of_news = std::ranges::any_of(names, [&](const std::string& document) {
      return trust::is_news_name(document) && trust::is_signature_of(name, document);
    });
    const bool wanted = is_root(file) || trust::is_news_name(name) || of_news;
    if (wanted && std::ranges::find(old, name) == old.end())
      carried.push_back({name, file.content});
  }
  return carried;
}

}  // namespace bundle::vendor
