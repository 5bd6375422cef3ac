// The reports as JSON, for `--json` and for scripts. One object each; keys are the field names.
#pragma once

#include <string>

#include "bundle/error.h"
#include "bundle/import.h"
#include "bundle/make.h"
#include "bundle/mirror.h"
#include "bundle/publish.h"
#include "bundle/push.h"
#include "bundle/release_diff.h"
#include "bundle/seed.h"
#include "bundle/site.h"
#include "bundle/site_setup.h"
#include "bundle/site_support.h"
#include "bundle/trust.h"
#include "bundle/upgrade.h"

namespace bundle {

std::string to_json(const Error& error);
std::string to_json(const MakeReport& report);
std::string to_json(const ExportReport& report);
std::string to_json(const ClosureReport& report);
std::string to_json(const SignReport& report);
std::string to_json(const CosignReport& report);
std::string to_json(const InspectReport& report);
std::string to_json(const PublishReport& report);
std::string to_json(const MirrorReport& report);
std::string to_json(const MirrorCheck& report);
std::string to_json(const PushReport& report);
std::string to_json(const ImportPlanReport& report);
std::string to_json(const ImportReport& report);
std::string to_json(const VerifyReport& report);
std::string to_json(const std::vector<SiteRelease>& releases);
std::string to_json(const SiteStatus& status);
std::string to_json(const StoreAudit& audit);
std::string to_json(const Activation& activation);
std::string to_json(const GateAnswer& answer);
std::string to_json(const CollectReport& report);
std::string to_json(const UpgradeReport& report);
std::string to_json(const ExtractReport& report);
std::string to_json(const SupportBundleReport& report);
std::string to_json(const ReleaseDiff& diff);
std::string to_json(const TrustRootReport& report);
std::string to_json(const TrustSignReport& report);
std::string to_json(const TrustMergeReport& report);
std::string to_json(const SignedDocumentReport& report);
std::string to_json(const SiteTrust& report);
std::string to_json(const TrustUpdate& report);
std::string to_json(const CertificateReport& report);
std::string to_json(const SeedReport& report);
std::string to_json(const ClusterConfigReport& report);

}  // namespace bundle
