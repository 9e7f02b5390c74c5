#!/usr/bin/env bash
# One dead peer in the middle of a sendmmsg() stops the datagram behind it, without an error anywhere.
#
# Guess: on an unconnected UDP socket with IP_RECVERR, where one of several destinations refuses (ICMP port unreachable), sendmmsg()
# either sends all messages and reports the refusal later, or returns the error of the message that failed.
# Seen on loopback: the datagram to the dead peer counts as sent. The ICMP error that it raises ends the call at the NEXT message,
# whose peer is healthy: the count is short, errno is not set since something was sent, and SO_ERROR reads 0 afterwards, since the short
# call has consumed it. The report is on the error queue (MSG_ERRQUEUE) alone. Calling again for the rest sends it.
# A relay that takes a short count for "this message cannot be sent" drops the traffic of a healthy peer for each dead one.
set -euo pipefail
uname -sr
python3 - <<'P'
import ctypes, os, socket, sys

libc = ctypes.CDLL(None, use_errno=True)

class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]

class msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(iovec)), ("iovlen", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]

class mmsghdr(ctypes.Structure):
    _fields_ = [("hdr", msghdr), ("len", ctypes.c_uint)]

def address(port):
    return ctypes.create_string_buffer(socket.AF_INET.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8), 16)

def receiver():
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    peer.setblocking(False)
    return peer

def count(peer):
    arrived = 0
    while True:
        try:
            peer.recv(100)
            arrived += 1
        except BlockingIOError:
            return arrived

first, last = receiver(), receiver()
gone = receiver()
dead = gone.getsockname()[1]
gone.close()
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind(("127.0.0.1", 0))
IP_RECVERR, MSG_ERRQUEUE = 11, 0x2000
sender.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
data = ctypes.create_string_buffer(b"word", 4)
names = [address(port) for port in (first.getsockname()[1], dead, last.getsockname()[1])]
vectors = [iovec(ctypes.cast(data, ctypes.c_void_p), 4) for _ in names]
messages = (mmsghdr * 3)()
for message, name, vector in zip(messages, names, vectors):
    message.hdr.name, message.hdr.namelen = ctypes.cast(name, ctypes.c_void_p), 16
    message.hdr.iov, message.hdr.iovlen = ctypes.pointer(vector), 1
ctypes.set_errno(0)
sent = libc.sendmmsg(sender.fileno(), messages, 3, 0)
errno = ctypes.get_errno()
so_error = sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
try:
    sender.recvmsg(100, 512, MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    queued = True
except OSError:
    queued = False
arrived = count(first), count(last)
print(f"three messages, the second to a dead port: sendmmsg returned {sent}, errno {errno}, SO_ERROR {so_error}, report on the error queue: {queued}")
print(f"arrived at the first peer {arrived[0]}, at the third {arrived[1]}")
rest = (mmsghdr * 1)(messages[2])
again = libc.sendmmsg(sender.fileno(), rest, 1, 0)
arrived_again = count(last)
print(f"the third once more: returned {again}, arrived {arrived_again}")
is_so = (sent, errno, so_error, queued, arrived, again, arrived_again) == (2, 0, 0, True, (1, 0), 1, 1)
print("as described" if is_so else "CHANGED")
sys.exit(0 if is_so else 1)
P
