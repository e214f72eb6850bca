# Installs cairn to a scratch prefix, builds docs/example against it as a stranger would, runs it.
#   cmake -DBUILD_DIR=... -DSOURCE_DIR=... -DCXX=... -DSCRATCH=... -P run_example.cmake
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed (${result}): ${ARGN}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${SCRATCH}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE_DIR}/docs/example -B ${SCRATCH}/build -G Ninja
    -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_PREFIX_PATH=${SCRATCH}/prefix)
run(${CMAKE_COMMAND} --build ${SCRATCH}/build)
run(${SCRATCH}/build/example ${SCRATCH}/store "Which bird cannot fly?")
if(NOT output MATCHES "^[0-9.]+ kakapo \\[0-[0-9]+\\] The kakapo is a parrot")
  message(FATAL_ERROR "unexpected answer:\n${output}")
endif()
file(REMOVE_RECURSE ${SCRATCH})
