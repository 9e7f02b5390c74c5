#!/usr/bin/env bash
# libjuice (and so libdatachannel) refreshes its TURN allocation by a clock of its own, whatever LIFETIME the server grants.
#
# Guess: a TURN client refreshes well before the granted LIFETIME ends (RFC 8656 section 7), so a server with scarce ports may grant a
# minute and the call goes on.
# Seen: no Refresh is sent in the granted 60 s, and both allocations of a running call time out at the server; the next Refresh is due nine
# minutes after the choice of a pair, which is right only for the 600 s that libjuice asks for. A call that needs the relay ends there
# (here, on one host, the endpoints find a direct path, so the server's log is what is looked at). A server must not grant less than
# 600 s to clients that may be libjuice.
#
# Takes a minute and a half.
set -euo pipefail
folder=$(mktemp -d); server=
end() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap end EXIT
mkdir -p "$folder/packages/partial" "$folder/root" "$folder/node"
apt-get -qq -o Dir::Cache::archives="$folder/packages" install --yes --reinstall --download-only coturn=4.6.1-1 >"$folder/apt" 2>&1 ||
  { cat "$folder/apt"; exit 2; }
for package in "$folder"/packages/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
export LD_LIBRARY_PATH="$folder/root/usr/lib/x86_64-linux-gnu:$folder/root/usr/lib/aarch64-linux-gnu"
npm install --silent --no-audit --no-fund --prefix "$folder/node" node-datachannel@0.33.4 >/dev/null
echo "node-datachannel 0.33.4, node $(node --version), coturn $("$folder/root/usr/bin/turnserver" --version 2>/dev/null | head -1)"
cat >"$folder/node/call.mjs" <<'J'
import { RTCPeerConnection } from "node-datachannel/polyfill";

const [port, seconds] = process.argv.slice(2).map(Number);
const endpoint = () => new RTCPeerConnection({
  iceServers: [{ urls: `turn:127.0.0.1:${port}?transport=udp`, username: "alice", credential: "secret" }],
  iceTransportPolicy: "relay",
});
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const described = async (connection, description) => {
  await connection.setLocalDescription(description);
  while (connection.iceGatheringState !== "complete") await sleep(20);
  return connection.localDescription;
};
const [caller, callee] = [endpoint(), endpoint()];
callee.ondatachannel = ({ channel: theirs }) => (theirs.onmessage = ({ data }) => theirs.send(data));
const channel = caller.createDataChannel("call");
let last = 0;
const start = performance.now();
channel.onmessage = () => (last = (performance.now() - start) / 1000);
await callee.setRemoteDescription(await described(caller, await caller.createOffer()));
await caller.setRemoteDescription(await described(callee, await callee.createAnswer()));
while (performance.now() - start < seconds * 1000) {
  if (channel.readyState === "open") channel.send("x");
  await sleep(200);
}
process.stdout.write(`${Math.round(last)}\n`);
process.exit(0);
J
call() { # the name of the run, coturn's further options; prints the second of the last echo
  local port=$((20000 + RANDOM % 10000))
  "$folder/root/usr/bin/turnserver" -n --listening-ip 127.0.0.1 --relay-ip 127.0.0.1 -p "$port" --realm example.org --user alice:secret \
    --lt-cred-mech --no-cli --no-tls --no-dtls --allow-loopback-peers --channel-lifetime=600 \
    --permission-lifetime=600 --stale-nonce=3600 --pidfile "$folder/pid" --userdb "$folder/db" --log-file stdout --verbose "${@:2}" >"$folder/$1.log" 2>&1 &
  server=$!
  sleep 2
  (cd "$folder/node" && node call.mjs "$port" 75)
  kill "$server"; wait "$server" 2>/dev/null || true; server=
}
last=$(call short --max-allocate-lifetime=60)
granted=$(grep -c 'new, realm=<example.org>, username=<alice>, lifetime=60$' "$folder/short.log" || true)
asked=$(grep -ci 'incoming packet REFRESH' "$folder/short.log" || true)
timed_out=$(grep -c 'reason: allocation timeout' "$folder/short.log" || true)
echo "a call of 75 s (last echo after $last s): $granted allocations of 60 s granted, $asked requests to refresh them, $timed_out timed out"
[ "$last" -ge 60 ] && [ "$granted" = 2 ] && [ "$asked" = 0 ] && [ "$timed_out" = 2 ] && echo "as described" || { echo "CHANGED"; exit 1; }
