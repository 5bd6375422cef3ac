// Hand-made tar blocks, well-formed or not.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace bundle::testing {

struct TarBlock {
  std::string name;
  std::size_t size = 0;
  char type = '0';
  std::string link_target = {};
  std::string magic = std::string("ustar\00000", 8);
  std::string prefix = {};
  std::string size_field = {};  // 12 bytes that replace the octal size
  bool break_checksum = false;
};

inline void put(std::string& block, std::size_t at, std::string_view text) {
  block.replace(at, text.size(), text);
}

inline std::string octal(std::size_t value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*zo", digits, value);
  return text;
}

// Sets the checksum of a 512-byte header.
inline void seal(std::string& block) {
  put(block, 148, "        ");
  std::size_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(block, 148, octal(sum, 6) + std::string("\0 ", 2));
}

inline std::string header(const TarBlock& fields) {
  std::string block(512, '\0');
  put(block, 0, fields.name.substr(0, 100));
  put(block, 100, "0000644");
  put(block, 108, "0000000");
  put(block, 116, "0000000");
  put(block, 124, fields.size_field.empty() ? octal(fields.size, 11) : fields.size_field);
  put(block, 136, "00000000000");
  block[156] = fields.type;
  put(block, 157, fields.link_target);
  put(block, 257, fields.magic);
  put(block, 345, fields.prefix);
  seal(block);
  if (fields.break_checksum) block[0] = static_cast<char>(block[0] ^ 1);
  return block;
}

inline std::string padded(std::string content) {
  content.resize((content.size() + 511) / 512 * 512, '\0');
  return content;
}

inline std::string file(const std::string& name, const std::string& content) {
  return header({.name = name, .size = content.size()}) + padded(content);
}

inline std::string pax_record(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  std::size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) ++length;
  return std::to_string(length) + rest;
}

inline std::string pax(const std::string& records, char type = 'x') {
  return header({.name = "pax", .size = records.size(), .type = type}) + padded(records);
}

inline std::string end_blocks() {
  return std::string(1024, '\0');
}

}  // namespace bundle::testing
