# Sourced by `run` and `check`: named steps with timings, all of them run, failures listed at the end.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()
timings=()

# step NAME COMMAND…: run it, remember how long it took and whether it failed.
step() {
  local name=$1 began=$SECONDS status=0
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  "$@" || status=$?
  timings+=("$(printf '%5d s  %s' $((SECONDS - began)) "$name")")
  if ((status != 0)); then
    failed+=("$name (exit status $status)")
  fi
}

# Where Python keeps pip to the system's packages, pipx is the way (see README.md).
install_uv() {
  export PATH="$HOME/.local/bin:$PATH"
  command -v uv >/dev/null || pip install --quiet uv || pipx install uv || {
    echo "uv could not be installed with pip or pipx: apt install pipx, then run this again" >&2
    exit 1
  }
}

linters() {
  step "ruff" uv run ruff check .
  step "ruff format" uv run ruff format --check .
  step "mypy" uv run mypy
  step "layers" uv run lint-imports
}

finish() {
  printf '\n== Timings (%d s in all)\n' "$SECONDS"
  printf '%s\n' "${timings[@]}"
  if ((${#failed[@]} > 0)); then
    printf '\n== Failed\n'
    printf '%s\n' "${failed[@]}"
    exit 1
  fi
  printf '\n== All passed\n'
}
