// Tells the service manager how the service is (sd_notify(3)).
#pragma once

#include <string_view>

namespace bundle::registry {

// `state` is lines of NAME=VALUE: "READY=1", "RELOADING=1", "STOPPING=1", "STATUS=...". Does
// nothing where no service manager listens (NOTIFY_SOCKET), and never fails: the service is no
// worse for it.
void notify_service_manager(std::string_view state);

}  // namespace bundle::registry
