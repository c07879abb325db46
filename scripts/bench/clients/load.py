"""What the Python clients of the benchmark share; `load.ts` in Python."""

import asyncio
import json
import sys
import time

URL, STREAMS, TOKENS, SECONDS = sys.argv[1], *map(int, sys.argv[2:5])
PROMPT = "time year people way day man thing"


def tokens_of(n):
    spread = int(TOKENS * 0.4)
    return TOKENS - spread + (n * 7919) % (2 * spread + 1)


async def closed_loop(send):
    """Runs `send(n)` in STREAMS slots and prints what it returned: (ttft in seconds, chunks)."""
    end = time.perf_counter() + SECONDS
    done, numbers = [], iter(range(10**9))

    async def slot():
        while time.perf_counter() < end:
            n = next(numbers)
            ttft, chunks = await send(n)
            done.append({"id": str(n), "ttftMs": ttft * 1000, "chunks": chunks})

    await asyncio.gather(*(slot() for _ in range(STREAMS)))
    print(json.dumps(done))
