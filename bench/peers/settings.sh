# Where the peers are installed, and how PostgreSQL is run there: read by install and serve.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
as_postgres=()
if [ "$(id -u)" = 0 ]; then  # PostgreSQL refuses root
  where=${ACME_PEERS:-/var/lib/acme/peers}
  as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)
else
  where=${ACME_PEERS:-$HOME/.cache/acme/peers}
fi
postgres=/usr/lib/postgresql/15/bin

fail() { echo "$*" >&2; exit 1; }

# choose PEER: its directory and ports.
choose() {
  case $1 in
    vendure) port=31100 ;;
    medusa) port=31110 ;;
    *) fail "There are two peers: vendure and medusa." ;;
  esac
  peer=$1 directory=$where/$1 data=$where/$1-data
  export PORT=$port PGHOST=127.0.0.1 PGPORT=$((port + 2)) PGUSER=bench PGDATABASE=$peer
  export NODE_ENV=production SUPERADMIN_USERNAME=boss SUPERADMIN_PASSWORD=bench-only JWT_SECRET=bench-only \
    COOKIE_SECRET=bench-only DATABASE_URL=postgres://bench@127.0.0.1:$((port + 2))/$peer \
    REDIS_URL=redis://127.0.0.1:$((port + 3)) CATALOG=$where/client/catalog.js SEED_OUT=$directory/seed.json \
    MEDUSA_DISABLE_TELEMETRY=true
}

children=()
end_children() {
  trap - EXIT INT TERM
  for ((i = ${#children[@]} - 1; i >= 0; --i)); do kill -INT "${children[i]}" 2>/dev/null || true; done
  wait
}
trap end_children EXIT
trap 'exit 1' INT TERM

# PostgreSQL with its own settings, but for memory and connections; fsync and synchronous_commit stay on.
start_postgres() {
  (cd / && exec "${as_postgres[@]}" "$postgres/postgres" -D "$data" -p "$PGPORT" -k "$data" -h 127.0.0.1 -c shared_buffers=256MB -c max_connections=200) &
  children+=($!)
  for ((i = 0; i < 300; ++i)); do
    "$postgres/pg_isready" -q -h 127.0.0.1 -p "$PGPORT" && return
    sleep 0.1
  done
  fail "PostgreSQL does not start in $data."
}
start_redis() {
  redis-server --port $((port + 3)) --bind 127.0.0.1 --save '' --appendonly no --maxmemory-policy noeviction >/dev/null &
  children+=($!)
}
