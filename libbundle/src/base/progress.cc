#include "bundle/progress.h"

#include "bundle/error.h"

namespace bundle {
namespace {

class Silent final : public Progress {
 public:
  void phase(std::string_view, std::uint64_t) override {}
  void advance(std::uint64_t) override {}
  void note(std::string_view) override {}
};

}  // namespace

Progress& silent_progress() {
  static Silent silent;
  return silent;
}

void Cancel::check() const {
  if (requested()) {
    throw Error(ErrorCode::cancelled, "stopped on request",
                "Nothing is lost: run the same command again to continue.");
  }
}

}  // namespace bundle
