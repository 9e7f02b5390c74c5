#!/usr/bin/env bash
# A UDP train (UDP_SEGMENT) that worked is refused once the kernel learns a smaller path MTU, although single datagrams are fragmented.
#
# Guess: with DF off (IP_MTU_DISCOVER = IP_PMTUDISC_DONT) a train of datagrams that are larger than the path MTU is fragmented like the
# single datagrams are, since UDP_SEGMENT is said to be the same as as many calls of send().
# Seen: before the kernel knows the path MTU, the train goes out and a router on the way fragments its datagrams: all arrive. Once another
# socket of the host has made the kernel learn the MTU, send() of one such datagram still arrives, in fragments, and the same bytes as a
# train are refused with EMSGSIZE: none of them is sent. So a relay or QUIC server that merges what it sends must take a refused train
# apart, also with DF off, and a test over a fresh path does not show it.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root for network namespaces"; exit 2; }
id=f$$
end() { for name in a r b; do ip netns del "$id$name" 2>/dev/null || true; done; }
trap end EXIT
for name in a r b; do ip netns add "$id$name"; ip -n "$id$name" link set lo up; done
ip -n "${id}a" link add left type veth peer name toa netns "${id}r"
ip -n "${id}b" link add right type veth peer name tob netns "${id}r"
ip -n "${id}a" address add 192.0.2.2/24 dev left; ip -n "${id}r" address add 192.0.2.1/24 dev toa
ip -n "${id}b" address add 198.51.100.2/24 dev right; ip -n "${id}r" address add 198.51.100.1/24 dev tob
for pair in "a left" "r toa" "r tob" "b right"; do set -- $pair; ip -n "$id$1" link set "$2" up; done
for pair in "r tob" "b right"; do set -- $pair; ip -n "$id$1" link set "$2" mtu 1280; done
ip netns exec "${id}r" sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
ip -n "${id}a" route add default via 192.0.2.1; ip -n "${id}b" route add default via 198.51.100.1
uname -sr
ip netns exec "${id}a" python3 - "${id}b" <<'P'
import errno, os, socket, struct, subprocess, sys, time

IP_MTU_DISCOVER, DONT, WANT, UDP_SEGMENT = 10, 0, 1, 103
SIZE, COUNT = 1400, 4
receiver = subprocess.Popen(
    ["ip", "netns", "exec", sys.argv[1], sys.executable, "-c", """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("198.51.100.2", 7000)); print("ready", flush=True)
while True:
    data, sender = s.recvfrom(65536)
    s.sendto(struct.pack("!H", len(data)) + data[:1], sender)
""".replace("import socket", "import socket, struct")], stdout=subprocess.PIPE)
receiver.stdout.readline()
try:
    def outcome(mark, discover, train):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, discover)
        sender.connect(("198.51.100.2", 7000))
        sender.settimeout(0.5)
        data = mark * SIZE
        told = "sent"
        try:
            if train:
                sender.sendmsg([data * COUNT], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", SIZE))])
            else:
                for _ in range(COUNT):
                    sender.send(data)
        except OSError as error:
            told = errno.errorcode[error.errno]
        arrived = 0
        while True:
            try:
                answer = sender.recv(100)
            except TimeoutError:
                break
            except OSError:
                continue
            arrived += answer == struct.pack("!H", SIZE) + mark
        sender.close()
        return told, arrived

    unknown = outcome(b"u", DONT, True)
    learn = outcome(b"l", WANT, False)
    single = outcome(b"s", DONT, False)
    train = outcome(b"t", DONT, True)
finally:
    receiver.terminate(); receiver.wait()
print(f"{COUNT} datagrams of {SIZE} bytes, DF off, over a path of 1280")
print(f"  train before the path MTU is known: {unknown[0]}, {unknown[1]} arrived")
print(f"  (single with DF, until the kernel has learned it: {learn[0]}, {learn[1]} arrived)")
print(f"  single datagrams: {single[0]}, {single[1]} arrived")
print(f"  train: {train[0]}, {train[1]} arrived")
good = unknown == ("sent", COUNT) and single == ("sent", COUNT) and train == ("EMSGSIZE", 0)
print("as described" if good else "CHANGED")
sys.exit(0 if good else 1)
P
