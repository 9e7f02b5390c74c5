"""Two WebRTC endpoints that may use relayed candidates only, and a data channel between them.

Prints one line of JSON: for each endpoint, the types and addresses of the pair of candidates it selected, and what it received.
The password comes from the environment (TURN_PASSWORD): arguments can be seen by everybody on the host.
"""

import argparse
import asyncio
import json
import os

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc.rtcconfiguration import RTCIceTransportPolicy


def endpoint(arguments):
    server = RTCIceServer(
        urls=f"turn:{arguments.server}?transport={arguments.transport}",
        username=arguments.user,
        credential=os.environ["TURN_PASSWORD"],
    )
    policy = RTCIceTransportPolicy.RELAY
    return RTCPeerConnection(RTCConfiguration(iceServers=[server], iceTransportPolicy=policy))


def selected_pair(connection):
    """The library shows the selected pair nowhere in its public interface."""
    ice = connection.sctp.transport.transport._connection
    (pair,) = ice._nominated.values()
    return {
        side: {"type": candidate.type, "address": f"{candidate.host}:{candidate.port}"}
        for side, candidate in (("local", pair.local_candidate), ("remote", pair.remote_candidate))
    }


def expect(channel, count):
    """Becomes the list of messages, when there are that many."""
    messages, done = [], asyncio.get_running_loop().create_future()

    def take(message):
        messages.append(message)
        if len(messages) == count:
            done.set_result(messages)

    channel.on("message", take)
    return done


async def call(arguments):
    caller, callee = endpoint(arguments), endpoint(arguments)
    try:
        ours = caller.createDataChannel("interop")
        opened, arrived = asyncio.Event(), asyncio.get_running_loop().create_future()
        ours.on("open", opened.set)
        # From the moment it is there: a message may follow at once.
        callee.on("datachannel", lambda channel: arrived.set_result((channel, expect(channel, arguments.messages))))
        answers = expect(ours, arguments.messages)

        await caller.setLocalDescription(await caller.createOffer())
        await callee.setRemoteDescription(caller.localDescription)
        await callee.setLocalDescription(await callee.createAnswer())
        await caller.setRemoteDescription(callee.localDescription)

        await opened.wait()
        sizes = [1 + (number * 37) % 1100 for number in range(arguments.messages)]
        for number, size in enumerate(sizes):
            ours.send(bytes([number % 256]) * size)
        theirs, questions = await arrived
        for message in await questions:
            theirs.send(message)
        sent = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
        return {
            "caller": {**selected_pair(caller), "intact": await answers == sent},
            "callee": {**selected_pair(callee), "intact": await questions == sent},
        }
    finally:
        await caller.close()
        await callee.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="HOST:PORT")
    parser.add_argument("--transport", choices=["udp", "tcp"], required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--timeout", type=float, default=30)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(asyncio.wait_for(call(arguments), arguments.timeout))))


if __name__ == "__main__":
    main()
