#include "site/site_news.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "io/safe_path.h"
#include "trust/news_files.h"

namespace bundle::site {
namespace {

using trust::ChannelPointer;
using trust::Signed;
using trust::TrustState;

std::string channel_key(const ChannelPointer& pointer) {
  return pointer.product + "/" + pointer.channel;
}

// Above what the site has accepted from this channel.
bool is_newer(const TrustState* state, const ChannelPointer& pointer) {
  if (state == nullptr) return true;
  const auto mark = state->channels().find(channel_key(pointer));
  return mark == state->channels().end() || pointer.sequence > mark->second.number;
}

Error expired_pointer(const ChannelPointer& pointer, UnixTime now) {
  return {ErrorCode::expired,
          fmt::format("the pointer of channel {} was made on {} and expired on {}; the time here "
                      "is {}",
                      pointer.channel, format_time(pointer.created), format_time(pointer.expires),
                      format_time(now)),
          "This medium is old news: get a newer one from the vendor. If the clock here is wrong, "
          "set it right; 'bundle-import trust show' tells what the site goes by."};
}

// The list that the pointer names, or one made later.
bool covers(const trust::RevocationList& list, const Digest& digest,
            const ChannelPointer& pointer) {
  return digest == *pointer.revocation_digest || list.created > pointer.created;
}

bool has_named_list(const TrustState* state, const trust::News& news,
                    const ChannelPointer& pointer) {
  for (const auto& [list, signatures] : news.revocations) {
    if (list->product == pointer.product && covers(*list, list.digest(), pointer)) return true;
  }
  if (state == nullptr) return false;
  const auto mark = state->revocation_lists().find(pointer.product);
  return mark != state->revocation_lists().end() &&
         (mark->second.document == pointer.revocation_digest ||
          mark->second.created > pointer.created);
}

void keep_pointer(const store::SiteStore& store, TrustState& state,
                  const Signed<ChannelPointer>& news) {
  const ChannelPointer& pointer = *news.document;
  const Path folder = channel_folder(store, pointer.product);
  const std::string name = trust::pointer_name(pointer);
  state.check_pointer(news.document);
  trust::write_signed(store.fs(), folder, name, news.document.raw(), news.signatures);
  state.accept_pointer(news.document);
  trust::remove_others(store.fs(), folder, name);
}

}  // namespace

Path channel_folder(const store::SiteStore& store, const std::string& product) {
  return join_safely(store.root() / "channels", product, "product");
}

void check_news(const TrustState* state, const trust::News& news) {
  for (const auto& [pointer, signatures] : news.pointers) {
    if (!pointer->revocation_digest || !is_newer(state, *pointer)) continue;
    if (has_named_list(state, news, *pointer)) continue;
    throw Error(ErrorCode::statement_mismatch,
                fmt::format("the pointer of channel {} names a revocation list that is not on the "
                            "medium",
                            pointer->channel),
                "Files were taken from the medium: copy it again from the original, whole.");
  }
}

Learned learn_news(const store::SiteStore& store, TrustState& state, const trust::News& news,
                   UnixTime now, bool strict) {
  check_news(&state, news);
  Learned learned;
  for (const auto& [list, signatures] : news.revocations) {
    if (!state.accept_revocations(list, signatures)) continue;
    learned.push_back(fmt::format("revocation list {} of {}", list->sequence, list->product));
  }
  for (const auto& item : news.pointers) {
    const ChannelPointer& pointer = *item.document;
    const auto mark = state.channels().find(channel_key(pointer));
    const bool known =
        mark != state.channels().end() && mark->second.document == item.document.digest();
    if (known && now < pointer.expires) continue;
    const bool same_number =
        mark != state.channels().end() && mark->second.number == pointer.sequence;
    if (strict || same_number) state.check_pointer(item.document);
    if (strict && now >= pointer.expires) throw expired_pointer(pointer, now);
    if (known || !is_newer(&state, pointer) || now >= pointer.expires) continue;
    keep_pointer(store, state, item);
    learned.push_back(fmt::format("channel {}: {} (sequence {})", pointer.channel,
                                  pointer.release_version, pointer.sequence));
  }
  return learned;
}

void require_channel(const TrustState* state, const trust::News& news, const std::string& channel,
                     const trust::VerifiedRelease& release, UnixTime now) {
  const auto found = std::ranges::find_if(news.pointers, [&](const Signed<ChannelPointer>& item) {
    return item.document->channel == channel && item.document->product == release->product;
  });
  if (found == news.pointers.end()) {
    throw Error(ErrorCode::not_found,
                fmt::format("the medium carries no pointer of channel {}", channel),
                "Name a channel that the vendor has, or leave --channel out.");
  }
  const trust::VerifiedPointer& pointer = found->document;
  if (state != nullptr && state->current()) state->check_pointer(pointer);
  if (now >= pointer->expires) throw expired_pointer(*pointer, now);
  if (pointer->statement_digest != release.digest()) {
    throw Error(ErrorCode::statement_mismatch,
                fmt::format("channel {} stands at release {}, and the medium holds {}", channel,
                            pointer->release_version, release->version),
                "Get the medium of that release, or leave --channel out to import this one.");
  }
}

}  // namespace bundle::site
