#include "source/report.h"

#include "base/time.h"

namespace bundle::source {

ImportPlanReport describe(const OpenedBundle& opened) {
  const trust::Statement& statement = *opened.head.release;
  ImportPlanReport report;
  report.product = statement.product;
  report.version = statement.version;
  report.release_number = statement.release_number;
  report.created = format_time(statement.created);
  report.expires = format_time(statement.expires);
  report.signers = opened.head.release.signers();
  report.blobs_total = statement.blob_count;
  report.bytes_total = statement.blob_bytes;
  report.volumes_total = opened.volumes.count;
  return report;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace bundle::source
