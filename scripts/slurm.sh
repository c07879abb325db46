#!/usr/bin/env bash
# A real Slurm on one machine: munge, slurmctld and two slurmd, from Debian's packages.
#
#   scripts/slurm.sh up DIR       installs what is missing (root), starts all in DIR, prints how to use it
#   scripts/slurm.sh down DIR     ends what `up` has started there, and only that
#
# Everything lives in DIR: keys, sockets, logs, state. Nothing of the machine's own Slurm or munge is
# read or changed. Afterwards:
#
#   export SLURM_CONF=DIR/slurm.conf
#   sinfo; sbatch …; squeue
set -euo pipefail

usage() {
  sed -n '2,13s/^# \{0,1\}//p' "$0"
  exit 2
}
[[ $# -eq 2 ]] || usage
mkdir -p "$2"
dir=$(cd "$2" && pwd)
nodes=2
# Slots a node offers, whatever the machine has: this is about Slurm, not about speed.
cpus=8
first_port=17817

install() {
  local missing=() denied=/usr/sbin/policy-rc.d made=no
  command -v munged >/dev/null || missing+=(munge)
  command -v slurmctld >/dev/null || missing+=(slurmctld)
  command -v slurmd >/dev/null || missing+=(slurmd)
  command -v sbatch >/dev/null || missing+=(slurm-client)
  ((${#missing[@]} > 0)) || return 0
  # The packages would start daemons of the machine: they are not wanted.
  if [[ ! -e $denied ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$denied"
    chmod 755 "$denied"
    made=yes
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >"$dir/apt.log"
  if [[ $made == yes ]]; then rm -f "$denied"; fi
}

# start NAME COMMAND… — in a session of its own, with its pid in DIR/NAME.pid.
start() {
  local name=$1
  shift
  setsid "$@" >"$dir/$name.log" 2>&1 </dev/null &
  echo $! >"$dir/$name.pid"
}

configure() {
  head -c 1024 /dev/urandom >"$dir/munge.key"
  chmod 600 "$dir/munge.key"
  # munged wants to be found by everybody, and its files by nobody.
  chmod 711 "$dir"
  mkdir -p "$dir/state"
  local host
  host=$(hostname -s)
  cat >"$dir/slurm.conf" <<EOF
ClusterName=kvmark
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$first_port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CryptoType=crypto/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/slurmctld.own.pid
SlurmdPidFile=$dir/slurmd-%n.own.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=3600
SchedulerParameters=sched_interval=2,sched_min_interval=500000
NodeName=kv[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=$((first_port + 1))-$((first_port + nodes)) CPUs=$cpus State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
}

up() {
  [[ ! -e $dir/slurmctld.pid ]] || { echo "$dir is in use: run $0 down $dir" >&2; exit 1; }
  install
  configure
  export SLURM_CONF=$dir/slurm.conf
  start munged munged --foreground --num-threads=2 --key-file="$dir/munge.key" \
    --socket="$dir/munge.socket" --pid-file="$dir/munged.own.pid" --log-file="$dir/munged.own.log" \
    --seed-file="$dir/munged.seed"
  for _ in $(seq 50); do [[ -S $dir/munge.socket ]] && break; sleep 0.1; done
  start slurmctld slurmctld -D -c
  for ((n = 1; n <= nodes; n++)); do start "slurmd-kv$n" slurmd -D -N "kv$n"; done
  for _ in $(seq 100); do
    if [[ $(sinfo -h -N -o %t 2>/dev/null | grep -c '^idle$') -eq $nodes ]]; then
      sinfo
      echo "export SLURM_CONF=$dir/slurm.conf"
      return
    fi
    sleep 0.3
  done
  echo "Slurm does not come up; see $dir/*.log" >&2
  tail -n 5 "$dir"/*.log >&2
  down
  exit 1
}

down() {
  local name pid
  for name in slurmd-kv1 slurmd-kv2 slurmctld munged; do
    [[ -e $dir/$name.pid ]] || continue
    pid=$(<"$dir/$name.pid")
    # A pid may have been given to another program by now.
    if [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "${name%%-*}" ]]; then
      kill "$pid"
      for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
      kill -9 "$pid" 2>/dev/null || true
    fi
    rm -f "$dir/$name.pid"
  done
}

case $1 in
  up) up ;;
  down) down ;;
  *) usage ;;
esac
