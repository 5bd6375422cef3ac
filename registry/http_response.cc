#include "registry/http_response.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <microhttpd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

namespace bundle::registry {
namespace {

// Four full TLS records a read: larger pieces are no faster, and every open answer holds one.
constexpr std::size_t kTlsReadBytes = 64 * 1024;

constexpr std::pair<const char*, const char*> kCommonHeaders[] = {
    {"Docker-Distribution-Api-Version", "registry/2.0"}, {"X-Content-Type-Options", "nosniff"}};

// RFC 9110, section 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale.
std::string http_date() {
  static constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
                     kDays.at(static_cast<std::size_t>(parts.tm_wday)), parts.tm_mday,
                     kMonths.at(static_cast<std::size_t>(parts.tm_mon)), parts.tm_year + 1900,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

struct FileReader {
  FileSlice slice;

  static ssize_t read(void* closure, std::uint64_t position, char* buffer, std::size_t size) {
    const auto& reader = *static_cast<FileReader*>(closure);
    for (;;) {
      const ssize_t count = ::pread(reader.slice.fd.get(), buffer, size,
                                    static_cast<off_t>(reader.slice.offset + position));
      if (count > 0) return count;
      // The file became shorter while it was sent: cut the connection, never pad.
      if (count == 0 || errno != EINTR) return MHD_CONTENT_READER_END_WITH_ERROR;
    }
  }
  static void release(void* closure) { delete static_cast<FileReader*>(closure); }
};

ssize_t read_nothing(void*, std::uint64_t, char*, std::size_t) {
  return MHD_CONTENT_READER_END_WITH_ERROR;
}

void release_document(void* closure) {
  delete static_cast<DocumentPtr*>(closure);
}

MHD_Response* from_text(const std::string& text) {
  // MHD_RESPMEM_MUST_COPY only reads.
  return MHD_create_response_from_buffer(text.size(), const_cast<char*>(text.data()),
                                         MHD_RESPMEM_MUST_COPY);
}

MHD_Response* from_document(DocumentPtr document) {
  // The library writes neither; the document outlives the response through `holder`.
  auto holder = std::make_unique<DocumentPtr>(std::move(document));
  const std::string& bytes = (*holder)->bytes;
  MHD_Response* response = MHD_create_response_from_buffer_with_free_callback_cls(
      bytes.size(), const_cast<char*>(bytes.data()), &release_document, holder.get());
  if (response != nullptr) (void)holder.release();
  return response;
}

MHD_Response* from_file(FileSlice slice, std::uint64_t length, bool tls) {
  if (length == 0) return from_text({});
  if (tls) {
    auto reader = std::make_unique<FileReader>(FileReader{std::move(slice)});
    MHD_Response* response = MHD_create_response_from_callback(
        length, kTlsReadBytes, &FileReader::read, reader.get(), &FileReader::release);
    if (response != nullptr) (void)reader.release();
    return response;
  }
  // The library closes what it is given.
  const int own = ::fcntl(slice.fd.get(), F_DUPFD_CLOEXEC, 0);
  if (own < 0) return nullptr;
  MHD_Response* response = MHD_create_response_from_fd_at_offset64(length, own, slice.offset);
  if (response == nullptr) ::close(own);
  return response;
}

MHD_Response* from_body(Answer& answer, bool is_head, bool tls) {
  if (answer.status == 304) return from_text({});
  if (is_head) {
    return answer.content_length == 0
               ? from_text({})
               : MHD_create_response_from_callback(answer.content_length, 1, &read_nothing, nullptr,
                                                   nullptr);
  }
  if (auto* document = std::get_if<DocumentPtr>(&answer.body)) {
    return from_document(std::move(*document));
  }
  if (auto* slice = std::get_if<FileSlice>(&answer.body)) {
    return from_file(std::move(*slice), answer.content_length, tls);
  }
  return from_text(std::get<std::string>(answer.body));
}

}  // namespace

void ResponseRelease::operator()(MHD_Response* response) const {
  MHD_destroy_response(response);
}

ResponsePtr make_response(Answer answer, bool is_head, bool tls, bool close_connection) {
  ResponsePtr response(from_body(answer, is_head, tls));
  if (!response) return response;
  for (const auto& [name, value] : answer.headers) {
    MHD_add_response_header(response.get(), name.data(), value.c_str());
  }
  for (const auto& [name, value] : kCommonHeaders) {
    MHD_add_response_header(response.get(), name, value);
  }
  if (close_connection) MHD_add_response_header(response.get(), "Connection", "close");
  return response;
}

std::string response_head(const Answer& answer, bool close_connection) {
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n{}Content-Length: {}\r\n", answer.status,
                  MHD_get_reason_phrase_for(answer.status), http_date(),
                  close_connection ? "Connection: close\r\n" : "", answer.content_length);
  for (const auto& [name, value] : answer.headers) head += fmt::format("{}: {}\r\n", name, value);
  for (const auto& [name, value] : kCommonHeaders) head += fmt::format("{}: {}\r\n", name, value);
  return head + "\r\n";
}

}  // namespace bundle::registry
