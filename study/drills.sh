#!/usr/bin/env bash
# Runs the drills of docs/reliability.md: study/drills.sh PROGRAM TESTS [SCRIPTS].
# First the Go tests whose names match TESTS, then, where the folder SCRIPTS is
# there, each script in it against PROGRAM, one at a time: they bring daemons and
# attackers of their own. What a drill says goes to its log; the last lines are a
# table. Fails if a drill fails, under CI=true also if one is left out.
set -uo pipefail
program=$(realpath "$1")
tests=$2
scripts=${3:-}
[ ! -d "$scripts" ] || scripts=$(realpath "$scripts")
cd "$(dirname "$0")/.."
logs=$(mktemp -d)
machine="$(uname -m), $(nproc) cores, $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)"
rows=() failed=0 left=0

# row NAME RESULT adds a line to the table; the load is that of now.
row() {
  local line
  line="| $1 | $(date -u +%FT%TZ) | $machine | $(cut -d' ' -f1-3 /proc/loadavg) | $2 |"
  rows+=("$line")
  echo "$line"
}

# One package at a time, whose output comes as it is made. A package may fail without
# a test that does: it does not build, or panics.
go_tests() {
  local dir status name seconds told
  while read -r dir; do
    told=0
    while read -r _ status name seconds; do
      case $status in
        PASS:) row "$dir $name" "pass, ${seconds//[()]/}" ;;
        SKIP:) row "$dir $name" "left out, see go.log"; left=1 ;;
        FAIL:) row "$dir $name" "FAIL, ${seconds//[()]/}"; failed=1 told=1 ;;
        EXIT:) [ "$name" = 0 ] || [ $told = 1 ] || { row "$dir" "FAIL, see go.log"; failed=1; } ;;
      esac
    done < <({ TESTENV_TESTS=full go test -count=1 -v -timeout 30m -run "$tests" "./$dir" 2>&1; echo "--- EXIT: $?"; } |
      tee -a "$logs/go.log" | grep --line-buffered -E '^--- (PASS|FAIL|SKIP|EXIT): ')
  done < <(grep -rlE --include='*_test.go' "^func Test[A-Za-z0-9]*($tests)" pipeline sensors cmd/posefuse model | xargs -n1 dirname | sort -u)
}

# script FILE runs one of the scripts, at most five minutes. disk_full mounts.
script() {
  local file=$1 name run=bash began=$SECONDS log
  name=${file#"$scripts"/}
  log=$logs/${name//\//-}.log
  if [ "$name" = disk_full.py ] && [ "$(id -u)" != 0 ]; then
    row "$name" "left out: it mounts, which takes root"; left=1
    return
  fi
  [ "${file##*.}" != py ] || run=python3
  if PYTHONDONTWRITEBYTECODE=1 POSEFUSE=$program CHECKOUT=$PWD DRILL_DIR=$(mktemp -d -p "$logs") timeout -k 5 300 "$run" "$file" >"$log" 2>&1 </dev/null; then
    row "$name" "pass, $((SECONDS - began)) s"
  else
    row "$name" "FAIL, $((SECONDS - began)) s"; failed=1
    tail -n 5 "$log" | cut -c1-300
  fi
}

# configurations FOLDER PATTERN: for each file posefuse check must fail, or say what
# the pattern finds.
configurations() {
  local folder=$1 pattern=$2 file out bad="" n=0
  for file in "$scripts/$folder"/*.yaml; do
    n=$((n + 1))
    out=$(timeout -k 1 10 "$program" check "$file" 2>&1)
    case $?:$out in
      0:* | 1:*) grep -qiE "$pattern" <<<"$out" || bad+=" ${file##*/}" ;;
      *) bad+=" ${file##*/}" ;;
    esac
  done
  if [ -z "$bad" ]; then row "$folder" "pass, $n files"; else row "$folder" "FAIL:$bad"; failed=1; fi
}

echo "logs: $logs"
go_tests
if [ -d "$scripts" ]; then
  for file in "$scripts"/*.py "$scripts"/*.sh "$scripts"/*/*.sh; do
    [ "${file##*/}" = drill.py ] || script "$file"
  done
  key='[a-z_0-9]+(\.[a-z_0-9]+|\[[0-9]+\])*: '
  configurations config-accepted "line [0-9]+: $key|can be reached from the network"
  configurations config-unclear "line [0-9]+: ($key|want keys)"
else
  row "the scripts against the program" "left out: no folder ${scripts:-of scripts is named}"; left=1
fi

printf '\n| drill | date | machine | load | result |\n| --- | --- | --- | --- | --- |\n'
printf '%s\n' "${rows[@]}"
echo "${#rows[@]} drills, $(printf '%s\n' "${rows[@]}" | grep -c '| FAIL') failed, $(printf '%s\n' "${rows[@]}" | grep -c '| left out') left out; what they said: $logs"
[ $failed = 0 ] && { [ $left = 0 ] || [ "${CI:-}" != true ]; }
