#!/usr/bin/env bash
# aioice (and so aiortc) never sends CreatePermission, and renews a channel only after 500 seconds.
#
# Guess: a TURN client that relays through a channel renews the permission under it at least every five minutes, since RFC 8656 section 9
# lets a permission live for 300 seconds and section 12 says that a ChannelBind renews it.
# Seen: one ChannelBind at the first packet, then nothing but data for more than five minutes; the next would come after 500 s, and
# there is no CreatePermission at all. The permission that its own ChannelBind made has ended 200 s before that. At a server that keeps to
# the letter an aiortc call goes silent after 300 s; pion's and coturn's servers forward on a live channel without asking for the
# permission, so the fault is hidden there. A server that wants aiortc's calls to live must keep the permission with the channel.
#
# Takes five and a half minutes. The server is pion's; a forwarder between the two counts the requests.
set -euo pipefail
folder=$(mktemp -d)
server=
end() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  chmod -R u+w "$folder"
  rm -rf "$folder"
}
trap end EXIT
export GOPATH="$folder/go" GOCACHE="$folder/cache" GOFLAGS=-modcacherw
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet aioice==0.13.0
mkdir "$folder/server"
cat >"$folder/server/main.go" <<'G'
package main

import (
	"fmt"
	"net"
	"time"

	"github.com/pion/turn/v4"
)

func main() {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	_, err = turn.NewServer(turn.ServerConfig{
		Realm:       "example.org",
		AuthHandler: func(user, realm string, _ net.Addr) ([]byte, bool) { return turn.GenerateAuthKey(user, realm, "word"), true },
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn:            conn,
			RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP("127.0.0.1"), Address: "127.0.0.1"},
		}},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(conn.LocalAddr().(*net.UDPAddr).Port)
	time.Sleep(10 * time.Minute)
}
G
(cd "$folder/server" && go mod init server >/dev/null 2>&1 && go get github.com/pion/turn/v4@v4.1.3 >/dev/null 2>&1 && go mod tidy >/dev/null 2>&1 && go build -o server .)
echo "aioice $("$folder/venv/bin/python" -c 'import aioice; print(aioice.__version__)'), pion/turn v4.1.3"
"$folder/server/server" >"$folder/port" &
server=$!
for _ in $(seq 100); do [ -s "$folder/port" ] && break; sleep 0.1; done
"$folder/venv/bin/python" - "$(cat "$folder/port")" <<'P'
import asyncio, collections, sys, time
from aioice import turn

METHODS = {0x0003: "Allocate", 0x0004: "Refresh", 0x0008: "CreatePermission", 0x0009: "ChannelBind", 0x0016: "Send indication"}
SECONDS = 320

class Forwarder(asyncio.DatagramProtocol):
    """Between client and server: passes everything on and notes each request with its time."""
    def __init__(self, server):
        self.server, self.client, self.seen, self.data, self.start = server, None, collections.defaultdict(list), 0, time.monotonic()
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, source):
        if source == self.server:
            self.transport.sendto(data, self.client)
            return
        self.client = source
        kind = int.from_bytes(data[:2], "big")
        if kind in METHODS:
            self.seen[METHODS[kind]].append(round(time.monotonic() - self.start))
        elif kind >= 0x4000:
            self.data += 1
        self.transport.sendto(data, self.server)

class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, source):
        self.transport.sendto(data, source)

class Client(asyncio.DatagramProtocol):
    echoes, last = 0, 0.0
    def datagram_received(self, data, source):
        self.echoes += 1
        self.last = time.monotonic()

async def main():
    loop = asyncio.get_running_loop()
    server = ("127.0.0.1", int(sys.argv[1]))
    relay, forwarder = await loop.create_datagram_endpoint(lambda: Forwarder(server), local_addr=("127.0.0.1", 0))
    echo, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    transport, client = await turn.create_turn_endpoint(Client, server_addr=relay.get_extra_info("sockname"), username="user", password="word")
    start = time.monotonic()
    while time.monotonic() - start < SECONDS:
        transport.sendto(b"word", echo.get_extra_info("sockname"))
        await asyncio.sleep(1)
    seen = dict(forwarder.seen)
    last = round(client.last - start)
    print(f"in {SECONDS} s: requests by second {seen}; ChannelData sent {forwarder.data}, echoes {client.echoes}, the last at {last} s")
    is_so = len(seen.get("ChannelBind", [])) == 1 and "CreatePermission" not in seen and forwarder.data > 300 and last > 310
    print("as described" if is_so else "CHANGED")
    transport.close()
    await asyncio.sleep(1)
    sys.exit(0 if is_so else 1)

asyncio.run(main())
P
