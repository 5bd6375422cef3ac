// docs/threat-model.md against the tests: each of its tables is followed by one test.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/error.h"

namespace bundle::testing {

// "| name | `code`": how a row begins.
inline std::string attack_row(std::string_view name, ErrorCode answer) {
  return "| " + std::string(name) + " | `" + std::string(error_name(answer)) + "`";
}

// How the rows of the table after "<!-- attacks: WHERE -->" begin.
inline std::vector<std::string> documented_attacks(std::string_view where) {
  std::ifstream file(BUNDLE_SOURCE_DIR "/docs/threat-model.md");
  const std::string mark = "<!-- attacks: " + std::string(where) + " -->";
  std::vector<std::string> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("<!-- attacks: ")) inside = line == mark;
    if (inside && line.starts_with("#")) break;
    if (!inside || !line.starts_with("| ") || line.starts_with("| attack |")) continue;
    rows.push_back(line.substr(0, line.find(" |", line.find("` |"))));
  }
  return rows;
}

}  // namespace bundle::testing
