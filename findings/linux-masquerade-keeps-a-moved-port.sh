#!/usr/bin/env bash
# Linux masquerade moves a port when another host has it, and keeps it moved towards destinations where it is free.
#
# Guess: source NAT without a port range keeps a socket's port; where another host already uses that port towards the same destination, this
# one flow gets another port. Towards every other destination, where nothing collides, the socket keeps its own.
# Seen: that depends on the order. A socket that was first to some destination with its own port keeps it there, and where it collides later it
# gets another one for that destination. But then, and also if the first destination collides, every LATER destination sees the moved port,
# although its own is free there: the kernel reuses the last translation of the same source for a new flow (find_appropriate_src in
# nf_nat_core.c) before it thinks of keeping the port. So a NAT that looks endpoint-independent and port-preserving to one host alone is
# neither: a peer that was told the address of before the collision sends to a port that is another host's.
# Two hosts behind one NAT, both with source port 5000, three destinations A, B and C. Everything happens in namespaces of this script's own.
set -euo pipefail
uname -sr
mark=mq$$
spaces=(nat out one two)
clean() {
    for space in "${spaces[@]}"; do ip netns del "$mark-$space" 2>/dev/null || true; done
}
trap clean EXIT
for space in "${spaces[@]}"; do
    ip netns add "$mark-$space"
    ip -n "$mark-$space" link set lo up
done
connect() { # one namespace, its device, its address; the other, its device, its address
    ip -n "$mark-$1" link add "$2" type veth peer name "$5" netns "$mark-$4"
    ip -n "$mark-$1" addr add "$3" dev "$2"
    ip -n "$mark-$4" addr add "$6" dev "$5"
    ip -n "$mark-$1" link set "$2" up
    ip -n "$mark-$4" link set "$5" up
}
connect nat wan 203.0.113.1/24 out eth0 203.0.113.10/24
connect nat lan1 10.0.1.1/24 one eth0 10.0.1.2/24
connect nat lan2 10.0.2.1/24 two eth0 10.0.2.2/24
ip -n "$mark-out" addr add 203.0.113.11/24 dev eth0
ip -n "$mark-out" addr add 203.0.113.12/24 dev eth0
ip -n "$mark-one" route add default via 10.0.1.1
ip -n "$mark-two" route add default via 10.0.2.1
ip netns exec "$mark-nat" sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
ip netns exec "$mark-nat" nft -f - <<'N'
table ip nat {
  chain post { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
}
N

# Receives at A, B and C and writes what port each datagram came from.
ip netns exec "$mark-out" python3 -u - > "/tmp/$mark.seen" <<'P' &
import select, socket
sockets = {}
for name, address in (("A", "203.0.113.10"), ("B", "203.0.113.11"), ("C", "203.0.113.12")):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 7000))
    sockets[s] = name
print("ready")
for _ in range(200):
    ready, _, _ = select.select(list(sockets), [], [], 20)
    if not ready:
        break
    for s in ready:
        data, (_, port) = s.recvfrom(100)
        print(data.decode(), sockets[s], port)
P
receiver=$!
trap 'kill "$receiver" 2>/dev/null || true; clean; rm -f "/tmp/$mark.seen"' EXIT
for _ in $(seq 50); do grep -q ready "/tmp/$mark.seen" && break; sleep 0.1; done

send() { # a host, its source port, what it says, destinations in their order
    ip netns exec "$mark-$1" python3 - "$2" "$3" "${@:4}" <<'P'
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[1])))
for to in sys.argv[3:]:
    s.sendto(sys.argv[2].encode(), ({"A": "203.0.113.10", "B": "203.0.113.11", "C": "203.0.113.12"}[to], 7000))
    time.sleep(0.1)
P
}
seen() { awk -v who="$1" -v at="$2" '$1 == who && $2 == at { print $3; exit }' "/tmp/$mark.seen"; }

# Port 5000: the other host holds it towards A, where this one begins.
send one 5000 other A
send two 5000 first A B C
# Port 6000: the other host holds it towards B, where this one comes second.
send one 6000 other B
send two 6000 later A B C
sleep 0.3
for who in first later; do echo "$who: A sees $(seen $who A), B sees $(seen $who B), C sees $(seen $who C)"; done
is_so=yes
[ "$(seen first A)" != 5000 ] && [ "$(seen first B)" = "$(seen first A)" ] && [ "$(seen first C)" = "$(seen first A)" ] || is_so=no
[ "$(seen later A)" = 6000 ] && [ "$(seen later B)" != 6000 ] && [ "$(seen later C)" = "$(seen later B)" ] || is_so=no
if [ "$is_so" = yes ]; then echo "as described"; else echo CHANGED; exit 1; fi
