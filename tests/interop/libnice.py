"""Two agents of libnice that may use relayed candidates only, and a message between them.

Arguments: the server's address and port, the user and the password, and the name of libnice's relay type: UDP, TCP or TLS. Prints a line of
JSON: the candidates of the first agent, and what arrived at the second one.
"""

import ctypes
import json
import sys

import gi

gi.require_version("Nice", "0.1")
from gi.repository import GLib, Nice

ADDRESS, PORT, USER, PASSWORD, RELAY = sys.argv[1:6]
SECONDS = 30
# The call that hands received data over is left out of the bindings.
LIBRARY = ctypes.CDLL("libnice.so.10")
RECEIVE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)
KINDS = {Nice.CandidateType.HOST: "host", Nice.CandidateType.RELAYED: "relay"}


class Agent:
    def __init__(self, loop, controlling):
        self.loop = loop
        self.agent = Nice.Agent.new(loop.get_context(), Nice.Compatibility.RFC5245)
        self.agent.set_property("controlling-mode", controlling)
        self.agent.set_property("force-relay", True)
        self.agent.set_property("upnp", False)
        own = Nice.Address.new()
        own.set_from_string("127.0.0.1")
        self.agent.add_local_address(own)
        self.stream = self.agent.add_stream(1)
        self.agent.set_relay_info(self.stream, 1, ADDRESS, int(PORT), USER, PASSWORD, getattr(Nice.RelayType, RELAY))
        self.received = None
        self.is_ready = False
        self.callback = RECEIVE(self.receive)
        agent = ctypes.c_void_p(hash(self.agent))
        LIBRARY.nice_agent_attach_recv(agent, self.stream, 1, None, self.callback, None)
        self.agent.connect("component-state-changed", self.changed)

    def receive(self, _agent, _stream, _component, length, data, _user):
        self.received = ctypes.string_at(data, length).decode()
        self.loop.quit()

    def changed(self, _agent, _stream, _component, state):
        self.is_ready = self.is_ready or state == Nice.ComponentState.READY.real

    def candidates(self):
        return self.agent.get_local_candidates(self.stream, 1)

    def take(self, other):
        _, name, password = other.agent.get_local_credentials(other.stream)
        self.agent.set_remote_credentials(self.stream, name, password)
        self.agent.set_remote_candidates(self.stream, 1, other.candidates())


def main():
    loop = GLib.MainLoop()
    one, other = Agent(loop, True), Agent(loop, False)
    gathered = []

    def done(_agent, _stream):
        gathered.append(True)
        if len(gathered) == 2:
            one.take(other)
            other.take(one)

    for agent in (one, other):
        agent.agent.connect("candidate-gathering-done", done)
        agent.agent.gather_candidates(agent.stream)

    def speak():
        if one.is_ready and other.is_ready:
            one.agent.send(one.stream, 1, 5, "hello")
        return True

    GLib.timeout_add(100, speak)
    GLib.timeout_add_seconds(SECONDS, loop.quit)
    loop.run()
    kinds = [KINDS.get(candidate.type, "other") for candidate in one.candidates()]
    print(json.dumps({"candidates": kinds, "received": other.received}))


main()
