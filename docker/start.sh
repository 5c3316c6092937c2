#!/bin/sh
# The image's entrypoint: gives root away where the volume allows it, then starts what was asked for.
#   banter-start                     the server
#   banter-start --replier echo      the server, with flags
#   banter-start banter doctor       any other command of the image
# As root it becomes the owner of the volume, or `banter` where the volume is empty or `banter` can
# write to it. It stays root where only root can write: a volume that somebody filled as root.
set -eu

# Renters of machines start this from shells of their own, without the image's environment.
export PATH="/opt/banter/bin:/opt/app/bin:$PATH"
volume=${BANTER_VOLUME:-/data}

# Newer cards compile some kernels when they first need them; the volume remembers the result.
export CUDA_CACHE_PATH="${CUDA_CACHE_PATH:-$volume/cache/cuda}"

if [ $# -eq 0 ]; then set -- banter; fi
case $1 in -*) set -- banter "$@" ;; esac

group_of() { id -g "$1" 2>/dev/null || echo "$1"; }

as() {
  user=$1
  shift
  setpriv --reuid "$user" --regid "$(group_of "$user")" --clear-groups -- "$@"
}

# What a server has to write to: the volume, and its models where they are there.
writable() {
  for path in "$volume" "$volume/models"; do
    if [ -e "$path" ] && ! "$@" test -w "$path"; then return 1; fi
  done
}

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$volume" 2>/dev/null || true
  owner=$(stat -c %u "$volume" 2>/dev/null || echo 0)
  if [ "$owner" = 0 ]; then
    owner=$(id -u banter)
    # A new disk is not quite empty: ext4 has its lost+found.
    if [ -z "$(find "$volume" -mindepth 1 -maxdepth 1 ! -name lost+found 2>/dev/null | head -n 1)" ]; then
      chown banter: "$volume" 2>/dev/null || true
    fi
  fi
  # Where root cannot write either, the volume is read-only, and nothing is gained by staying root.
  if writable as "$owner" || ! writable env; then
    export HOME=/tmp
    exec setpriv --reuid "$owner" --regid "$(group_of "$owner")" --clear-groups -- "$@"
  fi
  echo "banter-start: only root can write to $volume: running as root (chown -R banter $volume to change that)" >&2
fi
# A user without a home of its own, as `docker run --user` makes one; libraries want a place for caches.
if [ ! -w "${HOME:-/}" ]; then export HOME=/tmp; fi
exec "$@"
