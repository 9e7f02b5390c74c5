#!/usr/bin/env bash
# A werift call over TURN ends at the first Refresh that meets a stale nonce.
#
# Guess: every TURN client answers 438 (Stale Nonce) by the same request with the nonce that the 438 brings (RFC 8489 section 9.2.5), so
# a server may change its nonces as often as it likes.
# Seen: werift repeats its Refresh with the old nonce, again and again, until the allocation runs out; then messages stop. The only
# difference to the run that lives is coturn's --stale-nonce. So a server whose users have werift (or coturn's default of ten minutes)
# needs nonces that live as long as the calls do; the lifetime of the allocation is made short here only to see it sooner.
#
# Takes two and a half minutes.
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
npm install --silent --no-audit --no-fund --prefix "$folder/node" werift@0.24.4 >/dev/null
echo "werift 0.24.4, node $(node --version), coturn $("$folder/root/usr/bin/turnserver" --version 2>/dev/null | head -1)"
cat >"$folder/node/call.mjs" <<'J'
import { RTCPeerConnection } from "werift";

const [port, seconds] = process.argv.slice(2).map(Number);
const endpoint = () => new RTCPeerConnection({
  iceServers: [{ urls: `turn:127.0.0.1:${port}`, username: "alice", credential: "secret" }],
  iceTransportPolicy: "relay",
});
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const described = async (connection, description) => {
  await connection.setLocalDescription(description);
  while (connection.iceGatheringState !== "complete") await sleep(20);
  return connection.localDescription;
};
const [caller, callee] = [endpoint(), endpoint()];
callee.onDataChannel.subscribe((theirs) => theirs.onMessage.subscribe((message) => theirs.send(message)));
const channel = caller.createDataChannel("call");
let last = 0;
const start = performance.now();
channel.onMessage.subscribe(() => (last = (performance.now() - start) / 1000));
await callee.setRemoteDescription(await described(caller, await caller.createOffer()));
await caller.setRemoteDescription(await described(callee, await callee.createAnswer()));
while (performance.now() - start < seconds * 1000) {
  if (channel.readyState === "open") channel.send(Buffer.from("x"));
  await sleep(200);
}
process.stdout.write(`${Math.round(last)}\n`);
process.exit(0);
J
call() { # the name of the run, coturn's further options; prints the second of the last echo
  local port=$((20000 + RANDOM % 10000))
  "$folder/root/usr/bin/turnserver" -n --listening-ip 127.0.0.1 --relay-ip 127.0.0.1 -p "$port" --realm example.org --user alice:secret \
    --lt-cred-mech --no-cli --no-tls --no-dtls --allow-loopback-peers --max-allocate-lifetime=60 --channel-lifetime=600 \
    --permission-lifetime=600 --pidfile "$folder/pid" --userdb "$folder/db" --log-file stdout "${@:2}" >"$folder/$1.log" 2>&1 &
  server=$!
  sleep 2
  (cd "$folder/node" && node call.mjs "$port" 75)
  kill "$server"; wait "$server" 2>/dev/null || true; server=
}
lives=$(call long --stale-nonce=3600)
ends=$(call short --stale-nonce=30)
echo "a call of 75 s, allocations of 60 s: last echo after $lives s with nonces that live an hour, after $ends s with nonces of 30 s"
[ "$lives" -ge 73 ] && [ "$ends" -le 70 ] && [ "$ends" -ge 30 ] && echo "as described" || { echo "CHANGED"; exit 1; }
