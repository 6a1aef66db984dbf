#!/bin/sh
# kernel_symbols.sh NM OBJDUMP OBJECT...: kernel units share no code with anything else.
#
# An inline function or template that two units compile becomes one function: the linker takes either. If it took one
# that was compiled for AVX-512, other machines would crash far from any kernel. So all that a kernel unit defines for
# others lies in the namespace <set>_kernels, except for its table; and nothing of it runs when the library is loaded.
set -eu
nm=$1 objdump=$2
shift 2
failed=0
checked=0
for object in "$@"; do
  case $object in */kernels_*) ;; *) continue ;; esac
  checked=$((checked + 1))
  set_name=$(basename "$object" | sed 's/^kernels_\([a-z0-9]*\)\..*/\1/')
  namespace=${set_name}_kernels
  table="k$(printf %s "$set_name" | cut -c1 | tr a-z A-Z)$(printf %s "$set_name" | cut -c2-)"
  case $object in */training/*) table=${table}TrainingKernels ;; *) table=${table}Kernels ;; esac
  defined=$("$nm" --defined-only --extern-only "$object" | awk '{ print $3 }')
  echo "$defined" | grep -q "^_ZN10netsurgery${#table}${table}E\$" || { echo "$object: no $table"; failed=1; }
  shared=$(echo "$defined" | grep -v -e "^_ZN10netsurgery${#table}${table}E\$" \
    -e "^_ZZ*\(TV\|TI\|TS\)*NK*10netsurgery${#namespace}${namespace}" -e '^DW\.ref\.__gxx_personality' || true)
  [ -z "$shared" ] || { echo "$object defines, for others to take by mistake:"; echo "$shared"; failed=1; }
  if "$objdump" -h "$object" | grep -q -e '\.init_array' -e '\.ctors'; then
    echo "$object runs code when the library is loaded, on any machine"
    failed=1
  fi
done
[ "$checked" -gt 0 ] || { echo "no kernel units among $*"; failed=1; }
echo "$checked kernel units"
exit $failed
