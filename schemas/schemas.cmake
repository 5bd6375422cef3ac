# bundle_embed_schemas(VARIABLE): sets VARIABLE to the generated .cc that holds every schema.
set(BUNDLE_SCHEMA_DIR ${CMAKE_CURRENT_LIST_DIR})
set(BUNDLE_SCHEMAS
  carrier channel-pointer compatibility mirror release-manifest release-spec revocations site statement
  time-statement trust-root)

function(bundle_embed_schemas variable)
  set(files ${BUNDLE_SCHEMAS})
  list(TRANSFORM files PREPEND ${BUNDLE_SCHEMA_DIR}/)
  list(TRANSFORM files APPEND .schema.json)
  string(REPLACE ";" "," joined "${files}")
  set(output ${CMAKE_CURRENT_BINARY_DIR}/builtin_schemas.cc)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DSCHEMAS=${joined}
            -P ${BUNDLE_SCHEMA_DIR}/embed.cmake
    DEPENDS ${files} ${BUNDLE_SCHEMA_DIR}/embed.cmake
    COMMENT "Embedding the JSON schemas"
    VERBATIM)
  set(${variable} ${output} PARENT_SCOPE)
endfunction()
