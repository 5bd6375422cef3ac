#include "trust/news_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "trust/limits.h"
#include "trust/news.h"

namespace bundle::trust {
namespace {

std::size_t size_limit(std::string_view name) {
  if (name.ends_with(".root.json")) return kMaxRootBytes;
  if (name.ends_with(kChannelSuffix)) return kMaxPointerBytes;
  if (name.ends_with(kRevocationsSuffix)) return kMaxRevocationBytes;
  return kMaxSignatureFileBytes;
}

bool is_trust_file(std::string_view name) {
  const auto numbered = parse_numbered(name);
  return (numbered && numbered->stem == "root.json") || is_news_name(name) ||
         name.ends_with(".minisig");
}

}  // namespace

std::vector<SignatureFile> read_trust_files(FileSystem& fs, const Path& folder) {
  std::vector<SignatureFile> files;
  if (!fs.status(folder)) return files;
  for (const std::string& name : fs.list(folder)) {
    const auto status = fs.status(folder / name);
    if (!is_trust_file(name) || !status || status->kind != FileKind::regular) continue;
    if (files.size() == kMaxTrustFiles) {
      throw Error(ErrorCode::limit,
                  fmt::format("{}: more than {} trust files", folder.string(), kMaxTrustFiles),
                  "Remove files that are not the vendor's.");
    }
    files.push_back(
        {(folder / name).string(), read_text_file(fs, folder / name, size_limit(name))});
  }
  return files;
}

void write_signed(FileSystem& fs, const Path& folder, const std::string& name,
                  std::string_view document, std::span<const SignatureFile> signatures) {
  fs.create_directories(folder);
  for (const SignatureFile& file : signatures) {
    const auto signature = MinisignSignature::parse(file.content, file.name);
    write_file_atomically(fs, folder / signature_file_name(name, signature),
                          as_bytes(file.content));
  }
  write_file_atomically(fs, folder / name, as_bytes(document));
}

void remove_others(FileSystem& fs, const Path& folder, std::string_view kept) {
  const auto numbered = parse_numbered(kept);
  const std::vector<std::string> names = fs.list(folder);
  for (const std::string& name : names) {
    const auto other = parse_numbered(name);
    if (!other || other->stem != numbered->stem || name == kept) continue;
    fs.remove(folder / name);
    for (const std::string& file : names) {
      if (is_signature_of(file, name)) fs.remove(folder / file);
    }
  }
}

}  // namespace bundle::trust
