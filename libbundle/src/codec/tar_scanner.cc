#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bundle/error.h"
#include "codec/tar.h"
#include "codec/tar_header.h"

namespace bundle::codec {
namespace {

std::uint64_t padded(std::uint64_t size) {
  return (size + kTarBlock - 1) / kTarBlock * kTarBlock;
}

bool is_special(char type) {
  return type == 'x' || type == 'g' || type == 'L' || type == 'K';
}

// Links, devices, directories, FIFOs: no content follows, whatever the size field says.
bool has_no_body(char type) {
  return type >= '1' && type <= '6';
}

constexpr char kGnuSparse = 'S';

}  // namespace

void TarScanner::write(ByteView bytes) {
  while (!bytes.empty()) {
    std::size_t taken = 0;
    if (state_ == State::tail) {
      visitor_.on_tail(bytes);
      taken = bytes.size();
      offset_ += taken;
    } else if (state_ == State::body || state_ == State::padding) {
      taken = pass_content(bytes);
    } else {
      taken = collect(bytes);
    }
    bytes = bytes.subspan(taken);
  }
}

std::size_t TarScanner::pass_content(ByteView bytes) {
  const bool in_body = state_ == State::body;
  std::uint64_t& left = in_body ? body_left_ : padding_left_;
  const ByteView part = bytes.first(std::min<std::uint64_t>(left, bytes.size()));
  left -= part.size();
  offset_ += part.size();
  if (in_body) {
    visitor_.on_body(part);
  } else {
    visitor_.on_padding(part);
  }
  advance();
  return part.size();
}

std::size_t TarScanner::collect(ByteView bytes) {
  const ByteView part = bytes.first(std::min<std::uint64_t>(wanted_ - held_.size(), bytes.size()));
  held_.insert(held_.end(), part.begin(), part.end());
  offset_ += part.size();
  if (held_.size() == wanted_) take_step();
  return part.size();
}

void TarScanner::take_step() {
  if (state_ == State::header) {
    take_header();
  } else if (state_ == State::special) {
    take_special();
  } else {
    take_sparse_map();
  }
}

void TarScanner::take_header() {
  const ByteView block = ByteView(held_).last(kTarBlock);
  if (tar::is_zero(block)) {
    state_ = State::tail;
    visitor_.on_tail(std::exchange(held_, {}));
    return;
  }
  if (!tar::has_valid_checksum(block)) return fail("the header checksum does not match");
  const char stored = static_cast<char>(tar::field(block, tar::kType)[0]);
  if (is_special(stored)) {
    begin_special(block, stored);
  } else {
    begin_member(block, stored);
  }
}

void TarScanner::begin_special(ByteView block, char type) {
  const auto size = tar::number(tar::field(block, tar::kSize));
  if (!size) return fail("the size field of a header is malformed");
  if (*size > kMaxTarSpecial || held_.size() + padded(*size) + kTarBlock > kMaxTarHeader) {
    return fail("the extended headers of one member are too large");
  }
  if (rules_ == TarRules::strict && overrides_.seen.find(type) != std::string::npos) {
    return fail(fmt::format("one member has two extended headers of type '{}'", type));
  }
  overrides_.seen.push_back(type);
  special_type_ = type;
  special_size_ = *size;
  state_ = State::special;
  wanted_ += padded(*size);
  if (*size == 0) take_special();
}

void TarScanner::take_special() {
  const ByteView content = ByteView(held_).last(padded(special_size_)).first(special_size_);
  if (special_type_ == 'L') {
    override_with(overrides_.path, tar::text(content));
  } else if (special_type_ == 'K') {
    override_with(overrides_.link_target, tar::text(content));
  } else {
    apply_pax(content, special_type_ == 'g');
  }
  if (state_ == State::tail) return;
  state_ = State::header;
  wanted_ += kTarBlock;
}

void TarScanner::override_with(std::optional<std::string>& slot, std::string value) {
  if (value.find('\0') != std::string::npos) return fail("a name in a pax header holds a NUL");
  if (value.empty()) return;  // keeps what the header block says
  if (slot && rules_ == TarRules::strict) return fail("two extended headers name one member");
  slot = std::move(value);
}

void TarScanner::apply_pax(ByteView records, bool global) {
  const auto parsed = tar::pax_records(as_text(records));
  if (!parsed) return fail("a pax extended header is malformed");
  for (const auto& [key, value] : *parsed) {
    if (global) {
      const bool structural = key == "size" || key == "path" || key == "linkpath";
      if (structural && rules_ == TarRules::strict) {
        return fail(fmt::format("a global pax header sets '{}'", key));
      }
    } else if (key == "size") {
      override_with(overrides_.size, std::string(value));
    } else if (key == "path") {
      override_with(overrides_.path, std::string(value));
    } else if (key == "linkpath") {
      override_with(overrides_.link_target, std::string(value));
    } else if (key.starts_with("GNU.sparse.")) {
      overrides_.sparse = true;
    }
    if (state_ == State::tail) return;
  }
}

void TarScanner::begin_member(ByteView block, char stored_type) {
  const auto size =
      overrides_.size ? tar::decimal(*overrides_.size) : tar::number(tar::field(block, tar::kSize));
  if (!size) return fail("the size of a member is malformed");
  if (*size > kMaxTarBody) return fail("a member is larger than any real file");
  TarMember member;
  member.path = overrides_.path.value_or(tar::path(block));
  member.link_target =
      overrides_.link_target.value_or(tar::text(tar::field(block, tar::kLinkName)));
  member.type = stored_type;
  // Before POSIX a directory was a file whose name ends in a slash.
  if (stored_type == '\0') member.type = member.path.ends_with('/') ? '5' : '0';
  member.sparse = overrides_.sparse || stored_type == kGnuSparse;
  member.mode =
      static_cast<std::uint32_t>(tar::number(tar::field(block, tar::kMode)).value_or(0) & 07777U);
  member.body_size = *size;
  if (has_no_body(member.type) && member.body_size != 0) {
    if (rules_ == TarRules::strict) return fail("a link or directory carries content");
    member.body_size = 0;
  }
  member_ = std::move(member);
  if (stored_type == kGnuSparse && tar::field(block, tar::kGnuExtended)[0] != 0) {
    state_ = State::sparse_map;
    wanted_ += kTarBlock;
  } else {
    end_member_header();
  }
}

void TarScanner::take_sparse_map() {
  const ByteView block = ByteView(held_).last(kTarBlock);
  if (tar::field(block, tar::kGnuMapExtended)[0] == 0) return end_member_header();
  if (held_.size() + kTarBlock > kMaxTarHeader) return fail("a sparse map is too large");
  wanted_ += kTarBlock;
}

void TarScanner::end_member_header() {
  member_.header_offset = offset_ - held_.size();
  member_.body_offset = offset_;
  visitor_.on_member(member_, held_);
  body_left_ = member_.body_size;
  padding_left_ = padded(body_left_) - body_left_;
  held_.clear();
  overrides_ = {};
  advance();
}

void TarScanner::advance() {
  if (body_left_ > 0) {
    state_ = State::body;
  } else if (padding_left_ > 0) {
    state_ = State::padding;
  } else {
    state_ = State::header;
    wanted_ = kTarBlock;
  }
}

void TarScanner::skip(std::uint64_t count) {
  if (count > skippable()) throw Error(ErrorCode::internal, "tar: skip past the end of a member");
  const std::uint64_t of_body = std::min(count, body_left_);
  body_left_ -= of_body;
  padding_left_ -= count - of_body;
  offset_ += count;
  if (count > 0) advance();
}

void TarScanner::finish() {
  if (state_ == State::body || state_ == State::padding) {
    fail_at(offset_, "the archive ends inside a member");
  } else if (state_ != State::tail && !held_.empty()) {
    fail_at(offset_, "the archive ends inside a header");
  }
}

void TarScanner::fail(std::string reason) {
  // The record that was just completed is the faulty one.
  const std::uint64_t record = state_ == State::special ? padded(special_size_) : kTarBlock;
  fail_at(offset_ - record, std::move(reason));
}

void TarScanner::fail_at(std::uint64_t offset, std::string reason) {
  fault_ = TarFault{offset, std::move(reason)};
  state_ = State::tail;
  body_left_ = 0;
  padding_left_ = 0;
  if (!held_.empty()) visitor_.on_tail(std::exchange(held_, {}));
}

}  // namespace bundle::codec
