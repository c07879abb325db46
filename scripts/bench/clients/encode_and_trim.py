"""Encode-and-trim with Python's `tokenizers`, as scripts/bench/prompts.ts does it in JavaScript.

    python encode_and_trim.py TOKENIZER_JSON WORDS ROUNDS ROUND_MS SIZE...

Prints one JSON object: tokens a second of each round, by size.
"""

import json
import os
import random
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import Tokenizer  # noqa: E402 (reads the environment)


def build(tokenizer, words, tokens):
    text = " ".join(random.choices(words, k=int(tokens * 1.02) + 8))
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return tokenizer.decode(ids[:tokens], skip_special_tokens=True)


def rate(tokenizer, words, tokens, round_ms):
    start = time.perf_counter()
    built = 0
    while built == 0 or (time.perf_counter() - start) * 1000 < round_ms:
        build(tokenizer, words, tokens)
        built += 1
    return built * tokens / (time.perf_counter() - start)


def main():
    path, words_path, rounds, round_ms, *sizes = sys.argv[1:]
    tokenizer = Tokenizer.from_file(path)
    with open(words_path, encoding="utf-8") as file:
        words = file.read().split()
    rates = {}
    for size in map(int, sizes):
        rate(tokenizer, words, size, float(round_ms))  # warms up
        rates[size] = [rate(tokenizer, words, size, float(round_ms)) for _ in range(int(rounds))]
    print(json.dumps(rates))


main()
