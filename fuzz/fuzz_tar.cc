// The tar scanner: whatever it reads, its parts join to the input, in any split and under any
// rules.
#include <cstdlib>

#include "codec/tar.h"

namespace {

class Joiner final : public bundle::codec::TarVisitor {
 public:
  void on_member(const bundle::codec::TarMember& member, bundle::ByteView header) override {
    if (member.body_offset - member.header_offset != header.size()) std::abort();
    add(header);
  }
  void on_body(bundle::ByteView bytes) override { add(bytes); }
  void on_padding(bundle::ByteView bytes) override { add(bytes); }
  void on_tail(bundle::ByteView bytes) override { add(bytes); }

  bundle::Bytes joined;

 private:
  void add(bundle::ByteView bytes) { joined.insert(joined.end(), bytes.begin(), bytes.end()); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using bundle::codec::TarRules;
  for (const TarRules rules : {TarRules::as_go, TarRules::strict}) {
    Joiner joiner;
    bundle::codec::TarScanner scanner(joiner, rules);
    const std::size_t cut = size / 3;
    scanner.write({data, cut});
    scanner.write({data + cut, size - cut});
    scanner.finish();
    if (joiner.joined != bundle::Bytes(data, data + size)) std::abort();
  }
  return 0;
}
