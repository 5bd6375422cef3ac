# Turns the templates of flux-seed/site into one C++ file, so that nothing is read at run time.
# cmake -DOUTPUT=seed_templates.cc -DFOLDER=flux-seed/site -P embed.cmake
file(GLOB names RELATIVE ${FOLDER} ${FOLDER}/*)
list(SORT names)
set(rows "")
foreach(name ${names})
  file(READ ${FOLDER}/${name} text)
  string(APPEND rows "    {\"${name}\", R\"seed(${text})seed\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Written by flux-seed/embed.cmake.
#include \"flux/seed_templates.h\"

namespace bundle::flux {
namespace {

constexpr SeedTemplate kTemplates[] = {
${rows}};

}  // namespace

std::span<const SeedTemplate> seed_templates() { return kTemplates; }

}  // namespace bundle::flux
")
