// Any bytes as manifests of a release: images are found and pinned, or an Error names the file.
// What was edited is still YAML, with as many documents.
#include <cstdlib>

#include "bundle/error.h"
#include "flux/chart_values.h"
#include "flux/manifest_text.h"
#include "flux/pin_images.h"

namespace {

bundle::flux::ReleaseImages sample_images() {
  bundle::flux::ReleaseImages images;
  bundle::release::Artifact redis;
  redis.registry = "docker.io";
  redis.repository = "library/redis";
  redis.tag = "7";
  redis.descriptor.digest = bundle::sha256(bundle::as_bytes(std::string_view("redis")));
  images.add(redis);
  bundle::release::Artifact chart;
  chart.repository = "app/charts/web";
  chart.descriptor.digest = bundle::sha256(bundle::as_bytes(std::string_view("chart")));
  images.add_local(chart);
  return images;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle;
  static const flux::ReleaseImages images = sample_images();
  static const flux::ImagePatterns patterns{{"*AGENT*"}, {"spec.*.imageName"}};
  if (size > 64 * 1024) return 0;
  const std::string_view text = as_text({data, size});
  std::string pinned;
  std::size_t documents = 0;
  try {
    pinned = flux::pin_images(text, "input.yaml", images, patterns);
    for (const auto& document : flux::parse_manifests(text, "input.yaml")) {
      ++documents;
      flux::pinning_values(document.root(), "1.0.0", images);
    }
  } catch (const Error& error) {
    if (!error.message().starts_with("input.yaml")) std::abort();
    return 0;
  }
  if (flux::parse_manifests(pinned, "pinned.yaml").size() != documents) std::abort();
  return 0;
}
