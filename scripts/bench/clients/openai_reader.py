"""The openai package, which is httpx and pydantic: what the Python suite and guidellm do.

python openai_reader.py URL STREAMS TOKENS SECONDS
"""

import asyncio
import time

import httpx
import openai
from load import PROMPT, STREAMS, URL, closed_loop, tokens_of


async def main():
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=STREAMS)
    http = openai.DefaultAsyncHttpxClient(limits=limits)
    client = openai.AsyncOpenAI(
        base_url=f"{URL}/v1", api_key="none", max_retries=0, http_client=http
    )

    async def send(n):
        start = time.perf_counter()
        first, chunks = None, 0
        stream = await client.completions.create(
            model="golden",
            prompt=PROMPT,
            max_tokens=tokens_of(n),
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers={"x-request-id": str(n)},
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].text:
                now = time.perf_counter()
                first = first or now
                chunks += 1
        return first - start, chunks

    await closed_loop(send)


asyncio.run(main())
