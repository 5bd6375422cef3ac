#include "flux/pin_images.h"

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "codec/json_pointer.h"
#include "codec/yaml.h"
#include "flux/manifest_text.h"

namespace bundle::flux {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._/:@-").find(c) != std::string_view::npos;
}

struct Extent {
  std::size_t begin = 0;
  std::size_t end = 0;
};

class Editor {
 public:
  Editor(std::string_view text, const ReleaseImages& images) : text_(text), images_(images) {
    line_starts_.push_back(0);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') line_starts_.push_back(i + 1);
    }
  }

  void pin(const codec::YamlDocument& document, const ImageReference& reference) {
    if (reference.form == ImageReference::Form::source) return pin_source(document, reference);
    if (reference.form == ImageReference::Form::outside) return;
    const auto digest = images_.find(reference.text);
    if (!digest || reference.pinned) return;
    switch (reference.form) {
      case ImageReference::Form::image:
        replace_value(document, reference.pointer, pinned_reference(reference.text, *digest));
        break;
      case ImageReference::Form::parts:
        pin_parts(document, reference.pointer, *digest);
        break;
      case ImageReference::Form::kustomize:
        replace_member(document, reference.pointer + "/newTag", "digest", digest->text());
        break;
      case ImageReference::Form::token:
        replace_token(document, reference, pinned_reference(reference.text, *digest));
        break;
      case ImageReference::Form::source:
      case ImageReference::Form::outside:
        break;
    }
  }

  std::string apply() const {
    std::string out(text_);
    for (auto edit = edits_.rbegin(); edit != edits_.rend(); ++edit) {
      out.replace(edit->first, edit->second.end - edit->first, edit->second.text);
    }
    return out;
  }

 private:
  struct Edit {
    std::size_t end = 0;
    std::string text;
  };

  std::size_t offset(const codec::YamlDocument& document, std::string_view pointer) const {
    const codec::SourcePosition at = document.position(pointer);
    if (at.line > line_starts_.size()) return text_.size();
    return std::min(line_starts_[at.line - 1] + at.column - 1, text_.size());
  }

  std::size_t skip_blanks(std::size_t at) const {
    while (at < text_.size() && (text_[at] == ' ' || text_[at] == '\t')) ++at;
    return at;
  }

  // A scalar on one line, with its quotes. Nothing for block scalars, tags and the like.
  std::optional<Extent> scalar_at(std::size_t begin) const {
    if (begin >= text_.size()) return std::nullopt;
    const char first = text_[begin];
    if (first == '"' || first == '\'') {
      const std::size_t end = text_.find_first_of(std::string{first} + "\n", begin + 1);
      if (end == std::string_view::npos || text_[end] == '\n') return std::nullopt;
      return Extent{begin, end + 1};
    }
    if (std::string_view("|>&*!{[\n\r#").find(first) != std::string_view::npos) return std::nullopt;
    std::size_t end = begin;
    while (end < text_.size() &&
           std::string_view(",}]\r\n").find(text_[end]) == std::string_view::npos &&
           !(text_[end] == '#' && text_[end - 1] == ' ')) {
      ++end;
    }
    while (end > begin && text_[end - 1] == ' ') --end;
    return Extent{begin, end};
  }

  struct Member {
    Extent key;
    Extent value;
  };
  // The member whose key the pointer's position is.
  std::optional<Member> member_at(std::size_t key_begin, std::string_view key) const {
    if (key_begin >= text_.size()) return std::nullopt;
    const bool quoted = text_[key_begin] == '"' || text_[key_begin] == '\'';
    const Extent name{key_begin, key_begin + key.size() + (quoted ? 2 : 0)};
    std::size_t at = skip_blanks(name.end);
    if (at >= text_.size() || text_[at] != ':') return std::nullopt;
    const auto value = scalar_at(skip_blanks(at + 1));
    if (!value) return std::nullopt;
    return Member{name, *value};
  }

  void edit(Extent where, std::string text) {
    edits_.insert_or_assign(where.begin, Edit{where.end, std::move(text)});
  }

  static std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

  void replace_value(const codec::YamlDocument& document, const std::string& pointer,
                     std::string_view value) {
    const std::string key = codec::pointer_tokens(pointer).back();
    const std::size_t at = offset(document, pointer);
    if (codec::pointer_index(key)) {  // an item of a list: the position is the value's own
      if (const auto scalar = scalar_at(at)) edit(*scalar, quoted(value));
    } else if (const auto member = member_at(at, key)) {
      edit(member->value, quoted(value));
    }
  }

  void replace_member(const codec::YamlDocument& document, const std::string& pointer,
                      std::string_view key, std::string_view value) {
    const auto member = member_at(offset(document, pointer), codec::pointer_tokens(pointer).back());
    if (!member) return;
    edit(member->key, std::string(key));
    edit(member->value, quoted(value));
  }

  void pin_parts(const codec::YamlDocument& document, const std::string& pointer,
                 const Digest& digest) {
    const codec::Json* object = codec::value_at(document.root(), pointer);
    if (object == nullptr) return;
    if (object->find("digest") != nullptr) {
      return replace_value(document, pointer + "/digest", digest.text());
    }
    const codec::Json& tag = object->at("tag");
    const std::string text = tag.is_string() ? tag.as_string() : codec::dump_json(tag);
    if (!text.empty()) replace_value(document, pointer + "/tag", text + "@" + digest.text());
  }

  void pin_source(const codec::YamlDocument& document, const ImageReference& reference) {
    const auto digest = images_.find_source(reference.text, reference.tag);
    if (!digest || reference.pinned) return;
    const codec::Json* ref = codec::value_at(document.root(), "/spec/ref");
    if (ref != nullptr && ref->is_object() && ref->as_object().size() == 1) {
      const std::string key = ref->as_object().begin()->first;
      return replace_member(document, "/spec/ref/" + key, "digest", digest->text());
    }
    if (ref != nullptr) return;
    // One line more before the url, at the same depth.
    const std::size_t at = offset(document, "/spec/url");
    const std::size_t line = text_.rfind('\n', at) + 1;  // npos + 1 is 0
    if (text_.substr(line, at - line).find_first_not_of(' ') != std::string_view::npos) return;
    edit({at, at}, "ref: {digest: " + quoted(digest->text()) + "}\n" + std::string(at - line, ' '));
  }

  // A short name in a long text may be any word of it: only names with a tag are taken for one.
  void replace_token(const codec::YamlDocument& document, const ImageReference& reference,
                     std::string_view value) {
    const std::string& token = reference.text;
    if (token.find_first_of("/:") == std::string::npos) return;
    for (std::size_t at = text_.find(token, offset(document, reference.pointer));
         at != std::string_view::npos; at = text_.find(token, at + 1)) {
      const std::size_t end = at + token.size();
      const bool whole =
          (at == 0 || !is_word(text_[at - 1])) && (end == text_.size() || !is_word(text_[end]));
      if (whole && !edits_.contains(at)) return edit({at, end}, std::string(value));
    }
  }

  std::string_view text_;
  const ReleaseImages& images_;
  std::vector<std::size_t> line_starts_;
  std::map<std::size_t, Edit> edits_;  // by where they begin; they do not overlap
};

}  // namespace

std::string pin_images(std::string_view text, std::string_view file, const ReleaseImages& images,
                       const ImagePatterns& patterns) {
  Editor editor(text, images);
  for (const codec::YamlDocument& document : parse_manifests(text, file)) {
    for (const ImageReference& reference : find_image_references(document.root(), patterns)) {
      editor.pin(document, reference);
    }
  }
  return editor.apply();
}

}  // namespace bundle::flux
