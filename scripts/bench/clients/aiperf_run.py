"""`aiperf` itself, on the golden server.

python aiperf_run.py URL STREAMS TOKENS SECONDS TOKENIZER

Prints what its record export says of each request, as JSON.
"""

import json
import os
import subprocess
import sys
import tempfile

url, streams, tokens, seconds, tokenizer = sys.argv[1:6]
program = os.path.join(os.path.dirname(sys.executable), "aiperf")
with tempfile.TemporaryDirectory() as directory:
    subprocess.run([
        program, "profile", "--model", "golden", "--url", url, "--endpoint-type", "completions",
        "--streaming", "--use-legacy-max-tokens", "--concurrency", streams,
        "--request-count", str(int(streams) * int(seconds) // 4), "--tokenizer", tokenizer,
        "--synthetic-input-tokens-mean", "8", "--output-tokens-mean", tokens,
        "--ui", "none", "--artifact-dir", directory,
    ], check=True, stdout=sys.stderr)  # fmt: skip
    values = []
    for folder, _, names in os.walk(directory):
        for name in names:
            if name != "profile_export.jsonl":
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                for line in file:
                    value = json.loads(line).get("metrics", {}).get("time_to_first_token")
                    if value is not None:
                        values.append(value["value"])
print(json.dumps({"completed": len(values), "ttftMs": values}))
