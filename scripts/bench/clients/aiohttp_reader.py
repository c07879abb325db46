"""aiohttp with JSON of each chunk as it comes: what `vllm bench serve` does.

python aiohttp_reader.py URL STREAMS TOKENS SECONDS [uvloop]
"""

import asyncio
import json
import sys
import time

import aiohttp
from load import PROMPT, STREAMS, URL, closed_loop, tokens_of


async def main():
    connector = aiohttp.TCPConnector(limit=STREAMS, limit_per_host=STREAMS)
    timeout = aiohttp.ClientTimeout(total=6 * 3600)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def send(n):
            body = {
                "model": "golden",
                "prompt": PROMPT,
                "max_tokens": tokens_of(n),
                "temperature": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
            start = latest = time.perf_counter()
            ttft, gaps, text, rest = 0.0, [], "", ""
            headers = {"x-request-id": str(n)}
            async with session.post(f"{URL}/v1/completions", json=body, headers=headers) as answer:
                answer.raise_for_status()
                async for piece in answer.content.iter_any():
                    *events, rest = (rest + piece.decode()).split("\n\n")
                    for event in events:
                        data = event.removeprefix("data: ")
                        if data == "[DONE]":
                            continue
                        choices = json.loads(data)["choices"]
                        if not choices:
                            continue
                        now = time.perf_counter()
                        if ttft == 0.0:
                            ttft = now - start
                        else:
                            gaps.append(now - latest)
                        latest = now
                        text += choices[0]["text"]
            return ttft, len(gaps) + 1

        await closed_loop(send)


if sys.argv[5:] == ["uvloop"]:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
