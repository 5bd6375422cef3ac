# Turns schema files into one C++ file of string literals, so that nothing is read at run time.
# cmake -DOUTPUT=builtin_schemas.cc -DSCHEMAS=a.schema.json,b.schema.json -P embed.cmake
string(REPLACE "," ";" schemas "${SCHEMAS}")
set(rows "")
foreach(schema ${schemas})
  get_filename_component(name ${schema} NAME)
  string(REPLACE ".schema.json" "" name ${name})
  file(READ ${schema} text)
  string(APPEND rows "    {\"${name}\", R\"schema(${text})schema\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Written by schemas/embed.cmake.
#include \"codec/builtin_schemas.h\"

namespace bundle::codec {
namespace {

constexpr BuiltinSchema kSchemas[] = {
${rows}};

}  // namespace

std::span<const BuiltinSchema> builtin_schemas() { return kSchemas; }

}  // namespace bundle::codec
")
