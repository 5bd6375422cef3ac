#include "flux/image_references.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "bundle/error.h"
#include "codec/json_pointer.h"
#include "flux/manifest_text.h"
#include "flux/release_images.h"
#include "oci/reference.h"

namespace bundle::flux {
namespace {

using codec::Json;
using codec::pointer_append;
using Form = ImageReference::Form;

constexpr std::array<std::string_view, 2> kEnvironment = {"RELATED_IMAGE_*", "*_IMAGE"};
constexpr std::string_view kSeparators = " \t\r\n\"'`=,;()[]{}<>|";

bool is_reference(std::string_view text) {
  try {
    oci::ImageName::parse_short(text);
    return true;
  } catch (const Error&) {
    return false;
  }
}

bool is_complete_reference(std::string_view token) {
  if (token.find('/') == std::string_view::npos || token.find("://") != std::string_view::npos) {
    return false;
  }
  try {
    const oci::ImageName name = oci::ImageName::parse(token);
    return !name.tag.empty() || name.digest;
  } catch (const Error&) {
    return false;
  }
}

template <typename Use>
void for_each_token(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(kSeparators), text.size());
    if (end > 0) use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool is_container_list(std::string_view key) {
  return key == "containers" || key == "initContainers" || key == "ephemeralContainers";
}

// Keys that custom resources and charts use for a whole reference.
bool is_image_key(std::string_view key) {
  return key == "image" || key.ends_with("Image") || key.ends_with("_image");
}

const Json* find_string(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value != nullptr && value->is_string() ? value : nullptr;
}

// Schemas of custom resources have members of these names, too, which are no text.
std::string member_text(const Json& object, std::string_view key) {
  const Json* value = find_string(object, key);
  return value == nullptr ? std::string() : value->as_string();
}

// A tag may be written as a number.
std::string scalar_text(const Json* value) {
  if (value == nullptr) return "";
  if (value->is_string()) return value->as_string();
  return value->is_int() || value->is_double() ? codec::dump_json(*value) : "";
}

class Finder {
 public:
  explicit Finder(const ImagePatterns& patterns) : patterns_(patterns) {}

  std::vector<ImageReference> find(const Json& document) {
    if (document.is_object() && !add_source(document)) visit(document, "", "", "");
    return std::move(found_);
  }

 private:
  void add(Form form, std::string pointer, std::string text) {
    const bool pinned = is_pinned(text);
    found_.push_back({form, std::move(pointer), std::move(text), "", pinned});
  }

  // Flux's own sources; they name no other images.
  bool add_source(const Json& document) {
    if (!member_text(document, "apiVersion").starts_with("source.toolkit.fluxcd.io/")) {
      return false;
    }
    const std::string kind = member_text(document, "kind");
    const Json* spec = document.find("spec");
    const std::string url = spec != nullptr ? member_text(*spec, "url") : "";
    if (kind != "OCIRepository") {
      found_.push_back({Form::outside, "/spec", kind + " " + url, "", false});
      return true;
    }
    ImageReference source{Form::source, "/spec", url, "", false};
    if (const Json* ref = spec != nullptr ? spec->find("ref") : nullptr) {
      const std::string digest = member_text(*ref, "digest");
      source.pinned = !digest.empty();
      source.tag = scalar_text(ref->find("tag"));
      if (source.pinned) source.text += "@" + digest;
    }
    found_.push_back(std::move(source));
    return true;
  }

  // `key`: of the member that the value is, or that the list is in which it stands. `path`: the
  // keys on the way.
  void visit(const Json& value, const std::string& pointer, std::string_view key,
             const std::string& path) {
    if (value.is_object()) return visit_object(value, pointer, key, path);
    if (value.is_array()) {
      std::size_t i = 0;
      for (const Json& item : value.as_array())
        visit(item, pointer_append(pointer, i++), key, path);
      return;
    }
    if (value.is_string()) visit_text(value.as_string(), pointer, key, path);
  }

  void visit_object(const Json& object, const std::string& pointer, std::string_view key,
                    const std::string& path) {
    if (key == "images" && add_kustomize(object, pointer)) return;
    const bool parts = add_parts(object, pointer);
    const bool environment =
        (key == "env" && add_environment(object, pointer)) || add_patched_image(object, pointer);
    for (const auto& [name, value] : object.as_object()) {
      if (parts &&
          (name == "registry" || name == "repository" || name == "tag" || name == "digest"))
        continue;
      if (environment && name == "value") continue;
      const std::string at = pointer_append(pointer, std::string_view(name));
      const std::string way = path.empty() ? name : path + "." + name;
      if (name == "image" && is_container_list(key) && value.is_string()) {
        add(Form::image, at, value.as_string());  // also what cannot be read: it must be looked at
      } else if (key == "image" && name == "reference" && value.is_string()) {
        add(Form::image, at, value.as_string());  // a volume made of an image
      } else {
        visit(value, at, name, way);
      }
    }
  }

  // {registry, repository, tag, digest}: how charts and operators take an image apart.
  bool add_parts(const Json& object, const std::string& pointer) {
    const Json* repository = find_string(object, "repository");
    const Json* tag = object.find("tag");
    const std::string digest = member_text(object, "digest");
    if (repository == nullptr || repository->as_string().empty() ||
        (tag == nullptr && digest.empty())) {
      return false;
    }
    std::string text = member_text(object, "registry");
    if (!text.empty()) text += "/";
    text += repository->as_string();
    if (const std::string label = scalar_text(tag); !label.empty()) text += ":" + label;
    if (!digest.empty() && text.find('@') == std::string::npos) text += "@" + digest;
    add(Form::parts, pointer, std::move(text));
    return true;
  }

  bool add_kustomize(const Json& object, const std::string& pointer) {
    const Json* name = find_string(object, "name");
    const Json* new_name = find_string(object, "newName");
    const Json* tag = object.find("newTag");
    const std::string digest = member_text(object, "digest");
    if (name == nullptr || (new_name == nullptr && tag == nullptr && digest.empty())) return false;
    std::string text = new_name != nullptr ? new_name->as_string() : name->as_string();
    if (const std::string label = scalar_text(tag); !label.empty()) text += ":" + label;
    if (!digest.empty()) text += "@" + digest;
    add(Form::kustomize, pointer, std::move(text));
    return true;
  }

  bool add_environment(const Json& object, const std::string& pointer) {
    const Json* name = find_string(object, "name");
    const Json* value = find_string(object, "value");
    if (name == nullptr || value == nullptr || value->as_string().empty()) return false;
    const auto fits = [&](std::string_view pattern) {
      return matches_pattern(name->as_string(), pattern);
    };
    if (std::ranges::none_of(kEnvironment, fits) &&
        std::ranges::none_of(patterns_.environment, fits)) {
      return false;
    }
    add(Form::image, pointer + "/value", value->as_string());
    return true;
  }

  // {op, path: "/spec/template/spec/containers/0/image", value}: one step of a JSON patch.
  bool add_patched_image(const Json& object, const std::string& pointer) {
    const Json* path = find_string(object, "path");
    const Json* value = find_string(object, "value");
    if (path == nullptr || value == nullptr || find_string(object, "op") == nullptr) return false;
    const std::string& where = path->as_string();
    if (!is_image_key(where.substr(where.rfind('/') + 1))) return false;
    add(Form::image, pointer + "/value", value->as_string());
    return true;
  }

  // A patch of kustomize, also in postRenderers: a manifest or a JSON patch in a text.
  bool visit_patch(const std::string& text, const std::string& pointer) {
    std::vector<codec::YamlDocument> documents;
    try {
      documents = parse_manifests(text, "patch");
    } catch (const Error&) {
      return false;  // a template of one; its lines are looked at
    }
    Finder inner(patterns_);
    for (const codec::YamlDocument& document : documents) inner.visit(document.root(), "", "", "");
    for (ImageReference& found : inner.found_) {
      add(Form::token, pointer, std::move(found.text));
    }
    return std::ranges::any_of(documents, [](const codec::YamlDocument& document) {
      return !document.root().is_string();
    });
  }

  void visit_text(const std::string& text, const std::string& pointer, std::string_view key,
                  const std::string& path) {
    if (key == "patch" && visit_patch(text, pointer)) return;
    const bool declared = std::ranges::any_of(
        patterns_.fields, [&](const std::string& field) { return matches_pattern(path, field); });
    if (declared || ((is_image_key(key) || key == "images") && is_reference(text))) {
      if (!text.empty()) add(Form::image, pointer, text);
      return;
    }
    if (text.find('\n') != std::string::npos) return visit_lines(text, pointer);
    if (const auto image = option_value(text))
      return add(Form::token, pointer, std::string(*image));
    add_tokens(text, pointer);
  }

  void add_tokens(std::string_view text, const std::string& pointer) {
    for (std::string& token : find_image_tokens(text)) add(Form::token, pointer, std::move(token));
  }

  // A file inside a manifest: "image: redis:7" in a line of it counts, whatever the file is.
  void visit_lines(std::string_view text, const std::string& pointer) {
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(0, end);
      if (const auto image = line_value(line)) {
        add(Form::token, pointer, std::string(*image));
      } else {
        add_tokens(line, pointer);
      }
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  // The value of "--sidecar-image=redis:7".
  static std::optional<std::string_view> option_value(std::string_view text) {
    const std::size_t equals = text.find('=');
    if (!text.starts_with("-") || equals == std::string_view::npos) return std::nullopt;
    const std::string_view name = text.substr(0, equals);
    const std::string_view value = text.substr(equals + 1);
    if (!name.ends_with("image") || !is_reference(value)) return std::nullopt;
    return value;
  }

  // The value of "  - image: 'redis:7'  # ..." or "{name: cache, image: redis:7}" in a text.
  static std::optional<std::string_view> line_value(std::string_view line) {
    constexpr std::string_view kKey = "image:";
    const std::size_t at = line.find(kKey);
    if (at == std::string_view::npos) return std::nullopt;
    if (at > 0 && std::string_view(" \t{,-").find(line[at - 1]) == std::string_view::npos) {
      return std::nullopt;
    }
    line.remove_prefix(at + kKey.size());
    line.remove_prefix(std::min(line.find_first_not_of(" \t\"'"), line.size()));
    line = line.substr(0, line.find_first_of(" \t\r\"'#,}"));
    if (line.empty() || !is_reference(line)) return std::nullopt;
    return line;
  }

  const ImagePatterns& patterns_;
  std::vector<ImageReference> found_;
};

}  // namespace

bool matches_pattern(std::string_view text, std::string_view pattern) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return text == pattern;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  if (rest.empty()) return true;
  for (std::size_t at = star; at <= text.size(); ++at) {
    if (matches_pattern(text.substr(at), rest)) return true;
  }
  return false;
}

std::vector<std::string> find_image_tokens(std::string_view text) {
  std::vector<std::string> found;
  for_each_token(text, [&](std::string_view token) {
    while (token.ends_with('.') || token.ends_with(':')) token.remove_suffix(1);
    if (is_complete_reference(token)) found.emplace_back(token);
  });
  return found;
}

std::vector<ImageReference> find_image_references(const Json& document,
                                                  const ImagePatterns& patterns) {
  return Finder(patterns).find(document);
}

}  // namespace bundle::flux
