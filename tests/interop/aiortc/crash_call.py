"""Two WebRTC endpoints that may use relayed candidates only, and a data channel between them that goes on while their relay crashes, or for
as long as the test wants.

Writes "up" when messages pass, and reads a line when the relay is back, or enough time has passed. Then prints one line of JSON: what passed before and after, in
how long the first message after the crash came back, and the pairs of candidates before and after. The password comes from the
environment (TURN_PASSWORD).
"""

import argparse
import asyncio
import json
import os
import sys
import time

from endpoint import endpoint, selected_pair

# Messages a second: so that some are under way when the relay dies.
PACE = 50


async def connect(caller, callee):
    """The caller's data channel, open; whatever the callee gets it sends back."""
    channel = caller.createDataChannel("crash")
    opened = asyncio.Event()
    channel.on("open", opened.set)
    callee.on("datachannel", lambda theirs: theirs.on("message", theirs.send))
    await caller.setLocalDescription(await caller.createOffer())
    await callee.setRemoteDescription(caller.localDescription)
    await callee.setLocalDescription(await callee.createAnswer())
    await caller.setRemoteDescription(callee.localDescription)
    await opened.wait()
    return channel


class Ticker:
    """Numbers, sent at a steady pace, and when each came back."""

    def __init__(self, channel):
        self.channel, self.sent, self.came = channel, [], []
        channel.on("message", lambda text: self.came.append((int(text), time.monotonic())))

    async def run(self):
        while True:
            self.channel.send(str(len(self.sent)))
            self.sent.append(time.monotonic())
            await asyncio.sleep(1 / PACE)

    async def until(self, number):
        """Until this number is back."""
        while len(self.came) <= number:
            await asyncio.sleep(0.005)

    def in_order(self):
        return [number for number, _ in self.came] == list(range(len(self.came)))


async def call(arguments):
    url = f"turn:{arguments.server}?transport=udp"
    caller, callee = (endpoint(url, arguments.user, os.environ["TURN_PASSWORD"]) for _ in range(2))
    states = []
    try:
        channel = await connect(caller, callee)
        caller.on("connectionstatechange", lambda: states.append(caller.connectionState))
        ticker = Ticker(channel)
        task = asyncio.create_task(ticker.run())
        await ticker.until(arguments.messages)
        pairs = [selected_pair(caller), selected_pair(callee)]
        print("up", flush=True)
        # It goes on sending meanwhile.
        await asyncio.to_thread(sys.stdin.readline)
        back, next_number = time.monotonic(), len(ticker.sent)
        await ticker.until(next_number + arguments.messages)
        task.cancel()
        return {
            "in_order": ticker.in_order(),
            "back": len(ticker.came),
            "sent": len(ticker.sent),
            "gap_seconds": max(later - sooner for (_, sooner), (_, later) in zip(ticker.came, ticker.came[1:])),
            "after_seconds": dict(ticker.came)[next_number] - back,
            "states": list(states),
            "channel": channel.readyState,
            "same_pairs": pairs == [selected_pair(caller), selected_pair(callee)],
            "types": sorted({side["type"] for pair in pairs for side in pair.values()}),
        }
    finally:
        await caller.close()
        await callee.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="HOST:PORT")
    parser.add_argument("--user", required=True)
    parser.add_argument("--messages", type=int, default=50)
    parser.add_argument("--timeout", type=float, default=50)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(asyncio.wait_for(call(arguments), arguments.timeout))))


if __name__ == "__main__":
    main()
