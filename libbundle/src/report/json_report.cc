#include "bundle/json_report.h"

#include "codec/json.h"

namespace bundle {
namespace {

using codec::Json;

constexpr int kIndent = 2;

template <typename Items, typename Convert>
Json list(const Items& items, Convert convert) {
  Json out = Json::array();
  for (const auto& item : items) out.push_back(convert(item));
  return out;
}
Json strings(const std::vector<std::string>& items) {
  return list(items, [](const std::string& item) { return Json(item); });
}
Json paths(const std::vector<std::filesystem::path>& items) {
  return list(items, [](const std::filesystem::path& item) { return Json(item.string()); });
}
Json numbers(const std::vector<std::uint32_t>& items) {
  return list(items, [](std::uint32_t item) { return Json(std::uint64_t{item}); });
}
std::string print(const Json& value) {
  return codec::dump_json(value, kIndent);
}

Json change_json(const ReleaseChange& change) {
  Json item;
  item.set("kind", change.kind).set("change", change.change).set("name", change.name);
  item.set("from", change.from).set("to", change.to).set("text", change.text);
  return item;
}

Json plan_json(const ImportPlanReport& r) {
  Json out;
  out.set("product", r.product).set("version", r.version).set("release_number", r.release_number);
  out.set("created", r.created).set("expires", r.expires).set("signers", strings(r.signers));
  out.set("already_imported", r.already_imported);
  out.set("blobs_total", r.blobs_total).set("bytes_total", r.bytes_total);
  out.set("blobs_present", r.blobs_present).set("bytes_present", r.bytes_present);
  out.set("blobs_new", r.blobs_new).set("bytes_new", r.bytes_new);
  out.set("blobs_waiting", r.blobs_waiting).set("bytes_staged", r.bytes_staged);
  out.set("disk_needed", r.disk_needed).set("disk_free", r.disk_free);
  out.set("bytes_to_read", r.bytes_to_read).set("seconds_estimate", r.seconds_estimate);
  out.set("volumes_total", std::uint64_t{r.volumes_total});
  out.set("volumes_missing", numbers(r.volumes_missing));
  out.set("compared_with", r.compared_with).set("changes", list(r.changes, change_json));
  out.set("notes", strings(r.notes));
  return out;
}

Json release_json(const SiteRelease& r) {
  Json out;
  out.set("product", r.product).set("version", r.version).set("release_number", r.release_number);
  out.set("created", r.created)
      .set("expires", r.expires)
      .set("blobs", r.blobs)
      .set("bytes", r.bytes);
  out.set("active", r.active).set("complete", r.complete).set("revoked", r.revoked);
  return out;
}

Json hook_json(const HookReport& r) {
  Json out;
  out.set("name", r.name).set("state", r.state).set("reason", r.reason).set("seconds", r.seconds);
  out.set("output", r.output).set("output_cut", r.output_cut);
  return out;
}

Json closure_line(const ClosureLine& r) {
  Json out;
  out.set("place", r.place).set("image", r.image).set("problem", r.problem);
  if (!r.reason.empty()) out.set("reason", r.reason);
  return out;
}

Json closure_json(const ClosureReport& r) {
  Json out;
  out.set("references", r.references)
      .set("rendered", strings(r.rendered))
      .set("notes", strings(r.notes))
      .set("leaks", list(r.leaks, closure_line))
      .set("excepted", list(r.excepted, closure_line));
  return out;
}

}  // namespace

std::string to_json(const Error& error) {
  Json out;
  out.set("error", error_name(error.code())).set("exit_status", exit_status(error.code()));
  out.set("message", error.message()).set("hint", error.hint());
  return print(out);
}

std::string to_json(const MakeReport& r) {
  Json out;
  out.set("product", r.product).set("version", r.version).set("release_number", r.release_number);
  out.set("volumes", paths(r.volumes)).set("bundle_bytes", r.bundle_bytes).set("blobs", r.blobs);
  out.set("blob_bytes", r.blob_bytes).set("gzip_bytes", r.gzip_bytes);
  out.set("replayed_bytes", r.replayed_bytes).set("unique_bytes", r.unique_bytes);
  out.set("bases", strings(r.bases)).set("omitted_blobs", r.omitted_blobs);
  out.set("base_bytes", r.base_bytes).set("closure", closure_json(r.closure));
  out.set("signatures", strings(r.signatures)).set("seconds", r.seconds);
  return print(out);
}

std::string to_json(const ExportReport& r) {
  Json out;
  out.set("product", r.product).set("version", r.version).set("release_number", r.release_number);
  out.set("blobs", r.blobs).set("blob_bytes", r.blob_bytes).set("dry_run", r.dry_run);
  out.set("volumes", paths(r.volumes)).set("bundle_bytes", r.bundle_bytes);
  out.set("signatures", strings(r.signatures)).set("carrier_signed", r.carrier_signed);
  out.set("seconds", r.seconds);
  return print(out);
}

std::string to_json(const ClosureReport& r) {
  return print(closure_json(r));
}

std::string to_json(const SignReport& r) {
  Json out;
  out.set("signatures", strings(r.signatures)).set("volumes", std::uint64_t{r.volumes});
  return print(out);
}

std::string to_json(const CosignReport& r) {
  Json out;
  out.set("folder", r.folder.string()).set("public_key", r.public_key);
  out.set("artifacts", list(r.artifacts, [](const CosignedArtifact& a) {
            Json entry;
            entry.set("name", a.name).set("digest", a.digest).set("state", a.state);
            return entry;
          }));
  return print(out);
}

std::string to_json(const InspectReport& r) {
  Json out;
  out.set("verified", r.verified).set("bundle_id", r.bundle_id).set("product", r.product);
  out.set("version", r.version).set("release_number", r.release_number).set("created", r.created);
  out.set("expires", r.expires).set("volumes_total", std::uint64_t{r.volumes_total});
  out.set("volumes_here", numbers(r.volumes_here)).set("blobs", r.blobs);
  out.set("blob_bytes", r.blob_bytes).set("pack_bytes", r.pack_bytes).set("groups", r.groups);
  out.set("leaves", r.leaves).set("signatures", strings(r.signatures));
  out.set("upgrade_from", strings(r.upgrade_from)).set("k8s_version", r.k8s_version);
  out.set("os_base", r.os_base).set("bases", strings(r.bases));
  if (!r.base_built.empty()) {
    out.set("base_built", r.base_built);
    out.set("base_max_age_days", std::uint64_t{r.base_max_age_days});
    out.set("stale_base", r.stale_base);
  }
  out.set("artifacts", list(r.artifacts, [](const InspectedArtifact& a) {
            Json item;
            item.set("kind", a.kind).set("name", a.name).set("digest", a.digest);
            item.set("media_type", a.media_type);
            return item;
          }));
  return print(out);
}

std::string to_json(const PublishReport& r) {
  Json out;
  out.set("product", r.product).set("removed", strings(r.removed)).set("dry_run", r.dry_run);
  out.set("bundles", list(r.bundles, [](const PublishedBundle& b) {
            Json item;
            item.set("version", b.version).set("bundle_id", b.bundle_id).set("bytes", b.bytes);
            item.set("is_new", b.is_new);
            return item;
          }));
  out.set("channels", list(r.channels, [](const PublishedChannel& c) {
            Json item;
            item.set("name", c.name).set("version", c.version).set("sequence", c.sequence);
            item.set("moved", c.moved);
            return item;
          }));
  return print(out);
}

std::string to_json(const MirrorReport& r) {
  Json out;
  out.set("started", r.started).set("seconds", r.seconds).set("requests", r.requests);
  out.set("outside_window", r.outside_window).set("dry_run", r.dry_run);
  out.set("notes", strings(r.notes)).set("exit_status", r.exit_status());
  out.set("releases", list(r.releases, [](const MirroredRelease& m) {
            Json item;
            item.set("origin", m.origin).set("channel", m.channel).set("store", m.store);
            item.set("version", m.version).set("state", m.state).set("removed", m.removed);
            item.set("bytes_fetched", m.bytes_fetched).set("bytes_new", m.bytes_new);
            item.set("to_registry", m.to_registry).set("bytes_sent", m.bytes_sent);
            item.set("exit_status", m.exit_status).set("message", m.message).set("hint", m.hint);
            return item;
          }));
  return print(out);
}

std::string to_json(const MirrorCheck& r) {
  Json out;
  out.set("blobs", r.blobs).set("bytes", r.bytes).set("left", std::uint64_t{r.left()});
  out.set("problems", list(r.problems, [](const MirrorProblem& p) {
            Json item;
            item.set("store", p.store).set("release", p.release).set("digest", p.digest);
            item.set("problem", p.problem).set("repaired", p.repaired);
            return item;
          }));
  return print(out);
}

std::string to_json(const PushReport& r) {
  Json out;
  out.set("product", r.product).set("version", r.version).set("to", r.to);
  out.set("dry_run", r.dry_run).set("blobs_present", r.blobs_present);
  out.set("blobs_mounted", r.blobs_mounted).set("blobs_sent", r.blobs_sent);
  out.set("bytes_sent", r.bytes_sent).set("seconds", r.seconds);
  out.set("exit_status", r.exit_status());
  out.set("artifacts", list(r.artifacts, [](const PushedArtifact& a) {
            Json item;
            item.set("name", a.name).set("target", a.target).set("digest", a.digest);
            item.set("state", a.state).set("documents", a.documents).set("note", a.note);
            item.set("exit_status", a.exit_status).set("message", a.message).set("hint", a.hint);
            return item;
          }));
  return print(out);
}

std::string to_json(const ImportPlanReport& report) {
  return print(plan_json(report));
}

std::string to_json(const ImportReport& r) {
  Json out = plan_json(r.plan);
  out.set("complete", r.complete).set("blobs_written", r.blobs_written);
  out.set("bytes_written", r.bytes_written).set("bytes_read", r.bytes_read);
  out.set("seconds", r.seconds);
  return print(out);
}

std::string to_json(const VerifyReport& r) {
  Json out = plan_json(r.release);
  out.set("leaves_verified", r.leaves).set("bytes_verified", r.bytes).set("blobs_rebuilt", r.blobs);
  out.set("seconds", r.seconds).set("verified", true);
  return print(out);
}

std::string to_json(const std::vector<SiteRelease>& releases) {
  Json out;
  out.set("releases", list(releases, release_json));
  return print(out);
}

std::string to_json(const SiteStatus& r) {
  Json out;
  out.set("active", r.active).set("releases", list(r.releases, release_json));
  out.set("trust_fingerprint", r.trust_fingerprint).set("trust_version", r.trust_version);
  out.set("blobs", r.blobs).set("bytes", r.bytes).set("disk_free", r.disk_free);
  out.set("unfinished", strings(r.unfinished)).set("backups", strings(r.backups));
  Json upgrade = Json::object();
  if (!r.upgrade.direction.empty()) {
    upgrade.set("direction", r.upgrade.direction).set("from", r.upgrade.from);
    upgrade.set("to", r.upgrade.to).set("state", r.upgrade.state).set("step", r.upgrade.step);
    upgrade.set("reason", r.upgrade.reason).set("updated", r.upgrade.updated);
  }
  out.set("upgrade", std::move(upgrade));
  return print(out);
}

std::string to_json(const ExtractReport& r) {
  Json out;
  out.set("file", r.file.string()).set("release", r.release).set("bytes", r.bytes);
  out.set("sha256", r.sha256);
  return print(out);
}

std::string to_json(const SupportBundleReport& r) {
  Json out;
  out.set("file", r.file.string()).set("bytes", r.bytes).set("entries", strings(r.entries));
  out.set("notes", strings(r.notes)).set("removed", r.removed);
  return print(out);
}

std::string to_json(const ReleaseDiff& r) {
  Json out;
  out.set("product", r.product).set("from", r.from).set("to", r.to).set("notes", strings(r.notes));
  out.set("changes", list(r.changes, change_json));
  return print(out);
}

std::string to_json(const UpgradeReport& r) {
  Json out;
  out.set("from", r.from).set("to", r.to).set("active", r.live).set("outcome", r.outcome);
  out.set("resumed", r.resumed).set("waited", r.waited).set("reason", r.reason);
  out.set("steps", list(r.steps, [](const UpgradeStepReport& step) {
            Json item;
            item.set("name", step.name).set("text", step.text).set("state", step.state);
            item.set("time", step.time).set("note", step.note);
            item.set("commands", strings(step.commands));
            return item;
          }));
  std::vector<std::string> notes = r.gate.notes;
  notes.insert(notes.end(), r.notes.begin(), r.notes.end());
  out.set("hooks", list(r.gate.hooks, hook_json)).set("notes", strings(notes));
  out.set("outside_window", r.gate.outside_window);
  out.set("exit_status", r.ok ? 0 : exit_status(r.error));
  if (!r.ok) {
    out.set("error", error_name(r.error)).set("message", r.reason).set("hint", r.next_step);
  }
  return print(out);
}

std::string to_json(const StoreAudit& r) {
  Json out;
  out.set("blobs", r.blobs).set("bytes", r.bytes).set("leftovers", strings(r.leftovers));
  out.set("problems", list(r.problems, [](const StoreProblem& p) {
            Json item;
            item.set("release", p.release).set("digest", p.digest).set("problem", p.problem);
            return item;
          }));
  return print(out);
}

std::string to_json(const Activation& r) {
  Json out;
  out.set("from", r.from).set("to", r.to);
  out.set("outside_window", r.gate.outside_window);
  out.set("hooks", list(r.gate.hooks, hook_json)).set("notes", strings(r.gate.notes));
  return print(out);
}

std::string to_json(const GateAnswer& r) {
  Json out;
  out.set("allowed", r.allowed).set("from", r.from).set("to", r.to).set("reason", r.reason);
  out.set("next_step", r.next_step).set("next_action", r.next_action);
  out.set("next_version", r.next_version).set("rules", strings(r.rules));
  out.set("refusals", list(r.refusals, [](const GateRefusal& refusal) {
            Json item;
            item.set("rule", refusal.rule).set("reason", refusal.reason);
            item.set("next_step", refusal.next_step);
            return item;
          }));
  out.set("hooks", list(r.hooks, hook_json)).set("notes", strings(r.notes));
  out.set("outside_window", r.outside_window);
  out.set("exit_status", r.allowed ? 0 : exit_status(r.error));
  // As every other error, for scripts that look for these.
  if (!r.allowed)
    out.set("error", error_name(r.error)).set("message", r.reason).set("hint", r.next_step);
  return print(out);
}

std::string to_json(const CollectReport& r) {
  Json out;
  out.set("releases", strings(r.releases)).set("blobs", r.blobs).set("bytes", r.bytes);
  return print(out);
}

std::string to_json(const CertificateReport& r) {
  Json out;
  out.set("authority", r.authority.string()).set("certificate", r.certificate.string());
  out.set("key", r.key.string()).set("names", strings(r.names)).set("expires", r.expires);
  out.set("fingerprint", r.fingerprint).set("new_authority", r.new_authority);
  return print(out);
}

std::string to_json(const ClusterConfigReport& r) {
  Json out;
  out.set("files", paths(r.files)).set("registries", strings(r.registries));
  return print(out);
}

std::string to_json(const SeedReport& r) {
  Json out;
  out.set("product", r.product)
      .set("version", r.version)
      .set("profile", r.profile)
      .set("digest", r.digest)
      .set("files", strings(r.files))
      .set("notes", strings(r.notes));
  if (!r.commit.empty()) out.set("commit", r.commit);
  return print(out);
}

}  // namespace bundle
